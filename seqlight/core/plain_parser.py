"""The parser of a command with a few options of its own."""

import argparse
from typing import Any, NoReturn

from seqlight.core.errors import UserError


class PlainParser(argparse.ArgumentParser):
    """A parser without abbreviations, whose errors are one line.

    Args:
        prog: The command.
        example: One that works, for the line.
        settings: Further arguments of argparse.ArgumentParser.
    """

    def __init__(self, prog: str, example: str, **settings: Any) -> None:
        super().__init__(prog, allow_abbrev=False, **settings)
        self.example = example

    def error(self, message: str) -> NoReturn:
        """Refuses the words."""
        raise UserError(f"{self.prog.rpartition(' ')[2]}: {message}; use `{self.example}`")
