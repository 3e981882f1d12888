"""What has changed between the data of a checkpoint and those that a training goes on with."""

from collections.abc import Iterator, Mapping
from typing import Any

# Arguments of data, and groups of them, that change neither what is trained on nor what is validated.
UNUSED = {"num_workers", "cache_dir", "prompts", "prompt", "predict", "stop", "texts", "tokenizer_path", "program",
          "predict_path", "texts_path"}  # fmt: skip
# Those that leave the validation data as they are.
NOT_VALIDATED = UNUSED | {"batch_size", "batch_tokens", "seed", "train_size", "epoch_size", "crops", "augment",
                          "soft_labels_path"}  # fmt: skip

Change = tuple[str, Any, Any]  # the argument's name, its value before, its value now


def flat(arguments: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Arguments by their full names, such as ``split.val_fraction``."""
    for name, value in arguments.items():
        if isinstance(value, dict):
            yield from flat(value, f"{group}{name}.")
        elif not name.startswith("_"):
            yield f"{group}{name}", list(value) if isinstance(value, tuple) else value


def changed_arguments(before: Any, now: Mapping[str, Any] | None, unused: set[str] = UNUSED) -> list[Change]:
    """The arguments of data that have another value, those that only one side has left out.

    Args:
        before: The arguments by name in a checkpoint, groups as dicts.
        now: The present ones; None without data of one's own.
        unused: Names of arguments, and of groups, that do not matter.
    """
    if not isinstance(before, dict) or now is None:
        return []
    held = dict(flat(before))
    return [
        (name, held[name], value)
        for name, value in flat(now)
        if name in held and held[name] != value and unused.isdisjoint(name.split("."))
    ]


def changed_files(before: Any, now: Mapping[str, str]) -> list[str]:
    """The options whose files have other contents than those of the checkpoint.

    Args:
        before: What the checkpoint says of them, ``data_files``: a digest by option.
        now: The present digests.
    """
    held = before if isinstance(before, dict) else {}
    return [name for name, digest in now.items() if held.get(name, digest) != digest]


def changes(
    before: Mapping[str, Any], arguments: Mapping[str, Any] | None, files: Mapping[str, str], unused: set[str] = UNUSED
) -> list[str]:
    """What has changed, each as a clause of a sentence.

    Args:
        before: The checkpoint's contents.
        arguments: The data's present arguments.
        files: Digests of their files, by option.
        unused: Names of arguments that do not matter.
    """
    held = before.get("data_files")
    others = changed_files(held, files)
    moved = {name for name in files if isinstance(held, dict) and held.get(name) == files[name]}
    said = {
        name: f"data.{name} was {was} and is now {value}"
        for name, was, value in changed_arguments(before.get("datamodule_hyper_parameters"), arguments, unused)
        if name not in moved
    }
    values = dict(flat(arguments or {}))
    edited = [f"data.{name} {values.get(name)} has other contents than it had" for name in others if name not in said]
    return [*said.values(), *edited]
