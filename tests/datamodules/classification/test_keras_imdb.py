"""Keras' IMDb file and word index: the ids of load_data, both truncations, and no code that is run."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import ReviewsDataModule
from datamodules.classification.groups import TokenConfig
from datamodules.classification.keras_imdb import read_imdb
from datamodules.tokenizers import WordIndexTokenizer, from_state

WORDS = [
    "the",
    "a",
    "film",
    "was",
    "great",
    "bad",
    "don't",
    "awful",
    "br",
    "really",
    "long",
    "one",
    "after",
    "or",
    "of",
]
RANKS = [[1, 3, 4, 5], [2, 3, 99], [7, 8], [*range(1, 16)]] * 10  # 99 has no word
LABELS = [1, 0, 0, 1] * 10


def write(folder: Path, rows: Any = RANKS, labels: Any = LABELS, index: Any = None) -> str:
    lists = np.empty(len(rows), dtype=object)
    lists[:] = rows
    (folder / "imdb_word_index.json").write_text(
        json.dumps({word: rank for rank, word in enumerate(WORDS, 1)} if index is None else index)
    )
    path = folder / "imdb.npz"
    np.savez(path, x_train=lists, y_train=np.array(labels), x_test=lists, y_test=np.array(labels))
    return str(path)


def keras_ids(rows: list[list[int]], num_words: int, maxlen: int, truncating: str) -> list[list[int]]:
    """What ``load_data(num_words=...)`` and ``pad_sequences(maxlen=..., truncating=...)`` give, without the padding."""
    found = [[1, *(rank + 3 for rank in row)] for row in rows]
    found = [[w if w < num_words else 2 for w in row] for row in found]
    return [row[-maxlen:] if truncating == "pre" else row[:maxlen] for row in found]


@pytest.mark.parametrize("num_words", [8, 10, 5000])
@pytest.mark.parametrize(("side", "truncating"), [("head", "post"), ("tail", "pre")])
def test_the_ids_are_those_of_keras(num_words: int, side: Any, truncating: str, tmp_path: Path) -> None:
    tokens = TokenConfig(max_seq_len=6, truncation_side=side)
    data = ReviewsDataModule(path=write(tmp_path), tokenizer="words", vocab_size=num_words, tokens=tokens)
    assert data.class_names == ["neg", "pos"]
    data.setup("test")
    known = [[rank if rank <= len(WORDS) else 10**6 for rank in row] for row in RANKS]
    batch = data.test_set.__getitems__(range(len(RANKS)))
    order = batch["index"].argsort()  # rows of like length share a batch
    masks = batch["attention_mask"].bool()
    ids = [row[mask].tolist() for row, mask in zip(batch["input_ids"][order], masks[order], strict=True)]
    assert ids == keras_ids(known, num_words, 6, truncating)
    assert batch["labels"][order].tolist() == LABELS
    assert data.pad_id == 0
    assert data.vocab_size == min(num_words, 4 + len(WORDS))
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 36, "val": 4, "test": 40}


def test_texts_of_users_are_split_as_keras_splits_them(tmp_path: Path) -> None:
    data = ReviewsDataModule(path=write(tmp_path), tokenizer="words", vocab_size=5000)
    tokenizer = data.tokenizer
    assert isinstance(tokenizer, WordIndexTokenizer)
    assert tokenizer.pieces(tokenizer.encode("The film, really: DON'T!\nAwful<br />zebra")) == [
        "[CLS]", "the", "film", "really", "don't", "awful", "br", "[UNK]",
    ]  # fmt: skip
    again = from_state(tokenizer.state())
    assert isinstance(again, WordIndexTokenizer)
    assert again.encode("a great film") == tokenizer.encode("a great film") == [1, 5, 8, 6]
    learned = ReviewsDataModule(path=write(tmp_path), vocab_size=100)  # any other tokenizer reads the words as text
    assert learned.tokenizer.kind == "wordpiece"


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_every_kind_are_read(protocol: int, tmp_path: Path) -> None:
    path = write(tmp_path)
    lists = np.empty(2, dtype=object)
    lists[:] = [[1, 3], [3]]
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    content = stream.getvalue() + pickle.dumps(lists, protocol=protocol).replace(b"numpy._core.", b"numpy.core.")
    if protocol == 4:  # its names have a length before them
        content = stream.getvalue() + pickle.dumps(lists, protocol=protocol)
    replace(Path(path), "x_train.npy", content)
    replace(Path(path), "y_train.npy", saved(np.array([1, 0])))
    assert [review.text for review in read_imdb(path) if review.split == "train"] == ["the film", "film"]


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def replace(path: Path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in held.items():
            archive.writestr(name, content if name == member else old)


class Calls:
    """A pickle of it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


@pytest.mark.parametrize("function", [os.mkdir, eval, getattr, np.load], ids=lambda function: function.__name__)
def test_no_function_is_called(function: Callable[..., Any], tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    arguments = (f"__import__('os').mkdir({str(harm)!r})",) if function is eval else (str(harm),)
    for rows in ([[1, Calls(function, *arguments)]], [Calls(function, *arguments)]):
        with pytest.raises(ValueError, match=r"^path: the file holds a Python object, .*which could run code"):
            read_imdb(write(tmp_path, rows, [1]))
    assert not harm.exists()


@pytest.mark.parametrize(
    ("rows", "labels", "said"),
    [
        ([[1, 2.5]], [1], "something else than lists of whole numbers"),
        ([[1, True]], [1], "something else than lists of whole numbers"),
        (["the film"], [1], "something else than lists of whole numbers"),
        ([[1] * 100_001], [1], "or too many"),
        ([[1]], [2], "other labels than 0 and 1"),
        ([[1], [2]], [1], "has 2 reviews and 1 labels in train"),
        ([[]], [1], "review 0 of train: the text is empty"),
    ],
)
def test_other_contents_are_refused(rows: Any, labels: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^path .*imdb.npz.*{said}"):
        read_imdb(write(tmp_path, rows, labels))


@pytest.mark.parametrize(
    "index", [{}, [], {"the": 2}, {"the": 1, "a": 1}, {"the": "1"}, {"the film": 1}, {"the": True}]
)
def test_other_word_indices_are_refused(index: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^path .*imdb_word_index.json: .*(is no word|no word index)"):
        read_imdb(write(tmp_path, index=index))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path .*other.npz: no such file"):
        read_imdb(str(tmp_path / "other.npz"))
    path = Path(write(tmp_path))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"^path .*imdb.npz: is not Keras' imdb.npz, or damaged"):
        read_imdb(str(path))
    packed = np.load(write(tmp_path), allow_pickle=True)
    np.savez_compressed(path, **packed)  # as Keras' own is
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10  # within the first packed array
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^path .*imdb.npz: is not Keras' imdb.npz, or damaged"):
        read_imdb(str(path))
    (tmp_path / "imdb_word_index.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"imdb_word_index.json of Keras must be in the same folder"):
        read_imdb(str(path))
