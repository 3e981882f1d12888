"""Where tagged sentences come from: a folder, a file, a data set of the hub, or the grammar."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from datamodules.classification.hub_tables import hub_table
from datamodules.loading.counter_rng import random_uint64
from datamodules.tagging.conll_files import Sentence, parse_conll, read_conll
from datamodules.tagging.grammar import generated_lines
from datamodules.tagging.groups import ColumnConfig, TagHubConfig, TagSplit
from seqlight.core.errors import UserError
from seqlight.core.files.found_files import FoundFiles, sift
from seqlight.core.files.paths import expanded

Split = Literal["train", "val", "test"]
# What the name of a split's file, or the hub's name of it, has in it: train.tsv, en_ewt-ud-dev.conllu, eng.testa.
NAMES = {"train": "train", "val": "dev|val|valid|validation|testa", "test": "test|testb"}
ENDINGS = (".conllu", ".conll", ".tsv", ".txt", ".bio", ".iob", ".iob2", ".train", ".testa", ".testb", ".dev", ".test")


class TagSource:
    """Reads the sentences of a split.

    Args:
        path: A folder with a file for each split, or a file. None: the hub or the grammar.
        hub: The data set of the hub.
        columns: Where words and labels stand.
        split: Files and fractions of validation and test.
    """

    def __init__(self, path: str | None, hub: TagHubConfig, columns: ColumnConfig, split: TagSplit) -> None:
        self.path, self.hub, self.columns, self.split = path, hub, columns, split

    def read(self, name: Split) -> list[Sentence]:
        """The sentences of a split, at least one.

        Raises:
            FileNotFoundError: A file is missing.
            UserError: A file is not what it should be.
        """
        given = {"val": self.split.val_path, "test": self.split.test_path}.get(name)
        if given is not None:
            return read_conll(given, f"split.{name}_path", self.columns)
        if self.path is None and self.hub.hub is None:
            return parse_conll(generated_lines(name), "generated sentences", self.columns)
        own = self._own(name)
        return self._parts[name] if own is None or name == "train" else own

    @cached_property
    def _parts(self) -> dict[Split, list[Sentence]]:
        """The training sentences without those of the splits that have no file, and those."""
        train = self._own("train")
        assert train is not None
        order = np.argsort(random_uint64(self.split.seed, np.array([0]), len(train))[0], kind="stable")
        parts: dict[Split, list[Sentence]] = {}
        fractions: tuple[tuple[Split, float, str | None], ...] = (
            ("test", self.split.test_fraction, self.split.test_path),
            ("val", self.split.val_fraction, self.split.val_path),
        )
        for name, fraction, given in fractions:
            if given is None and not self._has(name):
                count = max(1, round(len(train) * fraction))
                parts[name], order = [train[row] for row in order[:count]], order[count:]
        parts["train"] = [train[row] for row in sorted(order)]
        if empty := [name for name, part in parts.items() if not part]:
            raise UserError(f"path: {len(train)} sentences leave none for {empty[0]}; give more of them")
        return parts

    def _has(self, name: Split) -> bool:
        if self.hub.hub is not None:
            return name in self._tables
        return self._file(name) is not None

    def _own(self, name: Split) -> list[Sentence] | None:
        """The sentences of a split's own file; None where it has none."""
        if self.hub.hub is not None:
            if name == "train" and name not in self._tables:
                raise UserError(f"text.hub {self.hub.hub}: has no split train")
            return self._tables.get(name)
        file = self._file(name)
        return None if file is None else read_conll(file, "path", self.columns)

    def _file(self, name: Split) -> Path | None:
        assert self.path is not None
        folder = expanded(self.path)
        if not folder.is_dir():
            return folder if name == "train" else None
        found = [folder / file for file in self._found.files if _is_of(name, file)]
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            option = "path" if name == "train" else f"split.{name}_path"
            raise UserError(f"path {self.path}: has several files for {name} ({names}); name one by --data.{option}")
        if name == "train" and not found:
            raise UserError(
                f"path {self.path}: has no file for training; its name has train in it and ends in one of "
                f"{', '.join(ENDINGS[:6])}"
            )
        return found[0] if found else None

    @cached_property
    def _found(self) -> FoundFiles:
        """The files of the folder; a line says what is passed over."""
        assert self.path is not None
        names = sorted(file.name for file in expanded(self.path).iterdir() if file.is_file())
        found = sift(
            names, lambda file: file.suffix.lower() in ENDINGS and any(_is_of(one, file.name) for one in NAMES)
        )
        if remark := found.remark():
            rank_zero_info(f"path {self.path}: {remark}")
        return found

    @cached_property
    def _tables(self) -> dict[Split, list[Sentence]]:
        """The sentences of the hub's splits."""
        config = self.hub
        assert config.hub is not None
        found: dict[Split, list[Sentence]] = {}
        splits: tuple[Split, ...] = ("train", "val", "test")
        for title, rows in hub_table(
            config.hub, config.revision, "without a network, give files with --data.path"
        ).items():
            for name in splits:
                if re.fullmatch(NAMES[name], title):
                    found[name] = hub_sentences(rows, f"text.hub {config.hub}, split {title}", config)
        return found


def _is_of(name: str, file: str) -> bool:
    """Whether a file is a split's, by its name."""
    return bool(re.search(rf"(?:^|[-_.])(?:{NAMES[name]})(?:$|[-_.])", file, re.IGNORECASE))


def hub_sentences(rows: Sequence[dict[str, Any]], source: str, config: TagHubConfig) -> list[Sentence]:
    """The sentences of a table's rows; those without words are left out.

    Raises:
        UserError: A column is missing, or a row has not a label for each word.
    """
    sentences = []
    for number, row in enumerate(rows):
        for option, column in (("words", config.words), ("labels", config.labels)):
            if column not in row:
                raise UserError(f"{source}: has no column {column!r} but {', '.join(row)}; give --data.text.{option}")
        words, labels = ([" ".join(str(one).split()) for one in row[c] or ()] for c in (config.words, config.labels))
        if len(words) != len(labels):
            raise UserError(f"{source}: row {number} has {len(words)} words, but {len(labels)} labels; mend the row")
        if not all(words) or None in (row[config.labels] or ()):
            raise UserError(f"{source}: row {number} has a word or a label that is empty; mend the row")
        if words:
            positions = list(range(len(words)))
            sentences.append(Sentence(words, labels, list(words), positions, f"{source}, row {number}", unit="word"))
    return sentences
