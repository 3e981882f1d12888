"""The words of a command line before Lightning's parser sees them, and the parser of the commands without it."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from seqlight.checkpoints import find_checkpoint
from seqlight.core.errors import UserError, reason_of
from seqlight.core.plain_parser import PlainParser
from seqlight.core.yaml_text import read_settings, yaml_text
from seqlight.recipes import config_path, recipe_path

QUOTED_NULL = ('"null"', "'null'")  # the word, not what stands for None


def option(words: list[str], name: str) -> tuple[int, str] | None:
    """Place and value of an option's last appearance, as ``--name value`` or ``--name=value``."""
    found = None
    for at, word in enumerate(words):
        if word == name and at + 1 < len(words):
            found = (at + 1, words[at + 1])
        elif word.startswith(f"{name}="):
            found = (at, word.partition("=")[2])
    return found


def config_values(words: list[str]) -> list[str]:
    """What ``--config`` and ``-c`` name, in order."""
    return [words[at].partition("=")[2] if whole else words[at] for at, whole in _config_places(words)]


def _config_places(words: list[str]) -> list[tuple[int, bool]]:
    """Places of the configs, and whether the word holds ``--config=`` as well."""
    apart = [(at + 1, False) for at, word in enumerate(words[:-1]) if word in ("--config", "-c")]
    return sorted(apart + [(at, True) for at, word in enumerate(words) if word.startswith("--config=")])


def config_contents(words: list[str]) -> Iterator[dict[str, Any]]:
    """What the configs hold, in order; they are named as paths."""
    for value in config_values(words):
        content = meaning(value) if value.startswith("{") else read_settings(Path(value).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            yield content


def setting(words: list[str], name: str) -> str | None:
    """The text that an option has on the command line, or else in the last config that sets it; None if it has none."""
    if given := option(words, name):
        return given[1]
    found = None
    *groups, last = name.removeprefix("--").split(".")
    for held in config_contents(words):
        for key in groups:
            held = held[key] if isinstance(held.get(key), dict) else {}
        found = held.get(last, found)
    return found if isinstance(found, str) else None


def prepare(words: list[str], commands: tuple[str, ...]) -> list[str]:
    """The same command with its options after it, recipes and checkpoints as paths, and --adapt with its value.

    A checkpoint that a config names becomes an option, so that it is read as one.

    Done on ``sys.argv`` itself, with which Lightning starts the other processes of a DDP run, so that all of them mean
    the same files.

    Raises:
        UserError: No such command, config or checkpoint, or a checkpoint is missing where one is needed.
    """
    # A word after an option without "=" is that option's value, were it a command's name.
    values = {i + 1 for i, word in enumerate(words) if word.startswith("-") and "=" not in word}
    at = next((i for i, word in enumerate(words) if word in commands and i not in values), None)
    if at is None:
        known = ", ".join((*commands, "sweep", "try", "average", "prove", "bench", "export", "doctor"))
        raise UserError(f"{words[0]}: no such command; there are {known} and configs")
    command, words = words[at], words[:at] + words[at + 1 :]
    if words and not words[0].startswith("-") and (recipe_path(words[0]) or words[0].endswith(".yaml")):
        raise UserError(f"{command} {words[0]}: a recipe is named by its option: {command} --config {words[0]}")
    if words and words[-1] in ("--model.help", "--data.help"):
        example = "ParityModule" if words[-1] == "--model.help" else "ParityDataModule"
        raise UserError(f"{words[-1]} needs a class, such as {example}; `seqlight fit --help` names them all")
    words = ["--adapt.enabled=true" if word == "--adapt" else word for word in words]
    for (at, whole), value in zip(_config_places(words), config_values(words), strict=True):
        words[at] = f"--config={config_path(value)}" if whole else config_path(value)
    if (named := setting(words, "--ckpt_path")) is not None:
        path = str(find_checkpoint(named, command, setting(words, "--trainer.default_root_dir") or "runs"))
        if (given := option(words, "--ckpt_path")) is None:
            words.append(f"--ckpt_path={path}")
        else:
            words[given[0]] = path if words[given[0]] == named else f"--ckpt_path={path}"
    elif command != "fit" and not any(
        word.startswith(("--help", "-h", "--print_", "--model.help", "--data.help")) for word in words
    ):
        raise UserError(f"{command} needs a trained model: --ckpt_path best, last, a run's folder or a checkpoint file")
    return [command, *words]


def import_own_classes(words: list[str]) -> None:
    """Imports the modules of the models and data that options and configs name by a class path, as ``mine.MyModel``.

    The parser would import them too, but after the checkpoint is read, whose own words never import anything. A module
    that is not installed is looked for in the working directory.
    """
    for path in (*classes_named(words, "model"), *classes_named(words, "data")):
        module = path.rpartition(".")[0]
        root = module.partition(".")[0]
        if not root.isidentifier() or module in sys.modules:
            continue
        if root not in sys.modules and find_spec(root) is None and str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        with contextlib.suppress(ImportError):  # the parser says what is missing
            import_module(module)


def classes_named(words: list[str], key: str) -> list[str]:
    """What configs, and then options, name as the class of the model or the data."""
    named: list[Any] = []
    for config in config_contents(words):
        section = config.get(key)
        named.append(section.get("class_path") if isinstance(section, dict) else section)
    named += [given[1] for name in (f"--{key}.help", f"--{key}") if (given := option(words, name))]
    return [path for path in named if isinstance(path, str)]


class CheckpointParser(PlainParser):
    """A parser with ``--ckpt_path``, and with ``--model`` and ``--data`` for classes that are to be imported.

    Args:
        prog: The command.
        remedy: As in PlainParser.
        description: For ``--help``.
        default: The checkpoint where none is named, or None.
    """

    def __init__(self, prog: str, remedy: str, description: str | None, default: str | None = "best") -> None:
        super().__init__(prog, remedy, description=description)
        known = "by default a list of all runs" if default is None else f"by default {default}"
        self.add_argument("--ckpt_path", default=default, help=f"a checkpoint, a run's folder, best or last; {known}")
        self.add_argument("--model", metavar="CLASS", help="class of a system of your own, such as mine.MyModule")
        self.add_argument(
            "--data", metavar="CLASS", help="class of a datamodule of your own; a checkpoint imports none"
        )

    def read(self, words: list[str]) -> argparse.Namespace:
        """The values of the words. The classes that they name are imported.

        Raises:
            UserError: A word is wrong, or a class is not found.
        """
        args = self.parse_args(words)
        import_own_classes(words)
        for name in ("model", "data"):
            module, _, cls = (getattr(args, name) or "").rpartition(".")
            if not module:
                continue  # none, or one of this program, which is known
            try:
                found = import_module(module)
            except (ImportError, ValueError) as error:  # ValueError: "..Module"
                raise UserError(f"--{name} {module}.{cls}: {reason_of(error)}") from error
            if not isinstance(getattr(found, cls, None), type):
                raise UserError(f"--{name} {module}.{cls}: the module {module} has no class {cls}")
        return args


def values_as_configs(words: list[str]) -> list[str]:
    """The same words, in which a value of ``--model``, ``--data`` or ``--experiment`` that the parser would misread is
    the text of a config.

    jsonargparse reads a value as YAML. A word such as ``#1`` or ``a: b`` would be something else than itself, and the
    escape that JSON has for an emoji would be two broken characters. A null or a list for a field of a group
    (``--model.net.d_ff=null``) it hands to the group's own parser as Python's text of it.

    Raises:
        UserError: The last word is an option without its value.
    """
    found: list[str] = []
    at = 0
    while at < len(words):
        word, taken = words[at], 1
        name, given, value = word.partition("=")
        if not given:
            if at + 1 == len(words):
                if name.startswith(("--model.", "--data.")) and not name.endswith(".help"):
                    raise UserError(f"{name}: no value follows it")  # the parser would name --model alone
                return [*found, word]
            value, taken = words[at + 1], 2
        if name.startswith(("--model.", "--data.", "--experiment")) and not name.endswith(("+", ".help")):
            meant = meaning(value)
            in_group = len(option_path(name)) > 3 and (meant is None or isinstance(meant, list))
            if in_group or isinstance(meant, list) or (isinstance(meant, str) and _is_misread(value)):
                found.append(as_config(name, meant))
                at += taken
                continue
        if "\\u" in value and isinstance(meant := meaning(value), list | dict):
            found.append(f"{name}={yaml_text(meant, one_line=True)}")
            at += taken
            continue
        found.append(word)
        at += 1
    return found


def meaning(value: str) -> Any:
    """What the value of an option stands for: JSON, a list or a mapping in YAML's brackets, a number, or the word.

    ``null`` stands for None, and ``"null"``, in quotes, for the word.
    """
    if value.lstrip().startswith(("[", "{")):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
        with contextlib.suppress(yaml.YAMLError, RecursionError):
            return yaml.safe_load(value)
        return value
    if value in ("null", "Null", "NULL"):
        return None
    if value in QUOTED_NULL:
        return "null"
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        read = yaml.safe_load(value)
        if isinstance(read, int | float):
            return read
    return value


def _is_misread(word: str) -> bool:
    """Whether YAML takes a word for something else than a word, without it being a number or a list."""
    try:
        return yaml.safe_load(word) != word
    except (yaml.YAMLError, ValueError, RecursionError):
        return False  # the parser keeps what is no YAML


def option_word(name: str, value: Any) -> str:
    """``--name=value`` by which the parser gets a plain value as it is: a list as a list, the word null as a word.

    A text in brackets is left as it is, and then stands for a list or a mapping, as on the command line.
    """
    if isinstance(value, str):
        return as_config(name, value) if meaning(value) in (None, "null") else f"{name}={value}"
    return f"{name}={yaml_text(value, one_line=True)}"


def as_config(name: str, value: Any) -> str:
    """``--model.net.d_ff`` and its value as ``--config={...}``."""
    nested = value
    for key in reversed(option_path(name)):
        nested = {key: nested}
    return f"--config={yaml_text(nested, one_line=True)}"


def option_path(name: str) -> list[str]:
    """The keys of an option in a config: ``model.init_args.net.d_ff`` for ``--model.net.d_ff``."""
    head, *fields = name.removeprefix("--").replace(".init_args.", ".").split(".")
    return [head, "init_args", *fields] if head in ("model", "data") and fields else [head, *fields]
