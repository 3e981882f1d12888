"""``--trainer.precision auto``: the fastest of 32-true, bf16-mixed and 16-mixed on this machine.

These three keep weights in float32. docs/results/machines/precision.md compares the losses of every system in
bf16-mixed with those in 32-true.
"""

import sys
from importlib.util import find_spec
from typing import Any, Literal

from lightning.pytorch import Trainer

from seqlight.core import hardware
from seqlight.core.errors import UserError
from seqlight.devices import accelerator_here, from_first_process

# Lightning's values, whose type has a private name, and "auto".
Precision = (
    Literal["auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "bf16", "16", "64"]
    | Literal["transformer-engine", "transformer-engine-float16"]
    | Literal[32, 16, 64]
)
LEAST_SPEEDUP = 1.3  # of products in bf16 for which bf16-mixed is chosen: casts take some of it back


class PrecisionTrainer(Trainer):
    """Lightning's Trainer, in whose place the command line takes ``precision: auto`` too.

    Args:
        precision: Lightning's, or "auto" for the fastest of 32-true, bf16-mixed and 16-mixed on this machine. The run's
            config names the one chosen.
        kwargs: Lightning's other arguments.
    """

    def __init__(self, *, precision: Precision | None = None, **kwargs: Any) -> None:
        super().__init__(precision=precision, **kwargs)  # type: ignore[arg-type]


def settle(trainer: Any, command: str, words: list[str]) -> None:
    """Puts a value in the place of "auto", and says so in one line; says it as well if a given value is slow here.

    The value goes into the run's settings, so that a resumed run keeps it, and onto ``sys.argv``, with which Lightning
    starts the other processes of a DDP run. Processes that torchrun or SLURM starts take the value of rank 0: each
    could measure on another side of the line, or run on another kind of machine.

    Args:
        trainer: The command's settings of the Trainer, which are changed.
        command: fit, validate, test or predict.
        words: The command line, to be lengthened by the value if it is the program's own.

    Raises:
        UserError: A given precision cannot be had here.
    """
    device = accelerator_here(str(trainer.accelerator)) or "cpu"
    check_available(str(trainer.precision), device)
    if trainer.precision == "auto":
        chosen = from_first_process("seqlight/precision", lambda: "\n".join(fastest(device)))
        trainer.precision, reason = chosen.split("\n")
        if trainer.precision == "16-mixed" and "FullySharded" in str(getattr(trainer, "strategy", "")):
            trainer.precision, reason = "32-true", "sharded weights cannot be trained in 16-mixed"
        if words == sys.argv[1:]:
            sys.argv.append(f"--trainer.precision={trainer.precision}")
        say(f"precision: {trainer.precision} ({reason})")
    elif command == "fit" and device == "cpu" and is_bf16(trainer.precision) and not hardware.multiplies_bf16("cpu"):
        say(
            f"precision: {trainer.precision}, though this processor emulates products in bf16, slowly; "
            "--trainer.precision auto takes the fastest"
        )


def check_available(precision: str, device: str) -> None:
    """Refuses what Lightning would take, and then fail with.

    Raises:
        UserError: The value needs a package that is not installed, or another device.
    """
    if precision.startswith("transformer-engine") and find_spec("transformer_engine") is None:
        raise UserError(
            f"--trainer.precision {precision} needs NVIDIA's transformer_engine, which is not installed; "
            "give bf16-mixed or auto"
        )
    if precision == "16-true" and device == "cpu":
        raise UserError("--trainer.precision 16-true: losses become NaN in float16 on a CPU; give bf16-true or auto")


def is_bf16(precision: Any) -> bool:
    """Whether a value of the Trainer's ``precision`` means products in bf16."""
    return str(precision).startswith("bf16")


def fastest(device: str) -> tuple[str, str]:
    """The fastest of 32-true, bf16-mixed and 16-mixed on a kind of device, and why.

    A GPU goes by its capability: bf16-mixed from 8.0 on, 16-mixed from 7.0 on (the first with fast products in half
    precision), else 32-true. A CPU without instructions for bf16 gets 32-true; one with them, bf16-mixed if a
    measurement finds its products :data:`LEAST_SPEEDUP` times as fast as those in float32. Another device gets 32-true.

    Args:
        device: Lightning's name of an accelerator, such as "cpu" or "cuda".
    """
    if device == "cuda":
        capability = hardware.compute_capability()
        precision = "bf16-mixed" if capability >= (8, 0) else "16-mixed" if capability >= (7, 0) else "32-true"
        return precision, f"compute capability {capability[0]}.{capability[1]}"
    if device != "cpu":
        return "32-true", f"nothing else is tried on {device}"
    if not hardware.multiplies_bf16("cpu"):
        return "32-true", "this processor has no instructions for products in bf16"
    speedup = hardware.rates("cpu").ratio
    if not speedup:
        return "32-true", "products in bf16 end in an illegal instruction here"
    precision = "bf16-mixed" if speedup >= LEAST_SPEEDUP else "32-true"
    return precision, f"products in bf16 run at {speedup:.1f} times fp32's rate here"


def say(line: str) -> None:
    """Prints a line, from one process."""
    from lightning.pytorch.utilities import rank_zero_only

    if not rank_zero_only.rank:  # type: ignore[attr-defined]
        print(line)
