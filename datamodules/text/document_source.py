"""Documents of a data set of the hub, or of many files, that the datasets library reads piece by piece."""

import contextlib
import copy
import glob
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules.loading.cache import once
from datamodules.loading.counter_rng import random_uint64
from datamodules.text.shard_rows import Typed, shard_dataset, shard_features
from datamodules.text.text_files import find_text_files
from datamodules.text.text_sources import hub_builder, text_column
from seqlight.core.encodings import HEAD, encoding_of, known_encoding
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.digests import print_of_all
from seqlight.core.hyperparameters import check_choice

SampleBy = Literal["paragraph", "line", "document"]
KINDS = {".parquet": "parquet", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".txt": "text"}
PACKED = ("", ".gz", ".zst", ".bz2", ".xz")  # what datasets unpacks while it reads
BATCH = 32  # documents that are read at a time
BUILT_IN_SHARDS = 8


@dataclass(frozen=True)
class DocumentConfig:
    """Where the documents come from if it is not a path, and what a document is.

    Attributes:
        hub: Data set of the Hugging Face hub, such as HuggingFaceFW/fineweb-edu, or owner/name:config.
        revision: Branch, tag or commit of it. Default: the newest.
        split: Its split for training.
        column: Column of text of the data set, or of parquet and JSON-lines files. Default: ``text``, or the only
            column of strings.
        encoding: Encoding of text files.
        sample_by: What a document of a text file is: a paragraph (up to an empty line), a line, or the whole file. Text
            without empty lines needs line, for a document must fit in memory.
        separator: Text that is put after each document.
        lower_case: Read every text in lower case, prompts too.
        strip_punctuation: Read every text without punctuation, prompts too: don't is dont, well-known two words.
        min_count: For words: how often one must be used in the training text; others are unknown.

    Raises:
        UserError: sample_by is not known.
    """

    hub: str | None = None
    revision: str | None = None
    split: str = "train"
    column: str | None = None
    encoding: str = "utf-8"
    sample_by: SampleBy = "paragraph"
    separator: str = "\n\n"
    lower_case: bool = False
    strip_punctuation: bool = False
    min_count: int = 1

    def __post_init__(self) -> None:
        check_choice("text.sample_by", self.sample_by, SampleBy)


class DocumentSource:
    """The documents of files or of a split of a data set of the hub.

    Args:
        path: Parquet, JSON-lines or text files, as :func:`find_text_files` takes them; all of one kind. With neither a
            path nor a data set of the hub: Python's manual, as a few JSON-lines files.
        config: Data set of the hub, column, and what a document is.
        folder: Where the built-in files are kept.
        split: Split of the data set of the hub. Default: the config's.
    """

    def __init__(
        self, path: str | list[str] | None, config: DocumentConfig, folder: Path, split: str | None = None
    ) -> None:
        self.path, self.config, self.folder, self.split = path, config, folder, split or config.split

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"text.hub {self.config.hub}" if self.path is None and self.config.hub else f"path {self.path}"

    @cached_property
    def files(self) -> list[Path]:
        """The files; empty for a data set of the hub."""
        if self.path is None:
            return [] if self.config.hub is not None else built_in_shards(self.folder)
        endings = tuple(kind + packed for kind in KINDS for packed in PACKED)
        return find_text_files(self.path, endings)

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits of what the documents depend on: the configuration, and what the files hold."""
        marks = (self.config, self.split, print_of_all(self.files))
        return hashlib.sha256(repr(marks).encode()).hexdigest()[:12]

    def dataset(self, shards: int = 1) -> Any:
        """The data set, a ``datasets.IterableDataset``.

        Args:
            shards: Shards wanted; there may be fewer.

        Raises:
            UserError: It cannot be read, or has no such column.
        """
        kind, files, loaded, column = self._opened
        with self._reading():
            return shard_dataset(kind, files, column, shards) if files else loaded.select_columns([column])

    @cached_property
    def _opened(self) -> tuple[str, list[str], Any, str]:
        """The kind of the files; addresses of parquet and JSON-lines files, or the data set of others; the column."""
        import datasets

        if not self.files:
            builder = hub_builder(str(self.config.hub), self.config.revision)
            kind, paths = builder.info.builder_name, list((builder.config.data_files or {}).get(self.split, []))
        else:
            builder, kind, paths = None, kind_of(self.files), [str(file) for file in self.files]
        with self._reading():
            if kind in ("parquet", "json") and paths:
                # A JSON-lines file without rows says nothing of the columns.
                features: Any = next((found for path in paths if (found := shard_features(kind, path))), {})
                loaded = None
            else:
                if builder is None:
                    options = {"encoding": self._encoding(), "sample_by": self.config.sample_by}
                    files = {self.split: [glob.escape(path) for path in paths]}
                    builder = datasets.load_dataset_builder("text", data_files=files, **options)
                loaded, paths = builder.as_streaming_dataset(self.split), []
                features = loaded.features or {key: Typed(value) for key, value in next(iter(loaded), {}).items()}
        return kind, paths, loaded, text_column(self.name, features, self.config.column)

    def _encoding(self) -> str:
        """The encoding of the text files, which byte-order marks decide on.

        Raises:
            UserError: It is not known, or differs between the files.
        """
        import fsspec

        expected = known_encoding(self.config.encoding)
        first: dict[str, Path] = {}  # of each encoding
        for file in self.files:
            with fsspec.open(file, "rb", compression="infer") as stream:
                encoding = encoding_of(stream.read(HEAD), "utf-8-sig" if expected == "utf-8" else expected)
            first.setdefault(encoding, file)
        if len(first) > 1:
            said = ", ".join(f"{encoding.removesuffix('-sig')} ({file.name})" for encoding, file in first.items())
            raise UserError(f"path: text files are read in one encoding, and these have {said}; convert them to UTF-8")
        return next(iter(first), expected)

    def read(self, dataset: Any = None) -> Iterator[list[str]]:
        """The documents, a few at a time, in their order. A missing text is an empty one.

        Args:
            dataset: The data set in another order, or a part of it. Default: the whole.

        Raises:
            UserError: A file cannot be read.
        """
        batches = (self.dataset() if dataset is None else dataset).iter(batch_size=BATCH)
        while True:
            with self._reading():
                batch = next(batches, None)
            if batch is None:
                return
            (texts,) = batch.values()
            yield [text or "" for text in texts]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # of pyarrow, fsspec, the hub's client, the decoders of text and of packed files
            cause = error.__cause__ or error
            raise UserError(f"{self.name} cannot be read ({type(cause).__name__}: {reason_of(cause)})") from error


class DocumentStream:
    """One of several streams that the documents are divided into, pass after pass without end.

    If the shards (files) can be divided evenly over the streams, each stream reads shards of its own; otherwise each
    takes every n-th document. The order of the shards is shuffled anew for each pass. Both are the work of
    ``datasets.distributed.split_dataset_by_node`` and ``set_epoch``.

    Args:
        source: The documents.
        number: Number of this stream.
        count: Number of all streams.
        seed: Seed of the order of the shards.
        keep: Which documents the stream has. Default: all.
    """

    MANY = 10  # shards per stream from which on an unequal division matters little

    def __init__(
        self, source: DocumentSource, number: int, count: int, seed: int, keep: Callable[[str], bool] | None = None
    ) -> None:
        self.source, self.number, self.count, self.seed, self.keep = source, number, count, seed, keep
        self._pass = 0
        self._state: dict[str, Any] | None = None  # the data set's, after the documents that were taken
        self._batches: Iterator[list[str]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The position, plain data: the number of the pass, and the data set's own state in it."""
        return {"pass": self._pass, "documents": copy.deepcopy(self._state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to the position that :meth:`state_dict` gave."""
        self._pass, self._state, self._batches = state["pass"], copy.deepcopy(state["documents"]), None

    def next(self) -> list[str]:
        """The next documents, at least one.

        Raises:
            UserError: There is none in a whole pass, or a file cannot be read.
        """
        if self._batches is None:
            self._batches = self._read()
        return next(self._batches)

    def _read(self) -> Iterator[list[str]]:
        while True:
            dataset, whole, found = self._open(), self._state is None, False
            if self._state is not None:
                dataset.load_state_dict(self._state)
            for texts in self.source.read(dataset):
                self._state = dataset.state_dict()
                if kept := [text for text in texts if text and (self.keep is None or self.keep(text))]:
                    found = True
                    yield kept
            if whole and not found:
                raise UserError(
                    f"{self.source.name}: stream {self.number} of {self.count} has no document to train on; give fewer "
                    "--data.stream.num_streams, or more documents"
                )
            self._pass, self._state = self._pass + 1, None

    def _open(self) -> Any:
        from datasets.distributed import split_dataset_by_node

        dataset = self.source.dataset(self.count)
        shards = dataset.num_shards
        by_shard = shards % self.count == 0 or shards >= self.MANY * self.count
        dataset = split_dataset_by_node(
            dataset, rank=self.number, world_size=self.count, strategy="shards" if by_shard else "examples"
        )
        # An epoch of a data set is the seed of the order of its shards; 0 is the files' own order.
        dataset.set_epoch(1 + int(random_uint64(self.seed, np.array([self._pass]), 1)[0, 0] >> np.uint64(34)))
        return dataset


def kind_of(files: list[Path]) -> str:
    """The builder of ``datasets`` that reads these files: parquet, json or text.

    Raises:
        UserError: They are not all of one kind.
    """
    ends = [next((end for end in file.suffixes[::-1] if end.lower() not in PACKED), "") for file in files]
    kinds = {KINDS.get(end.lower(), "text") for end in ends}
    if len(kinds) > 1:
        raise UserError(
            f"path: {files[0].name} and others are files of several kinds ({', '.join(sorted(kinds))}); give those of "
            "one kind by a pattern, such as 'shards/*.parquet'"
        )
    return kinds.pop()


def held_out(text: str) -> float:
    """A number from 0 to 1 that a document has by its text, so that copies of it are all held out or all trained on."""
    return zlib.crc32(text.encode("utf-8", "replace")) / 2**32


def built_in_shards(folder: Path) -> list[Path]:
    """Python's own reference manual as JSON-lines files, a topic a line (see ``text_sources.built_in_text``).

    Args:
        folder: Where the files are kept.
    """
    from pydoc_data.topics import topics

    names = sorted(topics)
    mark = hashlib.sha256("".join(topics[name] for name in names).encode()).hexdigest()[:12]

    def shard(number: int) -> Path:
        rows = [json.dumps({"topic": name, "text": topics[name].strip()}) for name in names[number::BUILT_IN_SHARDS]]

        def write(path: Path) -> None:
            path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

        return once(folder / f"pydoc-topics-{mark}" / f"{number:02d}-of-{BUILT_IN_SHARDS:02d}.jsonl", write)

    return [shard(number) for number in range(BUILT_IN_SHARDS)]
