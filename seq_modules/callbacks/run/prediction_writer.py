"""Predictions on disk, one JSON object a line, in the order of the data."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.run.text_stream import TextStream
from seq_modules.callbacks.series.forecast_csv import write_forecasts
from seq_modules.protocols import WritesPredictions

LONG_LIST = 8  # values from which on a list is not printed
UNPRINTED = ("index", "n_best")


class PredictionWriter(BasePredictionWriter):
    """Writes what ``predict_step`` returns, rows with an ``index`` each, to ``predictions.jsonl``.

    Each rank writes its rows as they come; at the end rank 0 puts them together, every index once. Translations stand
    in ``out.txt`` as well, one a line, and the best few of each source, where there are several, in ``n_best.tsv``.
    Forecasts of time series stand in ``forecast.csv`` too; data with ``WritesPredictions`` write a file of their own.

    Args:
        shown: How many rows to print as well, of those that TextStream has not shown while they grew.
    """

    def __init__(self, shown: int = 10) -> None:
        super().__init__("batch")
        self.shown = shown
        self.path: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes the folder, and clears nothing: a run's folder is new."""
        if stage == "predict":
            self.path = Path(trainer.log_dir or trainer.default_root_dir) / "predictions.jsonl"
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part(trainer.global_rank).touch()

    def _part(self, rank: int) -> Path:
        assert self.path is not None
        return self.path.with_name(f"predictions-{rank}.part")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Appends a batch's rows."""
        with self._part(trainer.global_rank).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in prediction)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the ranks' rows together and shows the first."""
        trainer.strategy.barrier("predictions")
        self._merge(trainer)

    @rank_zero_only
    def _merge(self, trainer: Trainer) -> None:
        assert self.path is not None
        rows: dict[int, str] = {}
        for rank in range(trainer.world_size):
            part = self._part(rank)
            for line in part.read_text(encoding="utf-8").split("\n")[:-1]:  # a text may hold other line ends
                rows[json.loads(line)["index"]] = line
            part.unlink()
        self.path.write_text("".join(rows[index] + "\n" for index in sorted(rows)), encoding="utf-8")
        in_order = [json.loads(rows[index]) for index in sorted(rows)]
        write_translations(self.path.parent, in_order)
        write_forecasts(self.path.parent, in_order)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, WritesPredictions):
            data.write_predictions(self.path.parent, in_order)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        streamed = next((callback.rows for callback in callbacks if isinstance(callback, TextStream)), set())
        left = [rows[index] for index in sorted(rows) if index not in streamed]
        for line in left[: self.shown]:
            print("  ".join(f"{k} {brief(v)}" for k, v in json.loads(line).items() if k not in UNPRINTED))
        if len(left) > self.shown:
            print(f"... {len(left) - self.shown} more rows in {self.path}")
        elif streamed:
            print(f"{len(rows)} row{'s' if len(rows) > 1 else ''} in {self.path}")


def write_translations(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the translations among the rows, in their order, to ``out.txt``, and several per source to ``n_best.tsv``.

    Each translation is one line; a line break in it becomes a space. The translation of an empty source is empty.
    """
    translated = [row for row in rows if "translation" in row]
    if not translated:
        return
    text = "".join(one_line(row["translation"]) + "\n" for row in translated)
    (folder / "out.txt").write_text(text, encoding="utf-8")
    if not any("n_best" in row for row in translated):
        return
    with (folder / "n_best.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("index", "rank", "score", "translation"))
        for row in translated:
            for rank, one in enumerate(row.get("n_best", [row]), start=1):
                writer.writerow((row["index"], rank, f"{one['score']:.6f}", one_line(one["translation"])))


def one_line(text: str) -> str:
    """A text with spaces for line breaks."""
    return " ".join(text.splitlines())


def brief(value: Any) -> Any:
    """A value as it is shown: of a long list, such as a piece's notes, the length alone."""
    return f"({len(value)})" if isinstance(value, list) and len(value) > LONG_LIST else value
