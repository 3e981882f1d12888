"""Keras' IMDb data: ``imdb.npz``, reviews as lists of ranks, and ``imdb_word_index.json``, the words of the ranks.

The lists are pickled arrays of objects, and a pickle can call any function. Here it cannot: the unpickler knows
stand-ins for the names of NumPy with which an array is pickled, and refuses every other name.
"""

import io
import json
import pickle
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np

from datamodules.classification.labelled_files import MAX_TEXT, text_fault
from datamodules.classification.review_folders import Review
from datamodules.tokenizers.base import UNKNOWN
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.paths import expanded

INDEX_FILE = "imdb_word_index.json"
CLASSES = ("neg", "pos")  # labels 0 and 1
MAX_ARRAY = 500_000_000  # bytes of one unpacked array; the largest of Keras' file has some 20 MB
MAX_NUMBERS = 50_000_000  # of the lists of one array, which may be one list many times; Keras' have six million
MAX_CHARACTERS = 1_000_000_000  # of all reviews
MAX_WORDS, MAX_WORD = 2_000_000, 200  # words of the index, characters of a word


def read_imdb(path: str, name: str = "path") -> list[Review]:
    """The reviews of Keras' file, words with single spaces between them; a rank without a word is U+FFFD.

    Args:
        path: ``imdb.npz``; ``imdb_word_index.json`` is in the same folder.
        name: Argument that gave the path, for messages.

    Raises:
        FileNotFoundError: One of the two files does not exist.
        UserError: A file is not Keras', or holds Python objects other than lists of numbers.
    """
    place = expanded(path)
    if not place.is_file():
        raise FileNotFoundError(f"{name} {path}: no such file")
    words = [UNKNOWN, *read_word_index(path, name)]
    reviews, size = [], 0
    try:
        with zipfile.ZipFile(place) as archive:
            for split in ("train", "test"):
                rows, labels = _rows(archive, f"x_{split}.npy"), _labels(archive, f"y_{split}.npy")
                if len(rows) != len(labels):
                    raise UserError(f"{name} {path}: has {len(rows)} reviews and {len(labels)} labels in {split}")
                for row, (ranks, label) in enumerate(zip(rows, labels, strict=True)):
                    text = " ".join(words[rank] if 0 < rank < len(words) else UNKNOWN for rank in ranks)
                    size += len(text)
                    if (fault := text_fault(text)) or size > MAX_CHARACTERS:
                        raise ValueError(f"review {row} of {split}: {fault or 'the texts are too long'}")
                    reviews.append(Review(text, CLASSES[label], split))
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError, *_DAMAGE) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name} {path}: is not Keras' imdb.npz, or damaged ({reason_of(error)})") from error
    return reviews


def read_word_index(path: str, name: str = "path") -> list[str]:
    """The words beside Keras' file, in the order of their ranks from 1 on. Its errors are :func:`read_imdb`'s."""
    file = expanded(path).with_name(INDEX_FILE)
    if not file.is_file():
        raise FileNotFoundError(f"{name} {path}: {INDEX_FILE} of Keras must be in the same folder, and is not")
    try:
        index = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} {file}: is no JSON ({str(error)[:100]})") from error
    ranks = index.values() if isinstance(index, dict) else ()
    if not ranks or not all(type(rank) is int for rank in ranks) or set(ranks) != set(range(1, len(index) + 1)):
        raise UserError(f"{name} {file}: is no word index, which gives each word a rank of 1 to their number")
    if len(index) > MAX_WORDS:
        raise UserError(f"{name} {file}: has {len(index):,} words; at most {MAX_WORDS:,} are read")
    for word in index:
        if not 0 < len(word) <= MAX_WORD or " " in word or "\n" in word:
            raise UserError(f"{name} {file}: {word[:40]!r} is no word")
    return sorted(index, key=index.__getitem__)


_DAMAGE = (
    TypeError, IndexError, AttributeError, OverflowError, MemoryError, NotImplementedError, RuntimeError, zlib.error,
)  # fmt: skip


def _rows(archive: zipfile.ZipFile, member: str) -> Sequence[Sequence[int]]:
    """The lists of an array of objects."""
    stream = _member(archive, member)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject or len(shape) != 1:
        raise ValueError(f"{member} is no list of lists")
    made = _NumbersUnpickler(stream, encoding="latin1").load()
    rows = made.rows if isinstance(made, _Array) else None
    if not isinstance(rows, list) or len(rows) != shape[0]:
        raise ValueError(f"{member} is no list of lists")
    left = MAX_NUMBERS
    for row in rows:
        left -= len(row) if isinstance(row, list) else left + 1
        if left < 0 or len(row) > MAX_TEXT or not all(type(rank) is int for rank in row):
            raise ValueError(f"{member} holds something else than lists of whole numbers, or too many")
    return rows


def _labels(archive: zipfile.ZipFile, member: str) -> list[int]:
    labels = np.lib.format.read_array(_member(archive, member), allow_pickle=False)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{member} holds other labels than 0 and 1")
    return labels.tolist()


def _member(archive: zipfile.ZipFile, member: str) -> BinaryIO:
    size = archive.getinfo(member).file_size
    if size > MAX_ARRAY:
        raise ValueError(f"{member} is larger than {MAX_ARRAY / 1e6:.0f} MB")
    with archive.open(member) as stream:
        return io.BytesIO(stream.read(size))


class _Array:
    """Stands for an array of objects: keeps the list that it is filled with."""

    rows: Any = None

    def __setstate__(self, state: Any) -> None:
        self.rows = state[4]  # after version, shape, dtype and order


class _Dtype:
    """Stands for the array's dtype, of which nothing is used."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, _: Any = None) -> bytes:
    """Of ``_codecs.encode``, by which older pickles write the one byte of an array's first type."""
    return text[:1].encode("latin1")


class _NumbersUnpickler(pickle.Unpickler):
    """Reads lists of numbers in NumPy's arrays, and calls nothing but the stand-ins above."""

    KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name.

        Raises:
            UserError: It is not one of NumPy's arrays.
        """
        try:
            return self.KNOWN[module, name]
        except KeyError:
            raise UserError(
                f"path: the file holds a Python object, {module}.{name}, which could run code, and is not read"
            ) from None
