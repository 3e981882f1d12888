"""What a classifier takes for what: a picture, and a table of the classes."""

import csv
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from seq_modules.callbacks.run.curves import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure


class ConfusionMatrix(Callback):
    """Draws, after ``test``, how often each class was taken for each, and writes ``classes.csv``.

    The table has for each class its precision (the share of right ones among the rows that were given this class), its
    recall (the share of its rows that were found), their harmonic mean and its number of rows; a share of nothing is
    left empty. A system that is no classifier is left alone.

    Args:
        numbers: Write the counts into the picture's cells where there are at most this many classes.
    """

    def __init__(self, numbers: int = 20) -> None:
        if numbers < 0:
            raise UserError(f"numbers must be 0 or more, not {numbers}")
        self.numbers = numbers

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws and writes, on rank 0; the counts of all ranks are put together before, by all of them."""
        confusion: Any = getattr(pl_module, "confusion", None)
        if confusion is None or not confusion.update_count:
            return
        counts: Tensor = confusion.compute().cpu()  # (C, C), true class by predicted class
        if not trainer.is_global_zero:
            return
        module: Any = pl_module
        names = [module.name_of(label) for label in range(len(counts))]
        with (run_folder(trainer) / "classes.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("class", "precision", "recall", "f1", "rows"))
            writer.writerows(class_rows(names, counts))
        save_figure(trainer, self.draw(names, counts), "confusion_matrix")

    def draw(self, names: Sequence[str], counts: Tensor) -> Any:
        """The picture of counts (C, C): colours are shares of the true class."""
        size = max(3.6, 0.22 * len(names) + 1.6)
        figure, (axis,) = new_figure(1, width=size + 0.8, height=size)
        shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
        image = axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
        axis.grid(visible=False)
        small = 8 if len(names) <= self.numbers else 6
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=small)
        axis.set_yticks(range(len(names)), names, fontsize=small)
        axis.set(xlabel="predicted", ylabel="true")
        if len(names) <= self.numbers:
            for row, column in (counts > 0).nonzero().tolist():
                colour = "white" if shares[row, column] > 0.5 else "black"
                number = int(counts[row, column])
                axis.text(column, row, number, ha="center", va="center", color=colour, fontsize=8)
        figure.colorbar(image, ax=axis, label="share of the true class")
        return figure


def class_rows(names: Sequence[str], counts: Tensor) -> list[tuple[str, str, str, str, int]]:
    """Name, precision, recall, F1 and number of rows of each class, of counts (C, C), true by predicted."""
    rows = []
    for label, name in enumerate(names):
        right, true, chosen = int(counts[label, label]), int(counts[label].sum()), int(counts[:, label].sum())
        shares = (share(right, chosen), share(right, true), share(2 * right, true + chosen))
        rows.append((name, *shares, true))
    return rows


def share(part: int, whole: int) -> str:
    """A share to four digits; of nothing, an empty word."""
    return f"{part / whole:.4f}" if whole else ""
