"""TaggingDataModule: splits, labels, spans, the hub, sentences to predict."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import TaggingDataModule
from datamodules.tagging.groups import ColumnConfig, TagHubConfig, TagPredict, TagSplit, TagTokens
from datamodules.tokenizers import from_state
from seqlight.core.labels import IGNORED

TRAIN = "the D\ndog N\nbarks V\n\ndogs N\nbark V\n\nthe D\ncat N\n\n"


def written(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return str(folder)


def test_a_folder_has_a_file_for_each_split(tmp_path: Path) -> None:
    path = written(tmp_path, train_tsv=TRAIN, dev_tsv="a D\ncat N\n", test_tsv="dogs N\n")
    data = TaggingDataModule(path, batch_size=2, seed=0)
    assert data.class_names == ["D", "N", "V"]
    for stage in ("fit", "test"):
        data.setup(stage)
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [3, 1, 1]
    assert "3 train (7 words), 1 val (2 words), 1 test (1 words), with 3 labels" in data.summary()
    batch = data.val_set.__getitems__([0])
    assert batch["labels"].tolist() == [[0, 1]]
    (tmp_path / "train.tsv").unlink()
    again = TaggingDataModule(**{**data.hparams, "tokenizer_path": None})  # labels are in the hyperparameters
    assert [one.words for one in again.read("test")] == [["dogs"]]


@pytest.mark.parametrize("name", ["en_ewt-ud-dev.conllu", "eng.testa", "validation.txt", "my_val.tsv"])
def test_names_of_files(tmp_path: Path, name: str) -> None:
    conllu = "1\ta\t_\tD\t_\t_\t_\t_\t_\t_\n" if name.endswith("conllu") else "a D\n"
    (tmp_path / name).write_text(conllu)
    data = TaggingDataModule(written(tmp_path, train_tsv=TRAIN))
    assert [one.words for one in data.read("val")] == [["a"]]


def test_files_that_nobody_meant_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, train_TSV=TRAIN, dev_tsv="a D\ncat N\n", test_tsv="dogs N\n")
    for name in ("._train.tsv", "train.tsv~", "train.bak.tsv"):
        (tmp_path / name).write_bytes(b"\0")
    data = TaggingDataModule(path)
    assert [len(data.read(name)) for name in ("train", "val")] == [3, 1]  # type: ignore[arg-type]
    assert caplog.text.count("passed over: 3 hidden or backup files (._train.tsv, train.bak.tsv, train.tsv~)") == 1


def test_fractions_of_one_file_are_apart_and_the_same_for_every_seed_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "all.tsv"
    path.write_text("".join(f"w{i} {'AB'[i % 2]}\n\n" for i in range(40)))
    parts = []
    for seed in (1, 2):
        data = TaggingDataModule(str(path), split=TagSplit(val_fraction=0.2, test_fraction=0.1), seed=seed)
        parts.append([[one.words[0] for one in data.read(name)] for name in ("train", "val", "test")])  # type: ignore[arg-type]
    assert parts[0] == parts[1]
    assert list(map(len, parts[0])) == [28, 8, 4]
    assert len({word for part in parts[0] for word in part}) == 40
    other = TaggingDataModule(str(path), split=TagSplit(test_path=str(path), val_fraction=0.5))
    assert [len(other.read(name)) for name in ("train", "val", "test")] == [20, 20, 40]  # type: ignore[arg-type]


def test_a_batch_holds_each_different_word_once() -> None:
    data = TaggingDataModule(columns=ColumnConfig(label=2), batch_size=4, seed=0)
    data.setup("fit")
    batch = data.train_set.__getitems__(list(range(4)))
    words = [data.train_set.rows.sentences[row] for row in batch["index"].tolist()]
    lengths = list(map(len, words))
    assert batch["word_mask"].sum(1).tolist() == lengths
    assert batch["spellings"].shape[0] == len({word for sentence in words for word in sentence})
    for row, sentence in enumerate(words):
        for place, word in enumerate(sentence):
            spelled = batch["spellings"][batch["spelling_of"][row, place]]
            assert spelled[spelled != 0].tolist() == data.tokenizer.spelling(word).tolist()
        assert batch["labels"][row, len(sentence) :].eq(IGNORED).all()
        assert batch["labels"][row, : len(sentence)].ge(0).all()


def test_labels_that_training_does_not_have_are_refused_by_their_line(tmp_path: Path) -> None:
    path = written(tmp_path, train_tsv=TRAIN, dev_tsv="a D\n\ncat N\nsat X\n", test_tsv="a D\n")
    with pytest.raises(ValueError, match=r"dev\.tsv: line 4: the label 'X' is none of the 3 of training \(D, N, V\)"):
        TaggingDataModule(path).setup("fit")
    data = TaggingDataModule(path, classes=["D", "N", "V", "X"])
    data.setup("fit")
    assert data.val_set.labels == [[0], [1, 3]]


def test_spans_are_checked_and_repaired(tmp_path: Path) -> None:
    path = written(tmp_path, train_tsv="a B-P\nb I-P\nc O\n\na O\nb I-L\n", dev_tsv="a B-P\nb I-L\n", test_tsv="a O\n")
    with pytest.raises(ValueError, match=r"train\.tsv: line 6: I-L follows O, but must follow B-L or I-L; mend it, or"):
        _ = TaggingDataModule(path).class_names
    data = TaggingDataModule(path, columns=ColumnConfig(bio="repair"))
    with pytest.warns(UserWarning, match=r"1 I- labels .* were made B-, the first at .*train\.tsv: line 6"):
        assert data.class_names == ["B-L", "B-P", "I-P", "O"]
    with pytest.warns(UserWarning, match=r"the first at .*dev\.tsv: line 2"):
        assert data.read("val")[0].labels == ["B-P", "B-L"]
    ignored = TaggingDataModule(path, columns=ColumnConfig(bio="ignore"))
    assert ignored.class_names == ["B-P", "I-L", "I-P", "O"]
    assert TaggingDataModule(written(tmp_path, train_tsv="a I-x\nb Y\n")).class_names == ["I-x", "Y"]  # not BIO


def test_a_table_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    class Table(list[dict[str, Any]]):
        features: dict[str, Any] = {  # noqa: RUF012
            "tokens": types.SimpleNamespace(),
            "ner_tags": types.SimpleNamespace(feature=types.SimpleNamespace(names=["O", "B-P"])),
        }

    rows = [{"tokens": ["a", "b\u00a0c"], "ner_tags": [1, 0]}, {"tokens": [], "ner_tags": []}] * 6
    tables = {"train": Table(rows), "validation": Table(rows[:2])}
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=lambda *_, **__: tables))
    data = TaggingDataModule(text=TagHubConfig("eriktks/conll2003"), split=TagSplit(test_fraction=0.5))
    assert data.class_names == ["B-P", "O"]
    assert [len(data.read(name)) for name in ("train", "val", "test")] == [3, 1, 3]  # type: ignore[arg-type]
    assert data.read("val")[0].words == ["a", "b c"]
    tables["train"].append({"tokens": ["a"], "ner_tags": [1, 0]})
    with pytest.raises(ValueError, match=r"^text\.hub x/y, split train: row 12 has 1 words, but 2 labels"):
        TaggingDataModule(text=TagHubConfig("x/y")).read("train")
    with pytest.raises(ValueError, match=r"has no column 'words' but tokens, ner_tags; give --data\.text\.words"):
        TaggingDataModule(text=TagHubConfig("x/y", words="words")).read("train")


def test_sentences_to_predict_come_back_in_their_columns(tmp_path: Path) -> None:
    data = TaggingDataModule(written(tmp_path, train_tsv=TRAIN, dev_tsv="a D\n", test_tsv="a D\n"), batch_size=2)
    _ = data.class_names, data.tokenizer
    for name, text, wanted in (
        ("in.tsv", "the ?\ndog ?\n\ncat !\n", "the ? N\ndog ? N\n\ncat ! N\n\n"),
        ("in.txt", "The dogs bark.\n\nWho?\n", "The N\ndogs N\nbark N\n. N\n\nWho N\n? N\n\n"),
        ("in.conllu", "1\ta\t" + "\t".join("_" * 8) + "\n", "1\ta\t_\tN" + "\t_" * 6 + "\n\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        data.predict = TagPredict(path=str(path))
        data.setup("predict")
        batch = data.predict_set.__getitems__(list(range(len(data.predict_set))))
        assert "labels" not in batch
        order = sorted(zip(batch["index"].tolist(), batch["words"], strict=True))
        data.write_predictions(tmp_path, [{"labels": ["N"] * len(words)} for _, words in order])
        made = tmp_path / ("predictions.conllu" if name.endswith("conllu") else "predictions.conll")
        assert made.read_text() == wanted
    data.predict = TagPredict()
    data.setup("predict")
    assert len(data.predict_set) == len(data.EXAMPLES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": "a", "text": TagHubConfig("b")}, r"path a and text\.hub b are both given"),
        ({"classes": ["A"]}, "classes must be two or more different labels"),
        ({"classes": ["A", "A"]}, "classes must be two or more different labels"),
        ({"tokens": {"max_pieces": 2}}, r"tokens\.max_pieces must be at least 3, not 2"),
        (
            {"split": {"val_fraction": 0.6, "test_fraction": 0.5}},
            r"split\.test_fraction must be above 0 and below 0\.4",
        ),
        ({"predict": {"texts": ["a", " "]}}, r"predict\.texts must be sentences with words"),
        ({"predict": {"texts": ["a"], "path": "b"}}, r"predict\.path b and predict\.texts are both given"),
        ({"columns": {"label": 1}}, r"columns\.label: .* different labels in generated sentences"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _ = TaggingDataModule(**settings).class_names


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, train_tsv="a X\n\nb X\n", dev_tsv="a X\n", test_tsv="a X\n")
    with pytest.raises(ValueError, match=r"columns\.label: all labels of path .*train\.tsv are 'X'"):
        _ = TaggingDataModule(path).class_names
    written(tmp_path, train_txt=TRAIN)
    with pytest.raises(
        ValueError, match=r"has several files for train \(train\.tsv, train\.txt\); name one by --data\.path"
    ):
        _ = TaggingDataModule(path).class_names
    for file in tmp_path.glob("train*"):
        file.unlink()
    with pytest.raises(ValueError, match="has no file for training"):
        _ = TaggingDataModule(path).class_names
    (tmp_path / "one.tsv").write_text("a X\nb Y\n")
    with pytest.raises(ValueError, match="path: 1 sentences leave none for"):
        _ = TaggingDataModule(str(tmp_path / "one.tsv")).class_names


def test_subwords_of_a_folder(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "##s", "bark", "cat"]
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    folder = written(tmp_path, train_tsv=TRAIN, dev_tsv="The D\ndogs N\n\u200b V\n", test_tsv="a D\n")
    tokens = TagTokens(min_count=1)
    data = TaggingDataModule(folder, tokenizer_path=str(tmp_path), tokens=tokens, batch_size=2)
    data.setup("fit")
    batch = data.val_set.__getitems__([0])
    assert batch["input_ids"].tolist() == [[2, 5, 6, 7, 1, 3]]
    assert batch["first_tokens"].tolist() == [[1, 2, 4]]
    rows = data.train_set.rows  # batches are sorted by subwords, not by words
    made = [rows.batch(np.array([row]))["input_ids"].shape[1] for row in range(len(rows))]
    assert rows.lengths.tolist() == made
    assert rows.lengths.tolist() != [len(sentence) + 2 for sentence in rows.sentences]
    assert data.vocab_size == len(pieces)
    again = from_state(data.tokenizer.state())
    assert again.fingerprint == data.tokenizer.fingerprint
    for name, tensor in again.batch([["The", "dogs", "\u200b"]]).items():  # type: ignore[attr-defined]
        assert torch.equal(tensor, batch[name]), name
    with pytest.raises(ValueError, match=r"train\.tsv: line 1: a sentence of 6 subwords begins here, more than tokens"):
        TaggingDataModule(folder, tokenizer_path=str(tmp_path), tokens=TagTokens(max_pieces=5)).setup("fit")
