"""What the command prints reaches a terminal, a file or a pipe, whatever it is able to show."""

import io
import os
import sys
from typing import Any


class PatientOutput(io.RawIOBase):
    """A file descriptor whose reader may go away, as that of ``| head`` does: what is written then goes nowhere.

    A training goes on, and a listing ends as if it had been read.

    Args:
        descriptor: The open file; it stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._has_reader = descriptor, True

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
            except BrokenPipeError:
                self._has_reader = False
        return len(memoryview(data).cast("B"))


def prepare_outputs() -> None:
    """Makes standard output and standard error patient; a character that they cannot show is replaced.

    A stream that is not the program's own, such as a test's, is only made to replace characters.
    """
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
        unbuffered = getattr(stream, "write_through", False)
        made = io.TextIOWrapper(
            raw if unbuffered else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=errors,
            line_buffering=stream.line_buffering,
            write_through=unbuffered,
        )
        setattr(sys, name, made)
