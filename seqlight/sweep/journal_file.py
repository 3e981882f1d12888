"""The file of a study: Optuna's journal, whose lines are whole or not there."""

import errno
import json
import os
import sys
from io import RawIOBase
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._file import get_lock_file

from seqlight.core.files.write_errors import writing


class JournalFile(JournalFileBackend):
    """Optuna's file of a study, on which a full disk leaves no half line.

    Optuna itself appends to what is there, and reads nothing beyond a line that was cut off.

    Args:
        path: The file; it is made if it is new.

    Raises:
        ValueError: Its last line holds no entry.
        WritingError: It cannot be written; so do the methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path, None):
            # Absolute: jsonargparse changes the working directory while it reads a config, and the heartbeat is a
            # thread.
            name = str(path.absolute())
            # By default Optuna's lock is a symbolic link, which Windows lets few make.
            super().__init__(name, JournalFileOpenLock(name) if sys.platform == "win32" else None)
        self._check_last_line()

    def _check_last_line(self) -> None:
        """Reads the last whole line, whose damage Optuna passes over until another line follows it."""
        with self.path.open("rb", buffering=0) as file:
            end = end_of_lines(file)
            start = end_of_lines(file, max(0, end - 1))
            file.seek(start)
            if end:
                json.loads(file.read(end - start))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes one line for each entry, or none of them."""
        lines = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs).encode()
        with writing(self.path, None):
            try:
                self._append(lines)
            except RuntimeError as error:  # Optuna's lock went with the folder
                if self.path.exists():
                    raise
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path)) from error

    def _append(self, lines: bytes) -> None:
        with (
            get_lock_file(self._lock),
            open(self._file_path, "r+b", buffering=0) as file,  # noqa: PTH123  a path of Optuna's
        ):
            end = end_of_lines(file)
            file.truncate(end)  # a process that lost its machine may have left half a line
            file.seek(end)
            try:
                left = memoryview(lines)
                while left:  # a disk that fills takes a part, and refuses the next
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise


def end_of_lines(file: RawIOBase, before: int | None = None, piece: int = 2**16) -> int:
    """Where the last whole line of a file ends.

    Args:
        file: An open file.
        before: Only bytes before this one are looked at; by default all are.
        piece: Bytes that are read at a time, from the end.
    """
    end = file.seek(0, os.SEEK_END) if before is None else before
    while end:
        start = max(0, end - piece)
        file.seek(start)
        if found := file.read(end - start).rfind(b"\n") + 1:
            return start + found
        end = start
    return 0
