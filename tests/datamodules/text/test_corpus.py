"""The corpus: nanoGPT's split, tokenizers that see the training share alone, batches, resumption, clear refusals."""

import contextlib
import os
import random
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.loading.progress import with_progress
from datamodules.text import text_files
from datamodules.text.corpus import CorpusDataModule, WindowConfig
from datamodules.text.learned_tokenizer import TokenizerChoice
from datamodules.tokenizers import CharTokenizer, load, save
from seqlight.core.labels import IGNORED

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to", "man", "with", "red", "hat;", "naïve", "€"]
TEXT = "".join(" ".join(random.Random(i).choices(WORDS, k=9)) + "\n" for i in range(600))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def corpus(file: str, stage: str = "fit", **kwargs: Any) -> CorpusDataModule:
    data = CorpusDataModule(**{"path": file, "seq_len": 32, "batch_size": 8, "seed": 1} | kwargs)
    data.setup(stage)
    return data


def rows(loader: Any) -> dict[str, torch.Tensor]:
    batches = list(loader)
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def test_the_split_is_nanogpts(tmp_path: Path) -> None:
    text = "".join(random.Random(0).choices("abcdefgh \n", k=1_115_394))  # as long as tiny Shakespeare
    (tmp_path / "long.txt").write_text(text)
    data = CorpusDataModule(path=str(tmp_path / "long.txt"))
    cut = int(0.9 * len(text))
    assert data.train_text() == text[:cut]
    assert data.val_text() == data.test_text() == text[cut:]
    assert len(data.val_text()) == 111_540
    decoded = data.tokenizer.decode(data.stream("val").ids)
    assert decoded == text[cut:]


def test_splits_follow_each_other(file: str) -> None:
    data = corpus(file, split={"val_fraction": 0.2, "test_fraction": 0.1})
    train, val, test = data.train_text(), data.val_text(), data.test_text()
    assert train + val + test == TEXT
    assert [round(len(part) / len(TEXT), 3) for part in (train, val, test)] == [0.7, 0.2, 0.1]


@pytest.mark.parametrize(("kind", "size"), [("char", 1000), ("byte", 1000), ("unigram", 300), ("bpe", 300)])
def test_every_stage_gives_whole_batches(kind: str, size: int, file: str) -> None:
    data = corpus(file, tokenizer=kind, vocab_size=size)
    tokenizer = data.tokenizer
    assert data.vocab_size == tokenizer.vocab_size == {"char": 1 + len(set(TEXT)), "byte": 256}.get(kind, 300)
    batch = next(iter(data.train_dataloader()))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in batch.items()} == {
        "input_ids": (torch.int64, (8, 32)),
        "labels": (torch.int64, (8, 32)),
        "characters": (torch.int64, (8,)),
        "index": (torch.int64, (8,)),
    }
    assert torch.equal(batch["input_ids"][:, 1:], batch["labels"][:, :-1])
    for ids, labels, count in zip(batch["input_ids"], batch["labels"], batch["characters"], strict=True):
        if kind == "char":
            assert tokenizer.decode([*ids[:1], *labels]) in data.train_text()
        assert count == tokenizer.characters[labels].sum()
    data.setup("test")
    for loader in (data.val_dataloader(), data.test_dataloader()):
        whole = rows(loader)
        labels = whole["labels"][whole["labels"] != IGNORED]
        assert tokenizer.decode([*data.stream("val").ids[:1].tolist(), *labels.tolist()]) == data.val_text()
        first = int(tokenizer.characters[data.stream("val").ids[0]])
        assert whole["characters"].sum() == len(data.val_text()) - first


@pytest.mark.parametrize("kind", ["unigram", "bpe", "byte", "char", "word"])
def test_encoding_in_chunks_is_encoding_the_whole(kind: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "PIECE", 100)
    data = corpus(file, tokenizer=kind, vocab_size=300)
    ids = data.stream("train").ids
    assert ids.tolist() == data.tokenizer.encode(data.train_text())
    assert ids.dtype == (np.uint16 if kind in ("unigram", "bpe") else np.uint8)


def test_text_is_read_in_lower_case_without_punctuation(file: str) -> None:
    Path(file).write_text(TEXT.replace("the", "The,").replace("cat", "Tom-Cat"), encoding="utf-8")
    config = {"lower_case": True, "strip_punctuation": True, "min_count": 2}
    data = corpus(file, "predict", tokenizer="word", text=config, prompts=["THE tom; zebra"])
    tokenizer = data.tokenizer
    words = {word.lower().strip(";,") for word in [*WORDS, "tom"]} - {"€"}  # a sign of currency is no word
    known = set(tokenizer.pieces(range(4, tokenizer.vocab_size)))
    assert known - {"€"} == words
    (row,) = data.predict_set.__getitems__([0])["input_ids"].tolist()
    assert tokenizer.pieces(row) == ["the", "tom", "[UNK]"]
    assert tokenizer.decode(data.stream("val").ids[:200]).islower()
    for changed in ({**config, "strip_punctuation": False}, {**config, "min_count": 10**6}):
        with contextlib.suppress(ValueError):  # no word is so frequent
            assert corpus(file, tokenizer="word", text=changed).tokenizer.fingerprint != tokenizer.fingerprint
    with pytest.raises(ValueError, match=r"^prompts: nothing is left of '!' for the model"):
        corpus(file, "predict", tokenizer="word", text=config, prompts=["a", "!"])
    with pytest.raises(ValueError, match=r"^text.min_count must be at least 1"):
        corpus(file, text={"min_count": 0})


def test_tokenizers_learn_from_the_training_share_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(TEXT + "ZQ" * (len(TEXT) // 19))
    data = corpus(str(path), seq_len=8)
    assert "Z" in data.val_text()
    assert "Z" not in data.train_text()
    assert data.tokenizer.state()["alphabet"] == "".join(sorted(set(TEXT)))
    assert 0 in data.stream("val").ids  # the unknown symbol
    for kind in ("unigram", "bpe"):
        subwords = corpus(str(path), seq_len=8, tokenizer=kind, vocab_size=300).tokenizer
        assert not any("Z" in piece for piece in subwords.pieces(range(300)) if not piece.startswith("<0x"))


def test_nothing_is_done_twice_and_a_new_text_is_seen(file: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = corpus(file, tokenizer="bpe", vocab_size=300)
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    with monkeypatch.context() as patch:
        patch.setattr(TokenizerChoice, "learn", None)
        patch.setattr(text_files.TextFiles, "pieces", None)
        again = corpus(file, tokenizer="bpe", vocab_size=300)
    assert again.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == made
    Path(file).write_text(TEXT.replace("cat", "cow"))
    changed = corpus(file, tokenizer="bpe", vocab_size=300)
    assert "cow" in changed.train_text()
    assert changed.tokenizer.decode(changed.stream("train").ids) == changed.train_text()


@pytest.mark.parametrize("crops", ["random", "tiled"])
def test_training_resumes_in_the_middle_of_an_epoch(crops: Any, file: str) -> None:
    windows = WindowConfig(crops, epoch_size=40)
    whole = corpus(file, windows=windows)
    expected = [batch["input_ids"] for _ in range(3) for batch in whole.train_dataloader()]
    begun = corpus(file, windows=windows)
    loader = begun.train_dataloader()
    for _, batch in zip(range(5), loader, strict=False):
        last = batch
    batches = iter(loader)
    next(batches), next(batches)
    state = begun.state_dict()
    assert torch.equal(last["input_ids"], expected[4])
    assert state["rows"] == 16
    for setup_first in (True, False):
        resumed = CorpusDataModule(path=file, seq_len=32, batch_size=8, windows=windows)
        resumed.seed = 99  # the run's own, which gives way to the checkpoint's
        for step in (resumed.setup, resumed.load_state_dict)[:: 1 if setup_first else -1]:
            step("fit" if step == resumed.setup else state)  # type: ignore[operator]
        rest = [batch["input_ids"] for batch in resumed.train_dataloader()]
        assert resumed.train_set.seed == 1
        if setup_first:
            assert all(map(torch.equal, rest, expected[5 * state["epoch"] + 2 : 5 * state["epoch"] + 5]))
            assert len(rest) == 3


def test_a_tokenizer_that_is_given_leaves_the_corpus_alone(tmp_path: Path, file: str) -> None:
    save(CharTokenizer("abc "), tmp_path / "t.ckpt")
    data = CorpusDataModule(path="/nowhere", tokenizer_path=str(tmp_path / "t.ckpt"), prompts=["a cab?", "b"])
    assert data.vocab_size == 5
    data.setup("predict")
    (batch,) = data.predict_dataloader()
    assert batch["prompts"] == ["a cab?", "b"]
    assert batch["lengths"].tolist() == [6, 1]
    assert batch["index"].tolist() == [0, 1]
    assert batch["input_ids"].tolist() == [[2, 1, 4, 2, 3, 0], [3, 0, 0, 0, 0, 0]]  # "?" is unknown; padding is 0
    assert data.tokenizer.decode(batch["input_ids"][0]) == "a cab\ufffd"
    with pytest.raises(FileNotFoundError, match=r"^path /nowhere: no such file"):
        data.setup("fit")


def test_prompts_come_from_a_list_a_file_or_nowhere(tmp_path: Path, file: str) -> None:
    (tmp_path / "p").write_text("Once upon\n  a time \n")
    data = corpus(file, "predict", prompts=str(tmp_path / "p"), stop=["."])
    (batch,) = data.predict_dataloader()
    assert batch["prompts"] == ["Once upon", "  a time "]
    assert batch["stop"] == ["."]
    (batch,) = corpus(file, "predict").predict_dataloader()
    assert batch["prompts"] == ["The "]
    assert "stop" not in batch
    (tmp_path / "p").write_text("one\n\nthree\n")
    with pytest.raises(ValueError, match=r"^prompts .*p: number 2 is empty"):
        corpus(file, "predict", prompts=str(tmp_path / "p"))
    (tmp_path / "p").write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match=r"^prompts .*p: byte 2 is not UTF-8"):
        corpus(file, "predict", prompts=str(tmp_path / "p"))
    with pytest.raises(FileNotFoundError, match=r"^prompts .*gone: no such file"):
        corpus(file, "predict", prompts=str(tmp_path / "gone"))


def test_the_embedded_text_is_english_and_long() -> None:
    data = CorpusDataModule(seq_len=64)
    assert sum(stop - start for start, stop in data.ranges.values()) > 400_000
    assert data.train_text().lower().split().count("the") > 3000
    assert 80 < data.vocab_size < 250
    data.setup("fit")
    assert next(iter(data.val_dataloader()))["input_ids"].shape == (64, 64)


class Rows(list):
    """What ``datasets`` gives for a split, as far as it is used."""

    def __init__(self, texts: list[str | None], **columns: str) -> None:
        super().__init__({"text": text} for text in texts)
        self.features = {name: types.SimpleNamespace(dtype=dtype) for name, dtype in columns.items()}


def test_a_hub_data_set_is_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(*args: Any, **kwargs: Any) -> dict[str, Rows]:
        asked.append((args, kwargs))
        kinds = {"label": "int64", "text": "string"}
        return {
            "test": Rows(["sixth " * 9], **kinds),
            "train": Rows(["first " * 9, "second\n", "", None, "third"], **kinds),
            "validation": Rows([" fourth", "fifth\n\n"], **kinds),
        }

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    data = CorpusDataModule(text={"hub": "me/texts:small", "revision": "v1"})
    expected = "first " * 9 + "\nsecond\nthird fourth\nfifth\n\n" + "sixth " * 9
    assert "".join(data.text.pieces()) == expected
    assert "".join(CorpusDataModule(text={"hub": "me/texts:small", "revision": "v1"}).text.pieces()) == expected
    assert asked == [(("me/texts", "small"), {"revision": "v1"})]  # once, then from the cache
    with pytest.raises(ValueError, match=r"^text\.column 'label' is no column of text in me/texts; it has text"):
        _ = CorpusDataModule(text={"hub": "me/texts", "column": "label"}).text


def test_without_a_network_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("Couldn't reach 'me/texts' on the Hub")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(ValueError, match=r"^text\.hub me/texts could not be loaded \(ConnectionError: .*--data\.path$"):
        _ = CorpusDataModule(text={"hub": "me/texts"}).vocab_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seq_len": 0}, "seq_len must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"seed": -1}, r"seed must be at least 0 and at most 9223372036854775807, not -1"),
        ({"num_workers": -1}, "num_workers must be at least 0 and at most 256, not -1"),
        ({"vocab_size": 0}, "vocab_size must be at least 1"),
        ({"tokenizer": "words"}, "tokenizer must be one of 'char'"),
        ({"windows": {"epoch_size": 0}}, "windows.epoch_size must be at least 1"),
        ({"windows": {"crops": "all"}}, "windows.crops must be one of 'random'"),
        ({"windows": {"stride": 300}}, "windows.stride must be at most 256, not 300"),
        ({"windows": {"stride": 3, "eval_size": 4}}, "windows.stride 3 and eval_size 4 exclude each other"),
        ({"split": {"val_fraction": 0.0}}, "split.val_fraction must be above 0"),
        (
            {"split": {"val_fraction": 0.5, "test_fraction": 0.5}},
            "split.test_fraction must be .* below 0.5",
        ),
        ({"prompts": []}, "prompts: there are none"),
        ({"prompts": ["a", ""]}, "prompts: number 2 is empty"),
        ({"stop": [""]}, "stop holds an empty string"),
        ({"path": "a", "text": {"hub": "b"}}, "path a and text.hub b are both given"),
    ],
)
def test_arguments_are_checked_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        CorpusDataModule(**arguments)


def test_texts_that_do_not_serve_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    for text, arguments, message in (
        (b"", {}, r"path .*t\.txt: the text is empty"),
        (b"abc", {}, r"seq_len 32 is too long for the train text of 2 tokens.* below 2"),
        (b"a" * 100, {}, r"seq_len 32 is too long for the val text of 10 tokens.* below 10"),
        (b"a", {}, r"split\.val_fraction 0\.1 leaves no character to train on"),
        (b"ab\xffcd", {}, r"path .*t\.txt: byte 2 \(0xff\) is not utf-8.*--data\.text\.encoding"),
        (TEXT.encode(), {"tokenizer": "bpe", "vocab_size": 9999}, r"vocab_size 9999 is too big for this text"),
        (TEXT.encode(), {"text": {"encoding": "klingon"}}, r"text\.encoding 'klingon' is not known"),
    ):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=f"^{message}"):
            corpus(str(path), **arguments)
        os.utime(path, ns=(0, 0))


def test_long_work_is_bounded_and_shows_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = CharTokenizer.encode_array

    def watched(self: CharTokenizer, text: str) -> np.ndarray:
        sizes.append(len(text))
        return encode(self, text)

    monkeypatch.setattr(CharTokenizer, "encode_array", watched)
    monkeypatch.setattr(text_files, "PIECE", 1000)
    path = tmp_path / "t.txt"
    path.write_text("x" * 50_000 + TEXT)
    data = corpus(str(path))
    assert max(sizes) <= max(text_files.LONGEST_LINE, 5000)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 4000)
    (data.stream("train").path).unlink()
    sizes.clear()
    again = data.stream("train")
    assert max(sizes) <= 5000
    assert data.tokenizer.decode(again.ids) == data.train_text()
    assert list(with_progress(["a", "bc"], 3, "reading")) == ["a", "bc"]


def test_the_state_fits_a_checkpoint(tmp_path: Path, file: str) -> None:
    data = corpus(file, tokenizer="unigram", vocab_size=300)
    torch.save({"tokenizer": data.tokenizer.state(), "datamodule": dict(data.hparams)}, tmp_path / "c.ckpt")
    assert torch.load(tmp_path / "c.ckpt", weights_only=True)["datamodule"]["vocab_size"] == 300
    assert load(tmp_path / "c.ckpt").fingerprint == data.tokenizer.fingerprint


def test_a_book_is_read_once_and_what_nobody_meant_not_at_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, content in {
        "b.TXT": "second\n", "a.txt": TEXT, "a (1).txt": TEXT, ".ipynb_checkpoints/a-checkpoint.txt": TEXT,
        "._a.txt": "x", "a.txt~": TEXT, "notes.md": "x",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    data = corpus(str(tmp_path), split={"val_fraction": 0.1})
    assert data.train_text() + data.val_text() == TEXT + "second\n"
    assert "3 hidden or backup files (._a.txt, .ipynb_checkpoints/a-checkpoint.txt, a.txt~)" in caplog.text
    assert "1 other file (notes.md), 1 copy (a.txt as a (1).txt)" in caplog.text
    found = text_files.find_text_files(str(tmp_path / "*"))
    assert [file.name for file in found] == ["a (1).txt", "b.TXT", "notes.md"]
    assert [file.name for file in text_files.find_text_files(str(tmp_path / "*~"))] == ["a.txt~"]


def test_files_in_utf_16_are_read_beside_others(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-16")
    (tmp_path / "b.txt").write_text("b" + TEXT, encoding="utf-8-sig", newline="\r\n")
    data = corpus(str(tmp_path))
    assert data.train_text() + data.val_text() == TEXT + "b" + TEXT


def test_each_reading_of_the_text_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = []

    class Bar(contextlib.nullcontext):
        def __init__(self, total: int, desc: str, unit: str, **kwargs: Any) -> None:
            super().__init__(self)
            self.total, self.desc, self.unit, self.done = total, desc, unit, 0
            assert kwargs == {"unit_scale": True, "delay": 1, "disable": None, "leave": False}
            bars.append(self)

        def update(self, count: int) -> None:
            self.done += count

    monkeypatch.setattr("tqdm.tqdm", Bar)
    monkeypatch.setattr(text_files, "PIECE", 100)
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(TEXT + name, encoding="utf-8")
    data = corpus(str(tmp_path))
    data.stream("val")
    size, characters = len(TEXT.encode()) + 1, len(TEXT) + 1
    assert size > characters
    train = int(0.9 * 2 * characters)
    assert [(bar.desc, bar.unit, bar.total) for bar in bars] == [
        ("counting the text's characters", "B", 2 * size),
        ("reading the text for the tokenizer", "char", train),
        ("encoding the train text", "char", train),
        ("encoding the val text", "char", 2 * characters - train),
    ]
    assert all(bar.done == bar.total for bar in bars)


@pytest.mark.parametrize("kind", ["char", "byte", "unigram", "bpe"])
def test_a_tiled_pass_reads_all_characters_whatever_the_tokens(kind: str, file: str) -> None:
    """On which sweeps/text/subword_vs_char_passes rests: equal passes are equal characters."""
    data = corpus(file, tokenizer=kind, vocab_size=300, windows=WindowConfig("tiled"), seq_len=8)
    left_out = len(data.train_text()) - int(rows(data.train_dataloader())["characters"].sum())
    assert 0 < left_out <= 2 * 8 * data.tokenizer.characters.max()
