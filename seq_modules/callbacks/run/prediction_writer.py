"""Predictions on disk, one JSON object a line and on request as a table, in the order of the data."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.run.text_stream import TextStream
from seq_modules.callbacks.series.forecast_csv import write_forecasts
from seq_modules.protocols.data import WritesPredictions
from seqlight.core.files.replacing import part_of, remove_parts
from seqlight.core.hyperparameters import check_choice

PredictionFormat = Literal["jsonl", "csv"]
LONG_LIST = 8  # values from which on a list is not printed
UNPRINTED = ("index", "n_best")
FORMULA = tuple("=+-@\t\r")  # with which a cell begins that Excel computes


class PredictionWriter(BasePredictionWriter):
    """Writes what ``predict_step`` returns, rows with an ``index`` each, to ``predictions.jsonl``.

    Each rank writes its rows as they come; at the end rank 0 puts them together, every index once. Translations stand
    in ``out.txt`` as well, one a line, and the best few of each source, where there are several, in ``n_best.tsv``.
    Forecasts of time series stand in ``forecast.csv`` too; data with ``WritesPredictions`` write a file of their own.

    Args:
        shown: How many rows to print as well, of those that TextStream has not shown while they grew.
        kind: "csv" writes ``predictions.csv`` too (:func:`write_table`).

    Raises:
        UserError: The kind is not known.
    """

    def __init__(self, shown: int = 10, kind: PredictionFormat = "jsonl") -> None:
        super().__init__("batch")
        check_choice("kind", kind, PredictionFormat)
        self.shown, self.kind = shown, kind
        self.path: Path | None = None
        self._ending = ""  # of the names of the ranks' files

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes the folder; removes what a process that was killed left in the folders of other predictions."""
        if stage == "predict":
            self.path = Path(trainer.log_dir or trainer.default_root_dir) / "predictions.jsonl"
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._ending = trainer.strategy.broadcast(part_of(self.path).name)  # of rank 0's process
            for folder in self.path.parent.parent.iterdir():
                remove_parts(folder)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins the rank's file, once every ``setup`` has found the data in order."""
        self._part(trainer.global_rank).touch()

    def _part(self, rank: int) -> Path:
        assert self.path is not None
        return self.path.with_name(f".{rank}{self._ending}")

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
        if self.kind == "csv":
            write_table(self.path.with_suffix(".csv"), in_order)
        write_translations(self.path.parent, in_order)
        write_forecasts(self.path.parent, in_order)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, WritesPredictions):
            data.write_predictions(self.path.parent, in_order)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        streamed = next((callback.rows for callback in callbacks if isinstance(callback, TextStream)), set())
        left = [rows[index] for index in sorted(rows) if index not in streamed]
        for line in left[: self.shown]:
            row = {k: v for k, v in json.loads(line).items() if k not in UNPRINTED and not isinstance(v, dict)}
            print("  ".join(f"{k} {brief(v)}" for k, v in row.items()))
        if len(left) > self.shown:
            print(f"... {len(left) - self.shown} more rows in {self.path}")
        elif streamed:
            print(f"{len(rows)} row{'s' if len(rows) > 1 else ''} in {self.path}")


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows as CSV that Excel and pandas open: UTF-8 with a byte-order mark, a header, quotes where needed.

    Each entry is a column; an entry of entries, such as probabilities, is a column for each, named "outer.inner"; a
    list is JSON. A text that begins like a formula (with =, +, -, @, a tab or a carriage return) and is no number gets
    an apostrophe before it, since a spreadsheet would compute it; the JSON lines have the text itself.

    Args:
        path: The file.
        rows: The rows, which need not have the same entries.
    """
    flat = [dict(_columns(row)) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(_cell, columns))
        writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)


def _columns(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from _columns(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text.isprintable()
    except ValueError:
        return False


def write_translations(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the translations among the rows, in their order, to ``out.txt``, and several per source to ``n_best.tsv``.

    Each translation is one line; a line break in it becomes a space. The translation of an empty source is an empty
    line, and ``n_best.tsv`` has none of it.
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
            of_row = row.get("n_best", [row] if row["score"] is not None else [])
            for rank, one in enumerate(of_row, start=1):
                writer.writerow((row["index"], rank, f"{one['score']:.6f}", one_line(one["translation"])))


def one_line(text: str) -> str:
    """A text with spaces for line breaks."""
    return " ".join(text.splitlines())


def brief(value: Any) -> Any:
    """A value as it is shown: of a long list, such as a piece's notes, the length alone."""
    return f"({len(value)})" if isinstance(value, list) and len(value) > LONG_LIST else value
