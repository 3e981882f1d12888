"""Where the pairs of each split come from: files by their usual names, a data set of the hub, or a few of our own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from datamodules.classification.hub_tables import hub_table
from datamodules.loading.counter_rng import random_uint64
from datamodules.seq2seq import example_pairs
from datamodules.seq2seq.pair_files import TABLES, Pairs, is_table, read_parallel, read_table, table_pairs
from seqlight.core.errors import UserError
from seqlight.core.files.found_files import is_stray, named_file
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import MOST_SEED, check_range

Split = Literal["train", "val", "test"]
NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
EMBEDDED: dict[Split, tuple[tuple[str, str], ...]] = {
    "train": example_pairs.TRAIN,
    "val": example_pairs.VAL,
    "test": example_pairs.TEST,
}


@dataclass(frozen=True)
class PairTextConfig:
    """A data set of the hub in place of files, and how files are read.

    Attributes:
        hub: Data set of the Hugging Face hub, such as bentrevett/multi30k, or owner/name:config. Its columns are the
            languages, or it has a column ``translation``.
        revision: Its branch, tag or commit.
        encoding: Encoding of all files.
    """

    hub: str | None = None
    revision: str | None = None
    encoding: str = "utf-8"


@dataclass(frozen=True)
class PairSplitConfig:
    """Validation and test pairs, where the folder or the hub does not have them by their names.

    Attributes:
        val_path: Files of the validation pairs, in any form that ``path`` has, but no folder.
        test_path: Files of the test pairs.
        val_fraction: Fraction of the training pairs for validation where there are no validation pairs.
        seed: Seed of that choice; runs of different seeds share it.

    Raises:
        UserError: A value is out of its range.
    """

    val_path: str | list[str] | None = None
    test_path: str | list[str] | None = None
    val_fraction: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.seed", self.seed, least=0, most=MOST_SEED)


class PairSource:
    """The pairs of each split, read when they are needed.

    Args:
        path: Where the pairs are; see :class:`datamodules.seq2seq.translation.TranslationDataModule`.
        source: Language to translate from: ending of its files, or name of its column.
        target: Language to translate to.
        text: A data set of the hub, and the files' encoding.
        split: Validation and test.
    """

    def __init__(
        self, path: str | list[str] | None, source: str, target: str, text: PairTextConfig, split: PairSplitConfig
    ) -> None:
        self.path, self.source, self.target, self.text, self.split = path, source, target, text, split

    @cached_property
    def _readers(self) -> dict[Split, Callable[[], Pairs]]:
        """How to read each split that has pairs of its own."""
        found: dict[Split, Callable[[], Pairs]]
        if self.text.hub is not None:
            table = hub_table(self.text.hub, self.text.revision, "without a network, give files with --data.path")
            named = {key: split for split, keys in NAMES.items() for key in keys}
            found = {named[key]: partial(self._rows, rows, key) for key, rows in table.items() if key in named}
        elif self.path is None:
            found = {split: partial(self._embedded, split) for split in NAMES}
        elif isinstance(self.path, str) and (folder := expanded(self.path)).is_dir():
            found = {split: partial(self._one, folder, sets) for split in NAMES if (sets := self._named(folder, split))}
        else:
            found = {"train": partial(self._read, self._files(self.path, "path"))}
        if self.split.val_path is not None:
            found["val"] = partial(self._read, self._files(self.split.val_path, "split.val_path"))
        if self.split.test_path is not None:
            found["test"] = partial(self._read, self._files(self.split.test_path, "split.test_path"))
        return found

    def read(self, name: Split) -> Pairs:
        """The pairs of a split.

        Without validation pairs, a fraction of the training pairs is taken from training for them. Without test pairs,
        the test uses the validation pairs.

        Raises:
            FileNotFoundError: A file is missing.
            UserError: A file, or the data set, is not what it should be; or there is no data in these languages.
        """
        readers = self._readers
        if name == "test" and "test" not in readers:
            rank_zero_info("there are no test pairs, so the test uses the validation pairs (--data.split.test_path)")
            return self.read("val")
        if name in readers and (name != "train" or "val" in readers):
            return readers[name]()
        if "train" not in readers:
            where = self.text.hub or self.path
            raise UserError(
                f"path {where}: has no training pairs; a folder has files such as train.{self.source} and "
                f"train.{self.target}, or train.tsv"
            )
        pairs = readers["train"]()
        held = round(self.split.val_fraction * len(pairs))
        if not 0 < held < len(pairs):
            raise UserError(f"split.val_fraction {self.split.val_fraction} of {len(pairs)} pairs leaves one side empty")
        order = np.argsort(random_uint64(self.split.seed, np.array([0]), len(pairs))[0], kind="stable")
        return pairs.take(np.sort(order[:held] if name == "val" else order[held:]))

    def _rows(self, rows: list[dict[str, Any]], key: str) -> Pairs:
        return table_pairs(rows, self.source, self.target, f"{self.text.hub}, split {key}")

    def _embedded(self, name: Split) -> Pairs:
        languages = example_pairs.LANGUAGES
        if sorted((self.source, self.target)) != sorted(languages):
            raise UserError(
                f"path is not given, and the built-in sentences are {' and '.join(languages)}, not {self.source} and "
                f"{self.target}; give --data.path"
            )
        rows = [dict(zip(languages, pair, strict=True)) for pair in EMBEDDED[name]]
        return table_pairs(rows, self.source, self.target, f"built-in sentences, {name}")

    def _read(self, files: list[Path]) -> Pairs:
        if len(files) == 2:
            return read_parallel(files[0], files[1], self.text.encoding)
        return read_table(files[0], self.source, self.target, self.text.encoding)

    def _named(self, folder: Path, split: Split) -> dict[str, list[Path]]:
        """The files of a split in a folder, by what their names begin with; for the test also test_2016 and so on."""
        for stem in NAMES[split]:
            if files := self._beside(folder / stem):
                return {stem: files}
        others = folder.iterdir() if split == "test" else ()
        names = [file.name for file in others if file.name.lower().startswith("test") and file.is_file()]
        stems = sorted({name.partition(".")[0] for name in names if not is_stray(name)})
        return {stem: files for stem in stems if (files := self._beside(folder / stem))}

    def _one(self, folder: Path, sets: dict[str, list[Path]]) -> Pairs:
        if len(sets) > 1:
            raise UserError(
                f"path {folder}: has several test sets ({', '.join(sets)}); choose one with --data.split.test_path "
                f"{folder / next(iter(sets))}"
            )
        return self._read(next(iter(sets.values())))

    def _beside(self, prefix: Path) -> list[Path]:
        """The files that begin with a prefix: one for each language, or a table; each may be a .gz, in either case."""
        for endings in ((self.source, self.target), *((ending[1:],) for ending in TABLES)):
            files = []
            for ending in endings:
                names = [f"{prefix.name}.{ending}{packed}" for packed in ("", ".gz")]
                files += [file for name in names if (file := named_file(prefix.parent, name))][:1]
            if len(files) == len(endings):
                return files
        return []

    def _files(self, path: str | list[str], option: str) -> list[Path]:
        """The files of a path: a list of two, a table, or the beginning of the names of two files."""
        if isinstance(path, list):
            if len(path) != 2:
                raise UserError(f"{option} {path} must be two files, one of {self.source} and one of {self.target}")
            return [expanded(one) for one in path]
        file = expanded(path)
        if file.is_file() and not is_table(file):
            raise UserError(
                f"{option} {path}: one file with pairs ends in {', '.join(TABLES)} (or one of these with .gz); of two "
                f"files, give a list, or the beginning of their names, which end in .{self.source} and .{self.target}"
            )
        files = [file] if file.is_file() else self._beside(file)
        if not files:
            raise FileNotFoundError(
                f"{option} {path}: no such file or folder, nor are there {file.name}.{self.source} and "
                f"{file.name}.{self.target}"
            )
        return files
