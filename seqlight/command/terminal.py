"""What the command prints reaches a terminal, a file or a pipe, whatever it is able to show."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqlight.core.errors import WritingError
from seqlight.core.files.write_errors import line


class PatientOutput(io.RawIOBase):
    """A file descriptor whose reader may go away, as that of ``| head`` does: what is written then goes nowhere.

    A training goes on, and a listing ends as if it had been read. So it is if the terminal is closed, or the disk full.

    Args:
        descriptor: The open file; it stays open.

    Attributes:
        fault: Why what was written last is lost, though somebody would have read it; None if nothing is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._has_reader = descriptor, True
        self.fault: OSError | None = None

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        """Writes all of the bytes, and returns their number."""
        rest = memoryview(data).cast("B")
        while self._has_reader and rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                self._has_reader = False
                self.fault = None if error.errno in (errno.EPIPE, errno.EIO) else error
        return len(memoryview(data).cast("B"))


def prepare_outputs() -> PatientOutput | None:
    """Makes standard output and standard error patient; a character that they cannot show is replaced.

    A stream that is not the program's own, such as a test's, is only made to replace characters.

    Returns:
        Standard output; None if it is not the program's own.
    """
    found = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started the program
            continue
        errors = "replace" if name == "stdout" else "backslashreplace"
        if stream is not getattr(sys, f"__{name}__"):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=errors)
            continue
        raw: Any = PatientOutput(stream.fileno())
        found = raw if name == "stdout" else found
        unbuffered = getattr(stream, "write_through", False)
        made = io.TextIOWrapper(
            raw if unbuffered else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=errors,
            line_buffering=stream.line_buffering,
            write_through=unbuffered,
        )
        setattr(sys, name, made)
    return found


@contextlib.contextmanager
def complete_output(output: PatientOutput | None) -> Iterator[None]:
    """Makes a success a failure if what was printed is lost.

    Args:
        output: Standard output; see :func:`prepare_outputs`.

    Raises:
        WritingError: A disk is full, say.
    """
    try:
        yield
    except SystemExit as stop:
        if output is not None and not stop.code:
            sys.stdout.flush()
            if output.fault is not None:
                raise WritingError(line(Path("standard output"), output.fault, None)) from output.fault
        raise
