"""Checkpoints whose weights are averaged: the last ones of a training, say, are together often better than each alone.

A mean of weights is one net and costs no more than one. Checkpoints of one training have weights that can be averaged;
those of several trainings have not, and are averaged by their probabilities (seq_modules/nets/ensemble.py).
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlight.checkpoints import find_checkpoint, module_of, read_checkpoint
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

if TYPE_CHECKING:
    from torch import Tensor

    from seq_modules.base import SequenceModule

USAGE = "use `seqlight average CHECKPOINT CHECKPOINT ... --output FILE`"
# What resumes a training, which a mean has none of.
OF_TRAINING = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "training_weights", "averaged_weights")


def average(checkpoints: Sequence[str | Path], root: str = "runs") -> dict[str, Any]:
    """A checkpoint's contents with the mean weights of several, for test and predict.

    Everything else comes from the last of them. No training can be resumed from it.

    Args:
        checkpoints: Checkpoint files, runs' folders (whose best it takes), "best" or "last".
        root: Folder that holds the runs.

    Raises:
        UserError: There are none, one is no checkpoint, or their weights differ in names or shapes.
    """
    if not checkpoints:
        raise UserError(f"average: no checkpoints are given; {USAGE}")
    paths = [find_checkpoint(str(checkpoint), "test", root) for checkpoint in checkpoints]
    sums: dict[str, Tensor] = {}
    content: dict[str, Any] = {}
    for path in paths:
        content = read_checkpoint(path)
        _add(sums, content["state_dict"], path, paths[0])
    last = content["state_dict"]
    mean = {
        name: (sums[name] / len(paths)).to(value.dtype) if name in sums and value.is_floating_point() else value
        for name, value in last.items()
    }
    kept = {name: value for name, value in content.items() if name not in OF_TRAINING}
    return {**kept, "state_dict": mean}


def load_average(checkpoints: Sequence[str | Path], root: str = "runs") -> "SequenceModule":
    """As ``seqlight.load``, with the mean weights of several checkpoints; arguments and errors of :func:`average`.

    Example:
        >>> module = seqlight.load_average(["checkpoints/8.ckpt", "checkpoints/9.ckpt"])  # doctest: +SKIP
    """
    return module_of(average(checkpoints, root), Path(str(checkpoints[-1])))


def command(words: list[str]) -> str:
    """``seqlight average CHECKPOINT CHECKPOINT ... --output FILE``: writes the file; what to print."""
    from seqlight.run_files.atomic_checkpoint import write_checkpoint
    from seqlight.runs import own_classes

    output, checkpoints = None, []
    rest = iter(words)
    for word in rest:
        if word == "--output" or word.startswith("--output="):
            output = word.partition("=")[2] or next(rest, None)
        elif word.startswith("-"):
            raise UserError(f"average: there is no option {word}; {USAGE}")
        else:
            checkpoints.append(word)
    if not output:
        raise UserError(f"average: --output is missing; {USAGE}")
    file = expanded(output)
    if file.exists():
        raise UserError(f"--output {output}: exists already; name a new file")
    mean = average(checkpoints)
    write_checkpoint(mean, file)
    following = f"seqlight test --ckpt_path {shlex.quote(str(file))}{own_classes(mean)}"
    return f"{file} has the mean of {len(checkpoints)}\nnext: {following}"


def _add(sums: "dict[str, Tensor]", weights: "dict[str, Tensor]", path: Path, first: Path) -> None:
    """Adds a checkpoint's weights to the sums, in float64."""
    import torch

    own = {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    for name in [*own, *sums] if sums else []:
        shapes = [tuple(group[name].shape) if name in group else "none" for group in (own, sums)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{path}: its weights differ from those of {first} ({name}: {shapes[0]} and {shapes[1]})")
    for name, value in own.items():
        sums[name] = sums[name] + value.double() if name in sums else value.double()
