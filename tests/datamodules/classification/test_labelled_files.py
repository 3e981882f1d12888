"""Texts to predict, from a flag, a text file, CSV or JSON lines. Each invalid row is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from datamodules import QuestionsDataModule
from datamodules.classification.groups import PredictConfig, TextConfig
from datamodules.classification.labelled_files import read_table


def predicted(
    texts: list[str] | None = None, path: Path | None = None, column: str = "text", encoding: str | None = None
) -> list[tuple[int, str]]:
    data = QuestionsDataModule(
        vocab_size=300,
        batch_size=2,
        predict=PredictConfig(texts, None if path is None else str(path)),
        text=TextConfig(column=column, encoding=encoding),
    )
    data.setup("predict")
    found = []
    for batch in data.predict_dataloader():
        assert (batch["labels"] == -100).all()
        assert (batch["aux_labels"] == -100).all()
        assert batch["attention_mask"].sum(1).min() > 0
        found += list(zip(batch["index"].tolist(), batch["texts"], strict=True))
    return sorted(found)


def test_texts_to_predict(tmp_path: Path) -> None:
    texts = ["Who ?", "What is a very long question about everything ?", "Où ?"]
    assert predicted(texts=texts) == list(enumerate(texts))
    assert predicted() == list(enumerate(QuestionsDataModule.EXAMPLES))
    file = tmp_path / "some.txt"
    file.write_text("\n".join(texts) + "\n")
    assert predicted(path=file) == list(enumerate(texts))


def warned(path: Path, rows: list[tuple[int, str]], *faults: str, **kwargs: Any) -> None:
    with pytest.warns(UserWarning, match=f"predict.path .*{len(faults)} rows are left out") as told:
        assert predicted(path=path, **kwargs) == rows
    for fault in faults:
        assert fault in str(told[0].message)


def test_invalid_rows_of_a_text_file(tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_bytes("\ufeffWho ?\r\n\r\n".encode() + b"What\xff ?\nWhere ?\n" + b"x" * 100_001 + b"\nlast")
    warned(
        file,
        [(0, "Who ?"), (3, "Where ?"), (5, "last")],
        "line 2: the text is empty",
        "line 3: byte 0xFF does not belong to the encoding",
        "line 5: the text has 100,001 characters",
    )
    file.write_bytes(b"Where is caf\xe9 ?")
    assert predicted(path=file, encoding="latin-1") == [(0, "Where is café ?")]
    with pytest.raises(ValueError, match=r"^predict.path .*cannot be read as klingon"):
        predicted(path=file, encoding="klingon")


def test_invalid_rows_of_csv(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    lines = [
        "number,question", '1,"Who, or what ?"', "2", "3,Where ?,no", '4,"never closed', '5,"two', 'lines ?"', "6,",
        '7,"stray" quote', '8,"a ""quoted"" word ?"', "9,last",
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    warned(
        file,
        [(0, "Who, or what ?"), (4, "two\nlines ?"), (7, 'a "quoted" word ?'), (8, "last")],
        "line 3: 1 columns instead of 2",
        "line 4: 3 columns instead of 2",
        "line 5: ",
        "line 8: the text is empty",
        "line 9: ",
        column="question",
    )
    with pytest.raises(ValueError, match=r"line 1 names no column 'text' but \['number', 'question'\]; give --data"):
        predicted(path=file)
    (tmp_path / "some.tsv").write_text("text\tn\nWho, me ?\t1\n")
    assert predicted(path=tmp_path / "some.tsv") == [(0, "Who, me ?")]
    # Many programs write tabs without quotes: a mark of speech that opens a field belongs to its text.
    (tmp_path / "said.tsv").write_text('text\tn\n"Who ?" he said\t1\n"Why\t2\nWhere ?\t3\nhow"\t4\n"a ""b"""\t5\n')
    texts = ['"Who ?" he said', '"Why', "Where ?", 'how"', 'a "b"']
    assert predicted(path=tmp_path / "said.tsv") == list(enumerate(texts))


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffquestion,n\nWhere is caf\xe9 ?,1\n".encode(),
        "\ufeffquestion,n\nWhere is caf\xe9 ?,1\n".encode("utf-16-le"),
        "\ufeffquestion,n\nWhere is caf\xe9 ?,1\n".encode("utf-16-be"),
        "question,n\r\nWhere is caf\xe9 ?,1\r\n".encode("utf-16-le"),
        "question,n\rWhere is caf\xe9 ?,1\r".encode(),
    ],
)
def test_marks_and_line_ends_of_other_programs(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.CSV").write_bytes(content)
    assert predicted(path=tmp_path / "a.CSV", column="question") == [(0, "Where is caf\xe9 ?")]


def test_invalid_rows_of_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    lines = [
        json.dumps({"text": "Who ?"}),
        "{",
        "[1]",
        '{"txt": "x"}',
        '{"text": 3}',
        '{"text": "\\ud800"}',
        "",
        "[" * 9999,
        '{"text": ' + "9" * 5000 + "}",
    ]
    file.write_text("\n".join([*lines, json.dumps({"text": "last"})]))
    warned(
        file,
        [(0, "Who ?"), (9, "last")],
        "line 2: no JSON",
        "line 3: no object but list",
        "line 4: the text is missing",
        "line 5: the text is no string but int",
        "line 6: half a character",
        "line 8: no JSON",
        "line 9: no JSON",
    )


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_text("x")
    (tmp_path / "empty.txt").write_text("")
    for name, error, message in (
        ("none.txt", FileNotFoundError, "no such file"),
        ("a.doc", ValueError, "its ending tells nothing"),
        ("empty.txt", ValueError, "is empty"),
    ):
        with pytest.raises(error, match=rf"^predict.path .*{name}: {message}"):
            predicted(path=tmp_path / name)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label,label\na,b,c\n")
    with pytest.raises(ValueError, match=r"line 1 names two columns 'label'"):
        read_table(str(tmp_path / "t.csv"), "path", "text", "label")
    assert read_table(str(tmp_path / "t.csv"), "path", "text").texts == ["a"]
