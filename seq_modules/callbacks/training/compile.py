"""torch.compile for training."""

import os
import time
import traceback
from collections.abc import Iterable
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from seq_modules.callbacks.training.sequence_warmup import SequenceLengthWarmup, rewindow
from seq_modules.nets.ensemble import Ensemble
from seq_modules.protocols.nets import net_of
from seqlight.core.errors import UserError


class Compile(Callback):
    """Compiles the net for the batches of training; checkpoints, evaluation and generation use the plain net.

    Batches with as many tokens as the first go through the compiled net, whatever the length of their windows. Others
    (the last of an epoch) and validation run uncompiled: each further shape would cost seconds of compilation.

    The first batch is compiled by a forward and a backward pass that leave weights, random numbers and data unchanged.
    If that fails, since there is no C++ compiler, say, one line says so and training goes on uncompiled; if the
    environment variable SEQLIGHT_DEBUG is set (``--debug``), the error is raised.

    Args:
        part: ``net.blocks`` each by itself, which compiles one block for all, or the whole ``net``.
        warm_up: Compile the other shapes (those of SequenceLengthWarmup) at the first batch too. Otherwise each when it
            first occurs.
        mode: torch.compile's, such as "max-autotune".
        backend: torch.compile's.
    """

    def __init__(
        self,
        part: Literal["blocks", "net"] = "blocks",
        warm_up: bool = True,
        mode: str | None = None,
        backend: str = "inductor",
    ) -> None:
        self.part, self.warm_up, self.mode, self.backend = part, warm_up, mode, backend
        self.tokens: int | None = None  # of a batch that is compiled
        self._compiled: list[tuple[nn.Module, Any]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wraps the modules; nothing is compiled yet."""
        net = net_of(pl_module)
        modules: Any = net if self.part == "net" else getattr(net, "blocks", None)
        if not isinstance(modules, nn.Module):
            raise UserError(f"part {self.part}: {type(pl_module).__name__} has no net with that; use part: net")
        self.tokens, self._compiled = None, []
        # An ensemble's members one by one: its own code depends on the active member.
        whole = net.members if isinstance(net, Ensemble) else [modules]
        chosen: Iterable[nn.Module] = whole if self.part == "net" else modules.children()
        for module in chosen:
            # In its place: the names in the state dict stay. Each shape by itself: a dynamic one makes slower kernels.
            module.compile(dynamic=False, mode=self.mode, backend=self.backend)
            self._compiled.append((module, module._compiled_call_impl))

    def _use(self, compiled: bool) -> None:
        for module, call in self._compiled:
            module._compiled_call_impl = call if compiled else None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Chooses how this batch is computed; warms up before the first."""
        for name, value in batch.items():
            if isinstance(value, torch.Tensor):
                batch[name] = value.contiguous()  # strides of another kind would be compiled anew
        first, tokens = self.tokens is None, _tokens(batch)
        if first:
            self.tokens = tokens
        self._use(tokens == self.tokens)
        if first:
            started = time.monotonic()
            try:
                self._compile_first(trainer, pl_module, batch)
            except Exception as error:  # whatever a compiler raises; a fault of the net itself comes again below
                if os.environ.get("SEQLIGHT_DEBUG"):
                    raise
                self._use(False)
                self._compiled = []
                rank_zero_info(f"not compiled: {remedy(error)}. Training goes on uncompiled, more slowly")
            else:
                rank_zero_info(f"compiled in {time.monotonic() - started:.1f} s")

    def _compile_first(self, trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:
        batches, callbacks = [batch], trainer.callbacks if self.warm_up else []  # type: ignore[attr-defined]
        for short in [callback for callback in callbacks if isinstance(callback, SequenceLengthWarmup)]:
            if short.applies(trainer):  # to this batch, before or after this callback
                lengths = {short.window, short.full or batch["input_ids"].shape[1]} - {batch["input_ids"].shape[1]}
                batches += [rewindow(batch, length) for length in lengths]
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        parameters = [p for p in pl_module.parameters() if p.requires_grad]
        for one in batches:
            with torch.random.fork_rng(devices), trainer.precision_plugin.train_step_context():
                loss = pl_module.step(one).loss_sum  # type: ignore[operator]
            # Not backward(): it would leave gradients, and set off DDP's exchange.
            torch.autograd.grad(loss, parameters, allow_unused=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to the net as it is written."""
        self._use(False)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leaves the net as it was."""
        self._use(False)
        self._compiled = []


def _tokens(batch: Any) -> int:
    """Size of a batch, by its first tensor or by what a language model reads."""
    if "input_ids" in batch:
        return batch["input_ids"].numel()
    return next(value.numel() for value in batch.values() if isinstance(value, torch.Tensor))


def remedy(error: BaseException) -> str:
    """What a failed compilation lacks and how to get it, or the error that it began with, and where that was raised."""
    cause: BaseException | None = error
    compiler = os.environ.get("CXX", "g++")
    while cause is not None:
        kind = type(cause).__name__
        if kind == "InvalidCxxCompiler" or (isinstance(cause, OSError) and cause.filename == compiler):
            return f"{compiler} is no working C++ compiler; install g++, or name one by the environment variable CXX"
        if kind == "CppCompileError":  # such as a header of Python's that is not installed
            line = next((line for line in str(cause).splitlines() if "error:" in line), "no message")
            return f"the C++ compiler {compiler} failed ({line.strip()}); put that right, or name another one by CXX"
        if kind == "TritonMissing":
            return "triton is not installed; run `pip install triton`"
        if isinstance(cause, OSError):
            place = f"{cause.filename}: {cause.strerror}"
            return f"{place}; name a folder that can be written by the environment variable TORCHINDUCTOR_CACHE_DIR"
        error, cause = cause, cause.__cause__ or cause.__context__  # suppressed too: Dynamo raises from None
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('site-packages/')[2]}, line {frames[-1].lineno}; " if frames else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]} ({where}--debug shows all of it)"
