"""Where a text comes from: files, a data set of the Hugging Face hub, or the manual that every Python has."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from datamodules.loading.cache import once
from datamodules.text.text_columns import TABLES, column_text, joined
from datamodules.text.text_files import TextFiles, find_text_files
from seqlight.core.errors import UserError, reason_of

SPLITS = ("train", "validation", "test")  # their order, before any others


@dataclass(frozen=True)
class TextConfig:
    """Where the text comes from if it is not a path, and how it is read.

    Attributes:
        hub: Data set of the Hugging Face hub, such as karpathy/tiny_shakespeare, or owner/name:config.
        revision: Branch, tag or commit of it. Default: the newest. ``refs/convert/parquet`` serves old data sets that
            were scripts.
        column: Column of text of the data set, by default ``text`` or the only column of strings; or of the files of
            ``path``, which then are CSV, TSV, JSON lines or parquet.
        encoding: Encoding of text files.
        lower_case: Read every text in lower case, prompts too.
        strip_punctuation: Read every text without punctuation, prompts too: don't is dont, well-known two words.
        min_count: For words: how often one must be used in the training text; others are unknown.
    """

    hub: str | None = None
    revision: str | None = None
    column: str | None = None
    encoding: str = "utf-8"
    lower_case: bool = False
    strip_punctuation: bool = False
    min_count: int = 1


def open_text(path: str | list[str] | None, config: TextConfig, folder: Path) -> TextFiles:
    """The text of a path, of the hub, or without either Python's manual.

    Args:
        path: Files, as :func:`find_text_files` takes them.
        config: Data set of the hub, and the files' encoding.
        folder: Where texts that are not files are kept.
    """
    if path is not None and config.column is not None:
        return TextFiles([column_text(folder, find_text_files(path, TABLES), config.column, config.encoding)])
    if path is not None:
        files = find_text_files(path)
        if tables := [file.name for file in files if file.suffix.lower() in TABLES]:
            rank_zero_info(f"path: {tables[0]} is read as plain text; --data.text.column NAME reads a column of it")
        return TextFiles(files, config.encoding)
    if config.hub is not None:
        return TextFiles([hub_text(folder, config.hub, config.revision, config.column)])
    return TextFiles([built_in_text(folder)])


def built_in_text(folder: Path) -> Path:
    """Python's own reference manual as a text file: 465,000 characters of English prose in Python 3.11.

    It is ``pydoc_data.topics``, the text of ``help("for")``: prose under the PSF's licence that is part of the standard
    library and needs no network. Its topics are joined in sorted order. The text differs a little between Python
    versions, so each version has a file of its own.

    Args:
        folder: Where the file is kept.
    """
    from pydoc_data.topics import topics

    content = "\n".join(topics[name] for name in sorted(topics)).encode()

    def write(path: Path) -> None:
        path.write_bytes(content)

    return once(folder / f"pydoc-topics-{_digest(content)}.txt", write)


def hub_text(folder: Path, hub: str, revision: str | None = None, column: str | None = None) -> Path:
    """A data set of the hub as a text file: its splits one after the other, train first.

    A row that does not end its line gets a line end when another row of its split follows. Once the file is there, no
    network is needed.

    Args:
        folder: Where the file is kept.
        hub: Name of the data set, as in :class:`TextConfig`.
        revision: Branch, tag or commit.
        column: Column of text.

    Raises:
        UserError: It cannot be loaded, or has no such column.
    """
    name = _digest(repr((hub, revision, column)).encode())

    def write(path: Path) -> None:
        splits = load_hub(hub, revision)
        wanted = text_column(hub, next(iter(splits.values())).features, column)
        with path.open("w", encoding="utf-8", newline="") as file:
            for split in sorted(splits, key=lambda key: SPLITS.index(key) if key in SPLITS else len(SPLITS)):
                for row in joined(row[wanted] or "" for row in splits[split]):
                    file.write(row)

    return once(folder / f"hub-{name}.txt", write)


def load_hub(hub: str, revision: str | None = None) -> Any:
    """A data set of the hub, all of its splits.

    Args:
        hub: Name of the data set, as in :class:`TextConfig`.
        revision: Branch, tag or commit.

    Raises:
        UserError: It cannot be loaded.
    """
    import datasets

    return _from_hub(datasets.load_dataset, hub, revision)


def hub_builder(hub: str, revision: str | None = None) -> Any:
    """What ``datasets`` knows of a data set of the hub, of which no data are loaded.

    Args:
        hub: Name of the data set, as in :class:`TextConfig`.
        revision: Branch, tag or commit.

    Raises:
        UserError: The hub cannot be reached, or has no such data set.
    """
    import datasets

    return _from_hub(datasets.load_dataset_builder, hub, revision)


def _from_hub(load: Callable[..., Any], hub: str, revision: str | None) -> Any:
    name, _, config = hub.partition(":")
    try:
        return load(name, config or None, revision=revision)
    except Exception as error:  # the hub's client raises whatever its layers do: OSError, RuntimeError, httpx's own
        raise UserError(
            f"text.hub {hub} could not be loaded ({type(error).__name__}: {reason_of(error)}); without a network, give "
            "text files with --data.path"
        ) from error


def text_column(name: str, features: Mapping[str, Any], column: str | None) -> str:
    """The column of text: the given one, ``text``, or the only column of strings.

    Args:
        name: The data set's, for the message.
        features: Its columns with their types.
        column: The wanted column.

    Raises:
        UserError: It is no column of strings, or there are several.
    """
    strings = [key for key, feature in features.items() if getattr(feature, "dtype", "").endswith("string")]
    if column is None:
        column = "text" if "text" in strings or len(strings) != 1 else strings[0]
    if column not in strings:
        raise UserError(f"text.column {column!r} is no column of text in {name}; it has {', '.join(strings) or 'none'}")
    return column


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
