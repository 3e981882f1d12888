"""Times the training step, the forward pass and the generation of a system, inside a Trainer's fit.

The Trainer brings the device, the precision and the step as it is in a training. Loading of data, validation and files
are left out. By the wall clock a busy machine shows as a slow one, so the machine's own rate of matrix products is
measured beside it.
"""

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
import torch
from lightning.fabric.utilities.throughput import measure_flops
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from seq_modules.base import SequenceModule
from seq_modules.generation.decode import evaluating
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.mlp.numpy_bridge import NumpyMLP
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.training.tokenizer import check_tokenizer
from seqlight.core import hardware
from seqlight.inspection.work import amount, generate_once, generates, rows_of

Work = Literal["training step", "forward", "generation"]
WARM_UP, LEAST = 1, 3  # calls before those that count, and how many of these there are at least
MACHINE_SECONDS = 0.2  # for the machine's own rate, at each of its measurements
MB = 2**20


class Call(NamedTuple):
    """One call that was timed: the rows of its batch, its units, and the seconds it took."""

    rows: int
    units: int
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """One kind of work at one batch size.

    Attributes:
        work: "training step"; "forward", in evaluation mode, with the loss and without gradients; or "generation".
        batch_size: As it was asked for.
        rows: Rows of a batch, the median: fewer where there is not so much data, or where tokens bound a batch.
        units_per_second: Median over the calls.
        milliseconds: Of a call, the median.
        calls: How many were timed.
        gflops: 10⁹ multiplications and additions a second in matrix products; None where they are not known.
        peak_mb: Highest memory, in 2²⁰ bytes: on CUDA that of the tensors, else that of the whole process.
    """

    work: Work
    batch_size: int
    rows: int
    units_per_second: float
    milliseconds: float
    calls: int
    gflops: float | None
    peak_mb: float


class Throughput(Callback):
    """Measures everything but training on the first batch of a fit, then times training steps, and ends the fit.

    Args:
        batch_size: As it was asked for.
        seconds: How long each kind of work is timed.
        decoding: How a system that decodes generates.
        checkpoint: The checkpoint's contents, whose tokenizer the data must have.
        clock: The function of :mod:`time` to go by: "perf_counter", or "thread_time" for work on one thread.

    Attributes:
        measured: What was found.
        machine: GFLOP/s of the machine's own matrix products in the training's precision, before and after it; empty
            where that is not measured.
    """

    def __init__(
        self,
        batch_size: int,
        seconds: float,
        decoding: Decoding,
        checkpoint: dict[str, Any],
        clock: hardware.Clock = "perf_counter",
    ) -> None:
        self.batch_size, self.seconds, self.decoding, self.checkpoint = batch_size, seconds, decoding, checkpoint
        self.clock = clock
        self.measured: list[Measurement] = []
        self.machine: list[float] = []
        self._steps: list[Call] = []
        self._flops: float | None = None  # of a training step, for each of its units
        self._began = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses data that are read by another tokenizer than the checkpoint's."""
        check_tokenizer(pl_module, self.checkpoint)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """At the first batch, measures everything but training; then starts the clock."""
        assert isinstance(pl_module, SequenceModule)
        if not self._steps:
            self._measure_machine(trainer, pl_module.device)
            self._measure_use(trainer, pl_module, batch)
            reset_peak(pl_module.device)
        self._began = self._now(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops the clock, and the fit once the time is used."""
        assert isinstance(pl_module, SequenceModule)
        seconds = self._now(pl_module.device) - self._began
        self._steps.append(Call(rows_of(batch), amount(pl_module, batch), seconds))
        if is_enough(self._steps, self.seconds) and not trainer.should_stop:
            self._add("training step", self._steps, self._flops, peak_mb(pl_module.device))
            self._measure_machine(trainer, pl_module.device)
            trainer.should_stop = True

    def _measure_machine(self, trainer: Trainer, device: torch.device) -> None:
        """The machine's own rate, where it is known how to measure it."""
        dtype = {"bf16": torch.bfloat16, "32": torch.float32}.get(str(trainer.precision).partition("-")[0])
        if device.type in hardware.SHAPES and dtype is not None:
            rates = hardware.measure(device.type, self.clock, (dtype,), MACHINE_SECONDS)
            self.machine.append(rates.bf16 if dtype == torch.bfloat16 else rates.fp32)

    def _measure_use(self, trainer: Trainer, module: SequenceModule, batch: Any) -> None:
        """Counts the products of both passes, then times the forward pass and the generation."""
        rows, units = rows_of(batch), max(1, amount(module, batch))
        with trainer.precision_plugin.train_step_context():
            counted = flops(module, lambda: module.step(batch).loss_sum, lambda loss: loss)
        module.zero_grad()
        self._flops = None if counted is None else counted / units
        with trainer.precision_plugin.forward_context(), torch.no_grad(), evaluating(module):
            counted = flops(module, lambda: module.step(batch).loss_sum)

            def forward() -> int:
                module.step(batch)
                return units

            reset_peak(module.device)
            calls = self._timed(forward, rows, module.device)
            self._add("forward", calls, None if counted is None else counted / units, peak_mb(module.device))
            if generates(module):
                reset_peak(module.device)
                calls = self._timed(lambda: generate_once(module, batch, self.decoding), rows, module.device)
                self._add("generation", calls, None, peak_mb(module.device))

    def _timed(self, work: Callable[[], int], rows: int, device: torch.device) -> list[Call]:
        """Calls of a function that returns how many units it did, until the time is used."""
        calls: list[Call] = []
        while not is_enough(calls, self.seconds):
            began = self._now(device)
            units = work()
            calls.append(Call(rows, units, self._now(device) - began))
        return calls

    def _now(self, device: torch.device) -> float:
        """Seconds by the clock, once the device has done all that it was told to do."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        return getattr(time, self.clock)()

    def _add(self, work: Work, calls: list[Call], flops_per_unit: float | None, peak: float) -> None:
        """Sums up calls, without the first of them."""
        calls = calls[WARM_UP:]
        rate = statistics.median(call.units / call.seconds for call in calls)
        gflops = None if flops_per_unit is None else flops_per_unit * rate / 1e9
        rows = round(statistics.median(call.rows for call in calls))
        milliseconds = 1000 * statistics.median(call.seconds for call in calls)
        self.measured.append(Measurement(work, self.batch_size, rows, rate, milliseconds, len(calls), gflops, peak))


def is_enough(calls: list[Call], seconds: float) -> bool:
    """Whether the calls after the first ones are enough, and took long enough."""
    return len(calls) >= WARM_UP + LEAST and sum(call.seconds for call in calls[WARM_UP:]) >= seconds


def flops(
    module: nn.Module, forward: Callable[[], Tensor], loss: Callable[[Tensor], Tensor] | None = None
) -> int | None:
    """Multiplications and additions of the matrix products of a pass, by torch's counter; None if it cannot see them.

    The counter knows products and not what fused kernels of attention and of recurrent nets do inside, so these are
    held to plain products meanwhile. It sees nothing of NumPy.

    Args:
        module: The system.
        forward: Runs the forward pass.
        loss: Makes a loss of its result, whose backward pass is counted as well. Default: the forward pass alone.
    """
    if any(isinstance(m, NumpyMLP) or (isinstance(m, Recurrent) and m.backend == "numpy") for m in module.modules()):
        return None
    with sdpa_kernel(SDPBackend.MATH), plain_kernels():
        return measure_flops(module, forward, loss) or None


@contextlib.contextmanager
def plain_kernels() -> Iterator[None]:
    """Without oneDNN and cuDNN, whose context managers warn of settings for other devices."""
    backends: Any = (torch.backends.mkldnn, torch.backends.cudnn)
    before = [backend.enabled for backend in backends]
    try:
        for backend in backends:
            backend.enabled = False
        yield
    finally:
        for backend, enabled in zip(backends, before, strict=True):
            backend.enabled = enabled


def reset_peak(device: torch.device) -> None:
    """Begins a measurement of the highest memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):  # where that is not allowed, the memory is that since the start
            Path("/proc/self/clear_refs").write_text("5")


def peak_mb(device: torch.device) -> float:
    """Highest memory since :func:`reset_peak`, in 2²⁰ bytes; outside Linux, of the process since its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MB
    if sys.platform == "linux":
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / MB
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / MB if sys.platform == "darwin" else largest / 1024
