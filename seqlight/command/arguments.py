"""The words of a command line before any parser sees them."""

import contextlib
from typing import Any

import yaml

from seqlight.checkpoints import find_checkpoint
from seqlight.core.errors import UserError
from seqlight.recipes import config_path, recipe_path


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


def prepare(words: list[str], commands: tuple[str, ...]) -> list[str]:
    """The same command with its options after it, recipes and checkpoints as paths.

    Done on ``sys.argv`` itself, with which Lightning starts the other processes of a DDP run, so that all of them mean
    the same files.

    Raises:
        UserError: No such command, config or checkpoint, or a checkpoint is missing where one is needed.
    """
    # A word after an option without "=" is that option's value, were it a command's name.
    values = {i + 1 for i, word in enumerate(words) if word.startswith("-") and "=" not in word}
    at = next((i for i, word in enumerate(words) if word in commands and i not in values), None)
    if at is None:
        raise UserError(f"{words[0]}: no such command; there are {', '.join(commands)}, sweep, average and configs")
    command, words = words[at], words[:at] + words[at + 1 :]
    if words and not words[0].startswith("-") and (recipe_path(words[0]) or words[0].endswith(".yaml")):
        raise UserError(f"{command} {words[0]}: a recipe is named by its option: {command} --config {words[0]}")
    if words and words[-1] in ("--model.help", "--data.help"):
        example = "ParityModule" if words[-1] == "--model.help" else "ParityDataModule"
        raise UserError(f"{words[-1]} needs a class, such as {example}; `seqlight fit --help` names them all")
    for (at, whole), value in zip(_config_places(words), config_values(words), strict=True):
        words[at] = f"--config={config_path(value)}" if whole else config_path(value)
    if given := option(words, "--ckpt_path"):
        root = option(words, "--trainer.default_root_dir")
        path = str(find_checkpoint(given[1], command, root[1] if root else "runs"))
        words[given[0]] = path if words[given[0]] == given[1] else f"--ckpt_path={path}"
    elif command != "fit" and not any(
        word.startswith(("--help", "-h", "--print_", "--model.help", "--data.help")) for word in words
    ):
        raise UserError(f"{command} needs a trained model: --ckpt_path best, last, a run's folder or a checkpoint file")
    return [command, *words]


def group_values_as_configs(words: list[str]) -> list[str]:
    """The same words, with a null or a list for a field of a group (``--model.net.d_ff=null``) as a config's text.

    jsonargparse hands such a value to the group's own parser as Python's text of it, in which null is the word None and
    a list's strings lose their escapes.
    """
    found: list[str] = []
    at = 0
    while at < len(words):
        word, taken = words[at], 1
        name, given, value = word.partition("=")
        if not given and at + 1 < len(words):
            value, taken = words[at + 1], 2
        head, *fields = name.removeprefix("--").removesuffix("+").replace(".init_args.", ".").split(".")
        if name.startswith(("--model.", "--data.")) and len(fields) > 1 and not name.endswith("+"):
            with contextlib.suppress(yaml.YAMLError):
                loaded = yaml.safe_load(value)
                if loaded is None or isinstance(loaded, list):
                    nested: Any = loaded
                    for key in reversed((head, "init_args", *fields)):
                        nested = {key: nested}
                    found.append(f"--config={yaml.safe_dump(nested)}")
                    at += taken
                    continue
        found.append(word)
        at += 1
    return found
