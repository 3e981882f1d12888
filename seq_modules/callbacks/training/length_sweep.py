"""Accuracy far beyond the lengths of training, and on one stream with the state carried."""

import csv

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from seq_modules.callbacks.run.curves import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.protocols import HasSequences
from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure


class LengthSweep(Callback):
    """Measures, after ``test``, the accuracy at every length and on a long stream.

    By length in the way of Delétang et al. (ICLR 2023, "Neural Networks and the Chomsky Hierarchy"): at each length
    fresh sequences of exactly that length, judged by their last output; the score is the mean over the lengths
    measured. Logs ``test/sweep_accuracy`` and ``test/sweep_min_accuracy`` (of the worst length). The stream is one
    sequence, read in chunks with the state carried over, judged at every step: ``test/stream_accuracy``,
    ``test/stream_errors`` and ``test/stream_first_error`` (its place, or the stream's length if there is none). Writes
    ``length_sweep.csv`` and ``plots/length_sweep.png``.

    Under DDP each rank measures some of the lengths; the stream cannot be split, and each rank reads all of it.

    Args:
        min_length: First length.
        max_length: Last length.
        every: Distance between two lengths that are measured; 1 measures all.
        sequences: Sequences at each length.
        stream_bits: Length of the stream; 0 leaves it out.
        chunk: Steps of the stream in one call.
    """

    def __init__(
        self,
        min_length: int = 41,
        max_length: int = 500,
        every: int = 1,
        sequences: int = 512,
        stream_bits: int = 1_000_000,
        chunk: int = 10_000,
    ) -> None:
        for name, value in (("min_length", min_length), ("every", every), ("sequences", sequences), ("chunk", chunk)):
            check_range(name, value, least=1)
        check_range("max_length", max_length, least=min_length)
        check_range("stream_bits", stream_bits, least=0)
        self.min_length, self.max_length, self.every, self.sequences = min_length, max_length, every, sequences
        self.stream_bits, self.chunk = stream_bits, chunk

    @torch.inference_mode()
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures, logs, writes and draws."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, HasSequences):
            raise UserError(f"LengthSweep needs data with a method sequences; {type(data).__name__} has none")
        lengths = range(self.min_length, self.max_length + 1, self.every)
        accuracy = torch.zeros(len(lengths), device=pl_module.device)
        for i in range(trainer.global_rank, len(lengths), trainer.world_size):
            accuracy[i] = self._at_length(pl_module, data, lengths[i])
        accuracy = trainer.strategy.reduce(accuracy, reduce_op="sum")
        metrics = {"sweep_accuracy": accuracy.mean().item(), "sweep_min_accuracy": accuracy.min().item()}
        if self.stream_bits:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # one row has nothing to share out; two threads take ten times as long
            try:
                errors, first = self._stream(pl_module, data)
            finally:
                torch.set_num_threads(threads)
            metrics["stream_accuracy"] = 1 - errors / self.stream_bits
            metrics |= {"stream_errors": errors, "stream_first_error": first}
        pl_module.log_dict({f"test/{name}": float(value) for name, value in metrics.items()}, rank_zero_only=True)
        if trainer.is_global_zero:
            self._write(trainer, lengths, accuracy.tolist())

    def _at_length(self, pl_module: LightningModule, data: HasSequences, length: int) -> Tensor:
        batch = data.sequences(length, self.sequences)
        logits, _ = pl_module(batch["input_ids"].to(pl_module.device))
        return ((logits[:, -1] > 0) == (batch["labels"][:, -1] > 0).to(logits.device)).float().mean()

    def _stream(self, pl_module: LightningModule, data: HasSequences) -> tuple[int, int]:
        batch = data.sequences(self.stream_bits, 1)
        state, errors, first = None, 0, self.stream_bits
        for start in range(0, self.stream_bits, self.chunk):
            bits, labels = (batch[name][:, start : start + self.chunk] for name in ("input_ids", "labels"))
            logits, state = pl_module(bits.to(pl_module.device), state=state)
            wrong = ((logits.cpu() > 0) != (labels > 0))[0].nonzero()
            if len(wrong) and not errors:
                first = start + int(wrong[0])
            errors += len(wrong)
        return errors, first

    def _write(self, trainer: Trainer, lengths: range, accuracy: list[float]) -> None:
        path = run_folder(trainer) / "length_sweep.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("length", "accuracy"), *zip(lengths, accuracy, strict=True)])
        figure, (axis,) = new_figure()
        axis.plot(lengths, accuracy)
        axis.axhline(0.5, color="grey", linestyle=":", label="chance")
        axis.set(xlabel="length", ylabel="accuracy at the last step", ylim=(-0.02, 1.02))
        axis.set_title(f"lengths {lengths[0]} to {lengths[-1]}, {self.sequences} sequences each")
        axis.legend(loc="lower left")
        save_figure(trainer, figure, "length_sweep")
