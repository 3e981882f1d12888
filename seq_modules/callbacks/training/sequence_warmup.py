"""Short sequences in the first part of training."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from seq_modules.training.progress import progress_of
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


def rewindow(batch: dict[str, Any], length: int) -> dict[str, Any]:
    """The same tokens in windows of another length.

    Args:
        batch: Of a language model: ``input_ids`` and ``labels`` (B, T), ``index`` and ``characters`` (B,) if they are
            there. ``characters`` keeps its sum, which is what counts; a row's stand at the first window cut from it.
        length: One divides the other, ``length`` and T; if it is longer, B must hold whole windows.

    Raises:
        ValueError: They do not.
    """
    rows, steps = batch["input_ids"].shape
    cut = dict(batch)
    if length == steps:
        return cut
    if steps % length and (length % steps or rows % (length // steps)):
        raise UserError(f"window {length} does not divide the batch's windows of {steps} tokens; choose a divisor")
    for name in ("input_ids", "labels"):
        cut[name] = batch[name].reshape(-1, length)
    parts, joined = steps // length, length // steps
    if "index" in batch:
        cut["index"] = batch["index"].repeat_interleave(parts) if parts else batch["index"][::joined]
    if "characters" in batch and parts:
        cut["characters"] = batch["characters"].new_zeros(rows * parts)
        cut["characters"][::parts] = batch["characters"]
    elif "characters" in batch:
        cut["characters"] = batch["characters"].view(-1, joined).sum(1)
    return cut


class SequenceLengthWarmup(Callback):
    """Cuts each batch of the first part of training into shorter windows: the same tokens, more steps a second.

    Early training needs no long contexts (Press, Smith & Lewis 2021), and attention costs less on short ones.

    Args:
        window: Length of the windows in tokens; divides the data's seq_len.
        fraction: Fraction of the training (of its steps, or of TimeBudget's seconds) in which they are cut, 0 to 1.

    Raises:
        UserError: A value is out of its range, or the window does not divide the data's.
    """

    def __init__(self, window: int = 128, fraction: float = 0.35) -> None:
        check_range("window", window, least=1)
        check_range("fraction", fraction, least=0, most=1)
        self.window, self.fraction = window, fraction
        self.full: int | None = None  # length of the windows that were cut

    def applies(self, trainer: Trainer) -> bool:
        """Whether training is still in its first part."""
        return progress_of(trainer) < self.fraction

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Cuts the batch, in its place."""
        if self.applies(trainer):
            self.full = batch["input_ids"].shape[1]
            if self.full % self.window:
                raise UserError(
                    f"window {self.window} does not divide the data's seq_len {self.full}; choose a divisor"
                )
            batch.update(rewindow(batch, self.window))
