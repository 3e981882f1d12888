"""Predictions on disk: rows in the order of the data, translations one a line."""

import codecs
import csv
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.toy_translation import SOURCES, Attending, ToyTranslator, loader, translated
from helpers.trainers import quiet_trainer

from seq_modules.callbacks import PredictionWriter
from seq_modules.callbacks.run.prediction_writer import write_table, write_translations


def test_translations_stand_in_the_order_of_the_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = ToyTranslator(Attending(1, 1))
    quiet_trainer(tmp_path, PredictionWriter(shown=2)).predict(module, loader(), return_predictions=False)
    assert (tmp_path / "out.txt").read_text() == "".join(translated(source) + "\n" for source in SOURCES)
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == SOURCES  # the loader's batches come in another order
    assert not (tmp_path / "n_best.tsv").exists()
    printed = capsys.readouterr().out
    assert f"source {SOURCES[0]}  translation {translated(SOURCES[0])}\n" in printed
    assert "... 5 more rows" in printed


def row(index: int, source: str, *best: tuple[str, float]) -> dict[str, Any]:
    found: dict[str, Any] = {"index": index, "source": source, "translation": best[0][0], "score": best[0][1]}
    if len(best) > 1:
        found["n_best"] = [{"translation": text, "score": score} for text, score in best]
    return found


def test_every_source_has_one_line(tmp_path: Path) -> None:
    rows = [row(0, "x", ("a\nb\r\nc\u2028d", -1.0)), row(1, " ", ("", -2.0)), row(2, "y", ("", -3.0))]
    write_translations(tmp_path, rows)
    assert (tmp_path / "out.txt").read_bytes() == b"a b c d\n\n\n"


def test_the_best_few_stand_in_a_table(tmp_path: Path) -> None:
    rows = [row(0, "x", ("a\tb", -0.5), ("a\nc", -1.25)), row(1, "y", ("z", -2.0))]  # one source has fewer
    write_translations(tmp_path, rows)
    with (tmp_path / "n_best.tsv").open(newline="") as file:
        assert list(csv.reader(file, delimiter="\t")) == [
            ["index", "rank", "score", "translation"],
            ["0", "1", "-0.500000", "a\tb"],
            ["0", "2", "-1.250000", "a c"],
            ["1", "1", "-2.000000", "z"],
        ]
    assert (tmp_path / "out.txt").read_text() == "a\tb\nz\n"


TEXTS = [
    "a, b",
    'she said "no"',
    "two\nlines\r\nand more",
    "=1+1",
    "@cmd",
    "-1.5",
    "- no",
    "+x",
    "\ttab",
    "naïve €",
    "",
]


def test_a_table_is_read_back_by_csv_and_pandas(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"index": i, "text": text, "probabilities": {"pos": 0.25, "neg": i}, "notes": [[1, "=2"], None]}
        for i, text in enumerate(TEXTS)
    ]
    rows.append({"index": len(TEXTS), "label": True, "text": None})
    write_table(tmp_path / "predictions.csv", rows)
    with (tmp_path / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *found = csv.reader(file, strict=True)
    assert header == ["index", "text", "probabilities.pos", "probabilities.neg", "notes", "label"]
    safe = {"=1+1": "'=1+1", "@cmd": "'@cmd", "- no": "'- no", "+x": "'+x", "\ttab": "'\ttab"}  # -1.5 is a number
    assert [row[1] for row in found] == [*(safe.get(text, text) for text in TEXTS), ""]
    assert found[3] == ["3", "'=1+1", "0.25", "3", '[[1, "=2"], null]', ""]
    assert found[-1] == [str(len(TEXTS)), "", "", "", "", "True"]
    assert (tmp_path / "predictions.csv").read_bytes().startswith(codecs.BOM_UTF8)  # by which Excel knows UTF-8
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(tmp_path / "predictions.csv", keep_default_na=False)
    assert list(frame.columns) == header
    assert frame["text"].tolist() == [row[1] for row in found]


def test_the_table_is_written_on_request_in_the_order_of_the_data(tmp_path: Path) -> None:
    module = ToyTranslator(Attending(1, 1))
    quiet_trainer(tmp_path, PredictionWriter(kind="csv")).predict(module, loader(), return_predictions=False)
    with (tmp_path / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == SOURCES
    assert (tmp_path / "predictions.jsonl").exists()
    with pytest.raises(ValueError, match=r"^kind must be one of 'jsonl', 'csv', not 'xlsx'"):
        PredictionWriter(kind="xlsx")  # type: ignore[arg-type]


def test_other_rows_have_no_translations(tmp_path: Path) -> None:
    write_translations(tmp_path, [{"index": 0, "prompt": "a", "continuation": "b"}])
    assert not list(tmp_path.iterdir())
