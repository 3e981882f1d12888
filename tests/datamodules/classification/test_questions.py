"""TREC's files, line by odd line; the two protocols; the leak; what predict reads; a tokenizer of training alone."""

import json
import random
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import QuestionsDataModule
from datamodules.classification.groups import PredictConfig, TextConfig, TokenConfig
from datamodules.classification.question_files import COARSE, FINE, TRAIN_COUNTS, read_label_file
from datamodules.classification.question_templates import embedded_questions
from datamodules.classification.questions import QuestionSplit
from datamodules.tokenizers import CharTokenizer, WordPieceTokenizer, WordTokenizer, save

FIRST_2000 = QuestionSplit(protocol="first2000")
SAID = [  # invented, each odd in the way of a row of the real files
    (b"DESC:manner How do boats float ?", "How do boats float ?"),
    (b"ENTY:cremat Which play has the line : `` Out : out '' ?", "Which play has the line : `` Out : out '' ?"),
    (b"LOC:city Which town is a sister\xf0city of Oslo ?", "Which town is a sisterðcity of Oslo ?"),
    (b"DESC:manner How do boats float ?", "How do boats float ?"),
    (b"HUM:ind  Who caf\xe9d it ?  ", "Who caféd it ?"),
    (b"NUM:count How many\x85lines ?", "How many\x85lines ?"),  # a control character that Python takes for a line end
]
WRONG = [
    (b"", "line 7: '' is no COARSE:fine label"),
    (b"ENTY:dragon What is it ?", "line 8: 'ENTY:dragon' is no class of TREC's"),
    (b"ABBR:exp ", "line 9: the text is empty"),
    (b"What is it ?", "line 10: 'What' is no COARSE:fine label"),
    (b"desc:manner How ?", "line 11: 'desc:manner' is no class of TREC's"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/seqlight"


@pytest.fixture
def trec(tmp_path: Path) -> Path:
    """A folder in TREC's shape: 2,100 and 60 questions, some of them twice, some in both."""
    folder, generator = tmp_path / "trec", random.Random(0)
    folder.mkdir()

    def lines(size: int, of: str) -> list[str]:
        chosen = generator.choices(list(TRAIN_COUNTS), list(TRAIN_COUNTS.values()), k=size)
        return [f"{label} What about {of} : number {i} of {label[:2]} ?" for i, label in enumerate(chosen)]

    train, test = lines(2100, "things"), lines(60, "others")
    train[2050:2053] = train[:3]
    test[5] = train[7]
    (folder / "train_5500.label").write_bytes(("\n".join(train) + "\n").encode("latin-1"))
    (folder / "TREC_10.label").write_bytes(("\n".join(test) + "\n").encode("latin-1"))
    return folder


def rows(path: Path) -> list[tuple[str, str]]:
    """Label and question of each line, read the obvious way."""
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in path.read_text("latin-1").splitlines()]


def test_odd_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "train_5500.label"
    file.write_bytes(b"\n".join(line for line, _ in SAID))  # the last line not ended
    found = read_label_file(file, "path")
    assert found.texts == [text for _, text in SAID]
    assert [FINE[label] for label in found.aux_labels] == [line.split(b" ")[0].decode() for line, _ in SAID]
    assert [COARSE[label] for label in found.labels] == [line.split(b":")[0].decode() for line, _ in SAID]


def test_lines_that_are_wrong_are_named_and_the_others_read(tmp_path: Path) -> None:
    file = tmp_path / "TREC_10.label"
    file.write_bytes(b"\r\n".join([line for line, _ in SAID] + [line for line, _ in WRONG]) + b"\r\n")
    with pytest.warns(UserWarning, match="5 rows are left out") as told:
        assert read_label_file(file, "path").texts == [text for _, text in SAID]
    for _, fault in WRONG:
        assert fault in str(told[0].message)
    file.write_bytes(b"\n".join(line for line, _ in WRONG))
    with pytest.raises(ValueError, match=r"^path .*TREC_10\.label: has not one proper row \(line 1: "):
        read_label_file(file, "path")


def test_the_classes() -> None:
    assert COARSE == ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]
    assert len(FINE) == 50
    assert sum(TRAIN_COUNTS.values()) == 5452


def test_official_protocol(trec: Path) -> None:
    data = QuestionsDataModule(path=str(trec))
    lines, test = rows(trec / "train_5500.label"), rows(trec / "TREC_10.label")
    splits = data.splits
    assert splits["test"].texts == [text for _, text in test]
    assert [COARSE[label] for label in splits["test"].labels] == [label.split(":")[0] for label, _ in test]
    assert Counter(splits["train"].texts + splits["val"].texts) == Counter(text for _, text in lines)
    assert len(splits["val"]) == 210
    expected = 0.1 * np.array([sum(label == name for label, _ in lines) for name in FINE])
    assert np.abs(np.bincount(splits["val"].aux_labels, minlength=50) - expected).max() < 1
    assert QuestionsDataModule(path=str(trec), seed=5).splits["val"].texts == splits["val"].texts
    assert QuestionsDataModule(path=str(trec), split=QuestionSplit(seed=5)).splits["val"].texts != splits["val"].texts


def test_a_path_to_one_of_the_two_files_means_its_folder(trec: Path) -> None:
    of_folder, of_file = (QuestionsDataModule(path=str(place)).splits for place in (trec, trec / "TREC_10.label"))
    assert all(of_file[name].texts == of_folder[name].texts for name in of_folder)


def test_protocol_first2000_row_by_row(trec: Path) -> None:
    lines = rows(trec / "train_5500.label")
    order = list(range(2000))
    random.seed(1234)
    random.shuffle(order)
    splits = QuestionsDataModule(path=str(trec), split=FIRST_2000).splits
    for name, first, last in (("train", 0, 1601), ("val", 1601, 1799), ("test", 1799, 2000)):
        part = splits[name]  # type: ignore[index]
        assert part.texts == [lines[row][1] for row in order[first:last]]
        assert [FINE[label] for label in part.aux_labels] == [lines[row][0] for row in order[first:last]]
    (trec / "train_5500.label").write_text("DESC:def What is x ?\n" * 1999)
    with pytest.raises(ValueError, match=r"^split.protocol first2000 takes 2,000 training questions, and there are 1"):
        _ = QuestionsDataModule(path=str(trec), split=FIRST_2000).splits


def test_the_fine_label_is_in_the_text_only_where_asked_for(trec: Path) -> None:
    clean = QuestionsDataModule(path=str(trec), split=FIRST_2000)
    leaky = QuestionsDataModule(path=str(trec), split=FIRST_2000, fine_label_in_text=True)
    for name, part in clean.splits.items():
        words = [FINE[label].split(":")[1] for label in part.aux_labels]
        assert leaky.splits[name].texts == [f"{word} {text}" for word, text in zip(words, part.texts, strict=True)]
        assert all(text.startswith("What ") for text in part.texts)


def test_duplicates_are_counted_and_dropped_if_asked(trec: Path) -> None:
    kept, dropped = (
        QuestionsDataModule(path=str(trec), split=QuestionSplit(drop_duplicates=drop)) for drop in (False, True)
    )
    assert len(kept.splits["train"]) + len(kept.splits["val"]) == 2100
    told = kept.duplicates
    assert told["train"] + told["val"] + told["val in train"] == 3
    assert told["test in train"] + told["test in val"] == 1
    assert dropped.splits["test"].texts == kept.splits["test"].texts
    texts = [text for part in dropped.splits.values() for text in part.texts]
    assert len(texts) == len(set(texts)) == 2160 - 4
    assert dropped.duplicates == told
    assert "repeated texts, kept" in kept.summary()


def test_either_level_of_labels(trec: Path) -> None:
    coarse, fine = (QuestionsDataModule(path=str(trec), labels=level) for level in ("coarse", "fine"))
    assert (coarse.num_classes, coarse.num_aux_classes, fine.num_classes, fine.num_aux_classes) == (6, 50, 50, 6)
    assert (coarse.splits["val"].labels == fine.splits["val"].aux_labels).all()
    assert (coarse.splits["val"].aux_labels == fine.splits["val"].labels).all()
    fine.setup("fit")
    assert fine.class_counts == np.bincount(fine.splits["train"].labels, minlength=50).tolist()


def test_the_embedded_questions_have_trecs_imbalance() -> None:
    train, test = embedded_questions()
    assert (len(train), len(test), len({*train.texts, *test.texts})) == (2000, 500, 2500)
    for part in (train, test):
        expected = np.array([TRAIN_COUNTS[name] for name in FINE]) * len(part) / 5452
        assert np.abs(np.bincount(part.aux_labels, minlength=50) - expected).max() <= 1
    assert not any("{" in text or "}" in text for text in train.texts + test.texts)
    assert embedded_questions()[0].texts == train.texts
    assert QuestionsDataModule(split=FIRST_2000).splits["train"].texts


def test_the_tokenizer_learns_from_training_alone_and_once(trec: Path, cache: Path) -> None:
    file = trec / "TREC_10.label"
    file.write_text(file.read_text() + "HUM:ind Who is Zyzzyva Qwrtp ?\n")
    for kind in ("wordpiece", "words"):
        tokenizer = QuestionsDataModule(path=str(trec), tokenizer=kind, vocab_size=500).tokenizer
        assert not any("zyz" in piece or "qwr" in piece for piece in tokenizer.pieces(range(tokenizer.vocab_size)))
    made = sorted((cache / "tokenizers").glob("*.tokenizer"))
    assert len(made) == 2
    times = [path.stat().st_mtime_ns for path in made]
    assert QuestionsDataModule(path=str(trec), vocab_size=500).vocab_size <= 500
    assert [path.stat().st_mtime_ns for path in made] == times
    assert QuestionsDataModule(path=str(trec), vocab_size=400).vocab_size <= 400
    assert len(list((cache / "tokenizers").glob("*.tokenizer"))) == 3


def first_row(data: QuestionsDataModule) -> list[str]:
    data.setup("predict")
    batch = data.predict_set.__getitems__([0])  # type: ignore[union-attr]
    return data.tokenizer.pieces(batch["input_ids"][0].tolist())


def test_cased_tokenizers_are_kept_apart(trec: Path) -> None:
    kinds = [("words", True), ("words", False), ("wordpiece", True), ("wordpiece", False)]
    for kind, lower in kinds * 2:  # the second time from the cache
        data = QuestionsDataModule(path=str(trec), tokenizer=kind, tokens=TokenConfig(lower_case=lower))
        found = {piece for piece in data.tokenizer.pieces(range(data.vocab_size)) if not piece.startswith("[")}
        assert any(piece != piece.lower() for piece in found) is not lower


def test_special_tokens_and_truncation(tmp_path: Path) -> None:
    save(WordTokenizer("\n".join("abcdefghij")), tmp_path / "words")
    common: dict[str, Any] = {
        "tokenizer_path": str(tmp_path / "words"), "predict": PredictConfig(["a b c d e f g h i j"])
    }  # fmt: skip
    assert first_row(QuestionsDataModule(**common)) == list("abcdefghij")
    assert first_row(QuestionsDataModule(**common, tokens=TokenConfig(special_tokens=True))) == [
        "[CLS]",
        *"abcdefghij",
        "[SEP]",
    ]
    for side, kept in (("head", "abcdefgh"), ("tail", "cdefghij"), ("both", "abefghij")):
        data = QuestionsDataModule(**common, tokens=TokenConfig(max_seq_len=8, truncation_side=side))  # type: ignore[arg-type]
        assert first_row(data) == list(kept)
        assert data.truncated == {"predict": 1}
    data = QuestionsDataModule(**common, tokens=TokenConfig(max_seq_len=4, special_tokens=True))
    assert first_row(data) == ["[CLS]", "a", "b", "[SEP]"]
    save(WordPieceTokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]\na"), tmp_path / "pieces")
    data = QuestionsDataModule(tokenizer_path=str(tmp_path / "pieces"), predict=PredictConfig(["\u200b\u0301"]))
    assert first_row(data) == ["[UNK]"]  # the tokenizer drops all of it, and a net wants a token


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


def test_wrong_rows_of_a_text_file(tmp_path: Path) -> None:
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


def test_wrong_rows_of_csv(tmp_path: Path) -> None:
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
    # A mark of speech that opens a field is not closed lines further down: those rows would be gone unseen.
    (tmp_path / "said.tsv").write_text('text\tn\n"Who ?" he said\t1\n"Why\t2\nWhere ?\t3\nhow"\t4\n')
    warned(tmp_path / "said.tsv", [(2, "Where ?"), (3, 'how"')], "line 2: ", "line 3: a quote is not closed")


def test_wrong_rows_of_json_lines(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"predict": {"texts": []}}, "predict.texts is empty"),
        ({"predict": {"texts": ["a", " "]}}, "predict.texts: number 2: the text is empty"),
        ({"predict": {"texts": ["a\ud800"]}}, "predict.texts: number 1: half a character"),
        ({"predict": {"texts": ["a"], "path": "b.txt"}}, "predict.path b.txt and predict.texts are both given"),
        ({"path": "a", "text": {"hub": "b"}}, "path a and text.hub b are both given"),
        ({"split": {"val_fraction": 0.0}}, "split.val_fraction must be above 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1"),
        ({"tokens": {"max_seq_len": 2, "special_tokens": True}}, "tokens.max_seq_len 2 leaves no room"),
        ({"tokens": {"pool_batches": 0}}, "tokens.pool_batches must be at least 1"),
        ({"split": {"seed": -1}}, "split.seed must be at least 0"),
        ({"labels": "both"}, "labels must be one of"),
    ],
)
def test_refused_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        QuestionsDataModule(**kwargs)


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path .*: has no train_5500\.label"):
        _ = QuestionsDataModule(path=str(tmp_path)).splits
    (tmp_path / "a.doc").write_text("x")
    (tmp_path / "empty.txt").write_text("")
    for name, error, message in (
        ("none.txt", FileNotFoundError, "no such file"),
        ("a.doc", ValueError, "its ending tells nothing"),
        ("empty.txt", ValueError, "is empty"),
    ):
        with pytest.raises(error, match=rf"^predict.path .*{name}: {message}"):
            predicted(path=tmp_path / name)
    save(CharTokenizer("abc"), tmp_path / "char")
    with pytest.raises(
        ValueError, match=r"^tokenizer_path .*char: holds a tokenizer of the kind char, which has no pad"
    ):
        _ = QuestionsDataModule(tokenizer_path=str(tmp_path / "char")).vocab_size


class Table(list[dict[str, Any]]):
    """What ``datasets`` gives for a split, as far as it is used."""

    features: dict[str, Any] = {}  # noqa: RUF012


def with_hub(monkeypatch: pytest.MonkeyPatch, tables: Any) -> list[Any]:
    asked: list[Any] = []

    def load_dataset(*args: Any, **kwargs: Any) -> Any:
        asked.append((args, kwargs))
        if isinstance(tables, Exception):
            raise tables
        return tables

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_questions_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the columns of SetFit/TREC-QC, both parts of the class in one or in two, and of CogComp/trec."""
    questions = [(FINE[i % 50], f"question {i} about DESC ?") for i in range(200)]
    whole, parts, numbers = Table(), Table(), Table()
    numbers.features = {"fine_label": types.SimpleNamespace(names=FINE), "text": types.SimpleNamespace()}
    for label, text in questions:
        coarse, fine = label.split(":")
        whole.append({"text": text, "label": 3, "label_original": label, "label_coarse_original": coarse})
        parts.append({"text": text, "label_original": fine, "label_coarse_original": coarse, "label_text": "words"})
        numbers.append({"text": text, "fine_label": FINE.index(label)})
    for table in (whole, parts, numbers):
        asked = with_hub(monkeypatch, {"train": table, "test": Table(table[:40])})
        if table is numbers:
            with_hub(monkeypatch, {"train": table, "test": table})
        splits = QuestionsDataModule(text=TextConfig("SetFit/TREC-QC", "v1"), labels="fine").splits
        if table is not numbers:
            assert asked == [(("SetFit/TREC-QC", None), {"revision": "v1"})]
        found = dict(zip(splits["train"].texts, splits["train"].labels, strict=True))
        assert len(found) == 180
        assert all(FINE[found[text]] == label for label, text in questions if text in found)
    with_hub(monkeypatch, {"train": Table([{"text": "x", "label": "spam"}]), "test": Table()})
    with pytest.raises(ValueError, match=r"^text.hub me/spam: row 0 has no text with one of TREC's classes"):
        _ = QuestionsDataModule(text=TextConfig("me/spam")).splits
    with_hub(monkeypatch, {"train": whole})
    with pytest.raises(ValueError, match=r"^text.hub me/trec: has no split test"):
        _ = QuestionsDataModule(text=TextConfig("me/trec")).splits
    with_hub(monkeypatch, ConnectionError("no network"))
    with pytest.raises(
        ValueError, match=r"^text.hub me/trec could not be loaded \(ConnectionError: no network\); .*path$"
    ):
        _ = QuestionsDataModule(text=TextConfig("me/trec")).splits
