"""Texts that are not files yet: a data set of the Hugging Face hub, and the one that every Python brings along."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.loading.cache import once
from seqlight.core.errors import UserError

SPLITS = ("train", "validation", "test")  # their order, before any others


def embedded_text(folder: Path) -> Path:
    """Python's own reference manual as a text file: 465,000 characters of English prose in Python 3.11.

    It is ``pydoc_data.topics``, what ``help("for")`` shows: written with care by many people, under the PSF's licence,
    and part of the standard library, so it needs neither a network nor a dependency that could die. Its topics are
    joined in sorted order. Each Python version words it a little differently, and so it has a file of its own.

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
        hub: Data set such as ``karpathy/tiny_shakespeare``; ``owner/name:config`` where it has several.
        revision: Branch, tag or commit; by default the newest. ``refs/convert/parquet`` serves old data sets that were
            scripts.
        column: The column that holds the text; by default ``text``, or the only column of strings.

    Raises:
        ValueError: It cannot be loaded, or has no such column.
    """
    name = _digest(repr((hub, revision, column)).encode())

    def write(path: Path) -> None:
        splits = _load(hub, revision)
        wanted = _text_column(hub, splits, column)
        with path.open("w", encoding="utf-8", newline="") as file:
            for split in sorted(splits, key=lambda key: SPLITS.index(key) if key in SPLITS else len(SPLITS)):
                for row in _joined(splits[split], wanted):
                    file.write(row)

    return once(folder / f"hub-{name}.txt", write)


def _load(hub: str, revision: str | None) -> Any:
    import datasets

    name, _, config = hub.partition(":")
    try:
        return datasets.load_dataset(name, config or None, revision=revision)
    except Exception as error:  # the hub's client raises whatever its layers do: OSError, RuntimeError, httpx's own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"hub {hub} could not be loaded ({type(error).__name__}: {reason}); without a network, give a text file "
            "with --data.path"
        ) from error


def _text_column(hub: str, splits: Any, column: str | None) -> str:
    features = next(iter(splits.values())).features
    strings = [name for name, feature in features.items() if getattr(feature, "dtype", "").endswith("string")]
    if column is None:
        column = "text" if "text" in strings or len(strings) != 1 else strings[0]
    if column not in strings:
        raise UserError(f"column {column!r} is no column of text in {hub}; it has {', '.join(strings) or 'none'}")
    return column


def _joined(rows: Any, column: str) -> Iterator[str]:
    open_line = False
    for row in rows:
        text = row[column] or ""
        yield "\n" + text if open_line else text
        open_line = bool(text) and not text.endswith("\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
