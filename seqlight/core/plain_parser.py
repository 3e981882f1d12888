"""The parser of a command with a few options of its own."""

import argparse
from typing import Any, NoReturn

from seqlight.core.errors import UserError


class PlainParser(argparse.ArgumentParser):
    """A parser without abbreviations, whose errors are one line.

    Args:
        prog: The command.
        remedy: The end of that line, such as "use `seqlight prove --ckpt_path best`".
        settings: Further arguments of argparse.ArgumentParser.
    """

    def __init__(self, prog: str, remedy: str, **settings: Any) -> None:
        super().__init__(prog, allow_abbrev=False, **settings)
        self.remedy = remedy

    def error(self, message: str) -> NoReturn:
        """Refuses the words."""
        raise UserError(f"{self.prog.rpartition(' ')[2]}: {message}; {self.remedy}")
