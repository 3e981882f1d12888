"""Accuracy far beyond the lengths of training, and on one stream with the state carried."""

import csv
from collections.abc import Iterator

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.protocols.data import HasSequences
from seq_modules.training.metrics.steps import Steps, is_right, judged
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range
from seqlight.core.plots import new_figure


class LengthSweep(Callback):
    """Measures, after ``test``, the accuracy at every length and on a long stream.

    By length in the way of Delétang et al. (ICLR 2023, "Neural Networks and the Chomsky Hierarchy"): at each length
    fresh sequences of exactly that length, judged by their last answer, or by all that are asked; the score is the mean
    over the lengths measured. Logs ``test/sweep_accuracy`` and ``test/sweep_min_accuracy`` (of the worst length). The
    stream is one sequence, read in chunks with the state carried over, judged at every step with a label:
    ``test/stream_accuracy``, ``test/stream_errors`` and ``test/stream_first_error`` (its place, or the stream's length
    if there is none). A net without a state to carry, such as a Transformer, reads no stream. Writes
    ``length_sweep.csv`` and ``plots/length_sweep.png``.

    Under DDP each rank measures some of the lengths; the stream cannot be split, and each rank reads all of it.

    Args:
        min_length: First length.
        max_length: Last length.
        every: Distance between two lengths that are measured; 1 measures all.
        sequences: Sequences at each length.
        stream_bits: Length of the stream; 0 leaves it out.
        chunk: Steps of the stream in one call.
        steps: What is judged at a length: the "last" step of a sequence that has a label, or "all".
        batch_size: Sequences in one call at a length; by default all of them. Attention to long sequences needs less.
        prefixes: Read sequences of the last length once, and judge each length by the answer to their first symbols,
            which takes a hundredth of the time. The sequences of two lengths are then not independent. Only for
            labels that no later symbol changes, and a net of one direction.
        max_stream_errors: The stream is read no further after a chunk by whose end so many answers were wrong; then
            its accuracy and errors are those of the part that was read. By default all of it is read.

    Raises:
        UserError: A value is out of its range, ``prefixes`` and ``steps: all`` are both set, or the data has no method
            ``sequences``.
    """

    def __init__(
        self,
        min_length: int = 41,
        max_length: int = 500,
        every: int = 1,
        sequences: int = 512,
        stream_bits: int = 1_000_000,
        chunk: int = 10_000,
        steps: Steps = "last",
        batch_size: int | None = None,
        prefixes: bool = False,
        max_stream_errors: int | None = None,
    ) -> None:
        for name, value in (("min_length", min_length), ("every", every), ("sequences", sequences), ("chunk", chunk)):
            check_range(name, value, least=1)
        check_range("max_length", max_length, least=min_length)
        check_range("stream_bits", stream_bits, least=0)
        check_range("batch_size", batch_size, least=1)
        check_range("max_stream_errors", max_stream_errors, least=1)
        check_choice("steps", steps, Steps)
        if prefixes and steps == "all":
            raise UserError('LengthSweep.steps: "all" is set, but prefixes are judged by their last step; set "last"')
        self.min_length, self.max_length, self.every, self.sequences = min_length, max_length, every, sequences
        self.stream_bits, self.chunk, self.steps = stream_bits, chunk, steps
        self.batch_size, self.prefixes, self.max_stream_errors = batch_size or sequences, prefixes, max_stream_errors
        self._classes, self._carries = 2, True

    @torch.inference_mode()
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures, logs, writes and draws."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, HasSequences):
            raise UserError(f"LengthSweep needs data with a method sequences; {type(data).__name__} has none")
        lengths = range(self.min_length, self.max_length + 1, self.every)
        measure = self._prefixes if self.prefixes else self._each_length
        accuracy = measure(trainer, pl_module, data, lengths)
        metrics = {"sweep_accuracy": accuracy.mean().item(), "sweep_min_accuracy": accuracy.min().item()}
        if self.stream_bits and self._carries:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # one row has nothing to share out; two threads take ten times as long
            try:
                metrics["stream_accuracy"], errors, first = self._stream(pl_module, data)
            finally:
                torch.set_num_threads(threads)
            metrics |= {"stream_errors": errors, "stream_first_error": first}
        pl_module.log_dict({f"test/{name}": float(value) for name, value in metrics.items()}, rank_zero_only=True)
        if trainer.is_global_zero:
            self._write(trainer, lengths, accuracy.tolist())

    def _each_length(self, trainer: Trainer, pl_module: LightningModule, data: HasSequences, lengths: range) -> Tensor:
        """The accuracy at each length on sequences of its own, (lengths,)."""
        accuracy = torch.zeros(len(lengths), device=pl_module.device)
        for i in range(trainer.global_rank, len(lengths), trainer.world_size):
            right = total = torch.zeros((), device=pl_module.device)
            for logits, labels in self._answers(pl_module, data.sequences(lengths[i], self.sequences)):
                counted = judged(labels, self.steps)
                right, total = right + (is_right(logits, labels) & counted).sum(), total + counted.sum()
            accuracy[i] = right / total
        return trainer.strategy.reduce(accuracy, reduce_op="sum")

    def _prefixes(self, trainer: Trainer, pl_module: LightningModule, data: HasSequences, lengths: range) -> Tensor:
        """The accuracy at each length on the beginnings of the longest sequences, (lengths,)."""
        batch = data.sequences(self.max_length, self.sequences)
        own = {name: values[trainer.global_rank :: trainer.world_size] for name, values in batch.items()}
        right = torch.zeros(2, len(lengths), device=pl_module.device)  # right answers, and answers
        for logits, labels in self._answers(pl_module, own):
            places = torch.arange(labels.shape[1], device=labels.device)
            last = torch.where(labels >= 0, places, -1).cummax(dim=1).values  # the last step with a label so far
            at = last[:, [min(length, labels.shape[1]) - 1 for length in lengths]]
            right += torch.stack(
                ((is_right(logits, labels).gather(1, at.clamp(min=0)) & (at >= 0)).sum(0), (at >= 0).sum(0))
            )
        right = trainer.strategy.reduce(right, reduce_op="sum")
        return right[0] / right[1]

    def _answers(self, pl_module: LightningModule, batch: dict[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """By batches of rows: logits (B, T) or (B, T, C), and labels (B, T)."""
        for ids, labels in zip(*(batch[name].split(self.batch_size) for name in ("input_ids", "labels")), strict=True):
            ids, labels = ids.to(pl_module.device), labels.to(pl_module.device)
            logits, state = pl_module(ids)
            self._classes, self._carries = logits.shape[2] if logits.dim() == 3 else 2, state is not None
            yield logits, labels

    def _stream(self, pl_module: LightningModule, data: HasSequences) -> tuple[float, int, int]:
        batch = data.sequences(self.stream_bits, 1)
        state, asked, errors, first = None, 0, 0, self.stream_bits
        for start in range(0, batch["labels"].shape[1], self.chunk):
            bits, labels = (batch[name][:, start : start + self.chunk] for name in ("input_ids", "labels"))
            logits, state = pl_module(bits.to(pl_module.device), state=state)
            wrong = (~is_right(logits.cpu(), labels) & (labels >= 0))[0].nonzero()
            if len(wrong) and not errors:
                first = start + int(wrong[0])
            errors, asked = errors + len(wrong), asked + int((labels >= 0).sum())
            if self.max_stream_errors is not None and errors >= self.max_stream_errors:
                break
        return 1 - errors / asked, errors, first

    def _write(self, trainer: Trainer, lengths: range, accuracy: list[float]) -> None:
        path = run_folder(trainer) / "length_sweep.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("length", "accuracy"), *zip(lengths, accuracy, strict=True)])
        figure, (axis,) = new_figure()
        axis.plot(lengths, accuracy)
        axis.axhline(1 / self._classes, color="grey", linestyle=":", label="chance")
        judged_steps = "last step" if self.steps == "last" else "steps with a label"
        axis.set(xlabel="length", ylabel=f"accuracy at the {judged_steps}", ylim=(-0.02, 1.02))
        axis.set_title(f"lengths {lengths[0]} to {lengths[-1]}, {self.sequences} sequences each")
        axis.legend(loc="lower left")
        save_figure(trainer, figure, "length_sweep")
