"""LightningCLI's parser with messages for people: one line that names the key, what is wrong and the remedy."""

import argparse
import difflib
import inspect
import re
import sys
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from seqlight.messages import one_line


class Parser(LightningArgumentParser):
    """Takes no abbreviated flags, and turns each error into one line and exit code 2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Writes the line and ends the program."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        program = parser.prog.replace(" [options]", "")
        hint = did_you_mean(parser, message)
        if hint is None and "arguments are required" in message:
            hint = "`seqlight configs` lists the recipes"
        hint = hint or f"see `{program} --help`, or `{program} --model.help CLASS`"
        sys.stderr.write(f"{program}: error: {one_line(message).rstrip('.')}; {hint}\n")
        self.exit(2)


def did_you_mean(parser: argparse.ArgumentParser, message: str) -> str | None:
    """A remark with the nearest option to one that was not accepted."""
    found = re.search(
        r"[Oo]ption '([\w.]+)'|[Uu]nrecognized arguments?: (?:--)?([\w.]+)|[Kk]ey '([\w.]+)' is not", message
    )
    if found is None:
        return None
    wrong = next(group for group in found.groups() if group)
    known = [action.dest for action in parser._actions]
    if in_class := re.search(r"class_path '([\w.]+)'", message):
        module, _, name = in_class[1].rpartition(".")
        if cls := getattr(sys.modules.get(module), name, None):
            known = list(inspect.signature(cls).parameters)
    else:
        head = wrong.rpartition(".")[0]
        if head in ("model", "data", "model.init_args", "data.init_args"):
            return f"see `--{head.partition('.')[0]}.help CLASS` for its options"
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"did you mean {'' if in_class else '--'}{close[0]}?" if close else None
