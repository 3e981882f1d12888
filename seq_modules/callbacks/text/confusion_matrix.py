"""Which classes a classifier confuses: a plot, and a table of the classes."""

import csv
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.protocols.systems import Classifies
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure


class ConfusionMatrix(Callback):
    """After ``test``, plots how often each class was predicted for each, and writes ``classes.csv``.

    The table has for each class its precision (the fraction of right ones among the rows predicted as this class), its
    recall (the fraction of its rows that were predicted as it), their harmonic mean and its number of rows. A fraction
    of no rows is left empty. Nothing is done for a system that is no classifier.

    Args:
        numbers: Write the counts into the plot's cells where there are at most this many classes, 0 or more.
    """

    def __init__(self, numbers: int = 20) -> None:
        check_range("numbers", numbers, least=0)
        self.numbers = numbers

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws and writes, on rank 0; all ranks sum their counts before."""
        counts = pl_module.confusion_counts() if isinstance(pl_module, Classifies) else None
        if counts is None or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Classifies)
        names = [pl_module.name_of(label) for label in range(len(counts))]
        with (run_folder(trainer) / "classes.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("class", "precision", "recall", "f1", "rows"))
            writer.writerows(class_rows(names, counts))
        save_figure(trainer, self.draw(names, counts), "confusion_matrix")

    def draw(self, names: Sequence[str], counts: Tensor) -> Any:
        """The plot of counts (C, C): colours are fractions of the true class."""
        size = max(3.6, 0.22 * len(names) + 1.6)
        figure, (axis,) = new_figure(1, width=size + 0.8, height=size)
        fractions = counts / counts.sum(1, keepdim=True).clamp(min=1)
        image = axis.imshow(fractions.numpy(), cmap="Blues", vmin=0, vmax=1)
        axis.grid(visible=False)
        small = 8 if len(names) <= self.numbers else 6
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=small)
        axis.set_yticks(range(len(names)), names, fontsize=small)
        axis.set(xlabel="predicted", ylabel="true")
        if len(names) <= self.numbers:
            for row, column in (counts > 0).nonzero().tolist():
                colour = "white" if fractions[row, column] > 0.5 else "black"
                number = int(counts[row, column])
                axis.text(column, row, number, ha="center", va="center", color=colour, fontsize=8)
        figure.colorbar(image, ax=axis, label="fraction of the true class")
        return figure


def class_rows(names: Sequence[str], counts: Tensor) -> list[tuple[str, str, str, str, int]]:
    """Name, precision, recall, F1 and number of rows of each class, of counts (C, C), true by predicted."""
    rows = []
    for label, name in enumerate(names):
        right, true, predicted = int(counts[label, label]), int(counts[label].sum()), int(counts[:, label].sum())
        f1 = fraction(2 * right, true + predicted)
        rows.append((name, fraction(right, predicted), fraction(right, true), f1, true))
    return rows


def fraction(part: int, whole: int) -> str:
    """A fraction to four digits; of 0, an empty string."""
    return f"{part / whole:.4f}" if whole else ""
