"""LightningCLI's parser with messages for people: one line that names the key, what is wrong and the remedy."""

import argparse
import dataclasses
import difflib
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import yaml
from jsonargparse import get_loader, set_dumper, set_loader
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.callbacks import BestCheckpoint, LastCheckpoint
from seq_modules.callbacks.run.prediction_writer import PredictionFormat
from seq_modules.generation.decoding_config import Decoding
from seq_modules.training.optim import OptimConfig
from seqlight.command.messages import REQUIRED, UNRECOGNIZED, naming_options, one_line
from seqlight.core.checkpoint_file.tree import check_tree
from seqlight.core.errors import shortened
from seqlight.core.yaml_text import HALF, read_halves, yaml_text
from seqlight.recipes import MOST_SETTINGS

NO_RECIPE = re.compile(rf"{REQUIRED}(?:\w+\.)?(?:model|data)(?:, .*)?")
REFUSED = re.compile(r"(?:group '(?P<group>[\w.]+)' does not accept )?(?:option|key) '(?P<key>[\w.]+)'", re.IGNORECASE)

_read_yaml = get_loader("yaml")


def read_yaml(text: str) -> Any:
    """jsonargparse's reader of YAML, for configs and for values; a word such as ``#1``, ``~`` or ``- x`` stays itself.

    jsonargparse reads a string that a config holds in quotes a second time, to see whether it is of another type.
    """
    try:
        value = read_halves(text) if HALF.search(text) else _read_yaml(text)
        check_tree(value, MOST_SETTINGS)
    except (RecursionError, ValueError) as error:  # brackets in brackets, and numbers of thousands of digits
        raise yaml.YAMLError(str(error)) from error
    is_word = text.strip() and "\n" not in text and not text.lstrip().startswith(("[", "{"))
    if is_word and (isinstance(value, list) or (value is None and text.strip().lower() != "null")):
        return text
    return value


set_loader("yaml", read_yaml, (yaml.YAMLError,))
set_dumper("yaml", yaml_text)


# What a model takes from its data (a model without the argument, and data without the attribute, are left alone).
LINKED = (
    "source_vocab_size", "vocab_size", "num_classes", "num_aux_classes", "pad_id", "vocab_sizes", "fields", "pitch_ids",
    "ticks", "frame_size", "feature_names", "class_names", "num_characters", "statistics", "lookback", "horizon",
)  # fmt: skip
# Options of the classes, which the whole parser does not know, that are asked for without their prefix.
USUAL = (
    "data.path", "data.batch_size", "model.net.hidden_size",
    *(f"model.optim.{field.name}" for field in dataclasses.fields(OptimConfig)),
)  # fmt: skip


class Parser(LightningArgumentParser):
    """Takes no abbreviated flags, and turns each error into one line and exit code 2.

    jsonargparse parses the arguments of a class with a parser of this type too, which knows that class's options.

    Attributes:
        class_option: The option whose classes an error's hint leads to.
    """

    class_option = "model"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_instantiator(
        self, instantiator: Callable[..., Any], class_type: type, key: str | None = None, **kwargs: Any
    ) -> None:
        """jsonargparse's own; a value that the constructor refuses is named with its option.

        Args:
            instantiator: What builds objects of the class. Lightning gives its own for the model and the data.
            class_type: The class.
            key: The option of the object; None takes "model", "data", or the class's name.
            kwargs: jsonargparse's other arguments.
        """
        for name, base in (("model", LightningModule), ("data", LightningDataModule)):
            key = name if issubclass(class_type, base) else key
        super().add_instantiator(naming_options(instantiator, key), class_type, **kwargs)

    def add_run_arguments(self) -> None:
        """Adds the experiment, the checkpoints, generation, adaptation, and what a model takes from its data."""
        self.add_argument(
            "--experiment", type=str | None, default=None, help="Folder under runs/; by default the config's name."
        )
        self.add_argument(
            "--predictions",
            type=PredictionFormat,
            default="jsonl",
            help='Files that predict writes: predictions.jsonl, and with "csv" predictions.csv too.',
        )
        self.add_lightning_class_args(BestCheckpoint, "best_checkpoint")
        self.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        self.add_class_arguments(Decoding, "decoding")
        self.add_class_arguments(Adaptation, "adapt")
        for name in LINKED:
            self.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Writes the line and ends the program; the parser of a class adds its hint and passes the error on."""
        parser = getattr(ex, "subcommand_parser", None) or self
        hint = did_you_mean(parser, message)
        if not self.exit_on_error:
            super().error(f"{message}; {hint}" if hint and hint not in message else message, ex)
        program = parser.prog.replace(" [options]", "")
        if NO_RECIPE.fullmatch(message):
            message, hint = "no experiment given: add --config NAME", "`seqlight configs` lists the recipes"
        line = shortened(one_line(message).rstrip("."))
        if "did you mean" not in line:
            option = "data" if line.startswith("data") else self.class_option
            line += f"; {hint or f'see `{program} --help`, or `{program} --{option}.help CLASS`'}"
        sys.stderr.write(f"{program}: error: {line}\n")
        self.exit(2)


def did_you_mean(parser: argparse.ArgumentParser, message: str) -> str | None:
    """A hint with the option of the parser whose name is nearest to one that was not accepted."""
    if UNRECOGNIZED in message:
        wrong = message.partition(UNRECOGNIZED)[2].partition("=")[0].partition(" ")[0]
    elif found := REFUSED.search(message):
        wrong = ".".join(name for name in (found["group"], found["key"]) if name)
    else:
        return None
    known = [action.dest for action in parser._actions]
    whole = getattr(parser, "exit_on_error", True)  # not the parser of a class
    usual = USUAL if whole and UNRECOGNIZED in message else ()
    close = [name for name in (*usual, *known) if name.endswith(f".{wrong}")]
    close = close or difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    dashes = "--" if whole else ""
    return f"did you mean {dashes}{close[0]}?" if close else None
