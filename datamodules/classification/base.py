"""What datamodules of labelled texts share: tokens, padding, batches of like length, splits, texts to predict."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.base import SequenceDataModule
from datamodules.classification.examples import Examples, Split, count_duplicates, prints_of, without_duplicates
from datamodules.classification.labelled_files import read_table, text_fault
from datamodules.loading.cache import cache_folder, once
from datamodules.loading.token_rows import TokenRows, TrainRows
from datamodules.tokenizers import WordPieceTokenizer, WordTokenizer, load, save
from seqlight.core.errors import UserError
from seqlight.core.labels import IGNORED

Splits = dict[Split, Examples]
LEARNED: dict[str, type[WordPieceTokenizer] | type[WordTokenizer]] = {
    "wordpiece": WordPieceTokenizer,
    "words": WordTokenizer,
}
HEAD_SHARE = 0.25  # of max_seq_len for keep="both": 128 of 512, the best of those Sun et al. (2019) tried


class ClassificationDataModule(SequenceDataModule):
    """Base of the datamodules of labelled texts.

    A subclass gives ``class_names``, ``aux_class_names`` and :meth:`read_splits`, and names its arguments as here.

    Args:
        tokenizer: What is learned from the training texts without a tokenizer_path.
        vocab_size: Number of its ids at most.
        tokenizer_lower_case: Whether what is learned reads texts in lower case.
        tokenizer_path: Folder or hub id that transformers' BertTokenizer loads, or a checkpoint.
        tokenizer_revision: Branch, tag or commit of the hub's model.
        special_tokens: Put [CLS] before and [SEP] behind each text.
        max_seq_len: Longest row in tokens, special ones included.
        keep: What stays of a longer text.
        batch_size: Rows in a batch of one process.
        pool_batches: Batches whose rows are sorted by length together.
        drop_duplicates: Take out of training what validation or test has, and repetitions.
        texts: Texts to predict.
        texts_path: File of them.
        text_column: Column of the text in CSV and JSON lines.
        cache_dir: Where learned tokenizers are kept.
        encoding: Of files of texts.
        num_workers: Processes that prepare batches.
        seed: Seed of the training data's order.

    Attributes:
        class_names: Names of the classes, in the order of their numbers.
        aux_class_names: Names of the other set of labels; empty where there is none.
        class_counts: Training rows of each class, after ``setup("fit")``.
        duplicates: Repeated texts of each split and between splits, as they were read, before any were dropped.
        truncated: Texts of each split that were cut to max_seq_len, after its ``setup``.
    """

    fresh_rows = True  # TrainRows knows the order of each epoch
    EXAMPLES: Sequence[str] = ()  # what predict answers when nothing is given
    what = "texts"  # the rows' name in messages

    def __init__(
        self,
        tokenizer: Literal["wordpiece", "words"],
        vocab_size: int,
        tokenizer_lower_case: bool,
        tokenizer_path: str | None,
        tokenizer_revision: str | None,
        special_tokens: bool,
        max_seq_len: int,
        keep: Literal["head", "tail", "both"],
        batch_size: int,
        pool_batches: int,
        drop_duplicates: bool,
        texts: list[str] | None,
        texts_path: str | None,
        text_column: str,
        cache_dir: str | None,
        encoding: str | None,
        num_workers: int,
        seed: int | None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        for name, number in (("vocab_size", vocab_size), ("max_seq_len", max_seq_len), ("pool_batches", pool_batches)):
            if number < 1:
                raise UserError(f"{name} must be at least 1, not {number}")
        if special_tokens and max_seq_len < 3:
            raise UserError(f"max_seq_len {max_seq_len} leaves no room beside [CLS] and [SEP]; give at least 3")
        if texts is not None and texts_path is not None:
            raise UserError(f"texts_path {texts_path} and texts are both given; give one of them")
        if texts is not None:
            check_texts(texts)
        self.tokenizer_kind, self.pieces, self.lower_case = tokenizer, vocab_size, tokenizer_lower_case
        self.tokenizer_path, self.tokenizer_revision = tokenizer_path, tokenizer_revision
        self.special_tokens, self.max_seq_len, self.keep = special_tokens, max_seq_len, keep
        self.pool_batches, self.drop_duplicates = pool_batches, drop_duplicates
        self.texts, self.texts_path, self.text_column, self.encoding = texts, texts_path, text_column, encoding
        self.cache = cache_folder(cache_dir)
        self.class_counts: list[int] | None = None
        self.duplicates: dict[str, int] = {}
        self.truncated: dict[str, int] = {}
        self.longest = 0  # row of those encoded so far, in tokens
        self._trained = np.zeros(0, dtype=np.int64)  # prints of the texts that the weights were trained on

    @property
    def class_names(self) -> list[str]:
        """Names of the classes."""
        raise NotImplementedError

    @property
    def aux_class_names(self) -> list[str]:
        """Names of the other set of labels; empty where there is none."""
        return []

    def read_splits(self) -> Splits:
        """Training, validation and test data as they lie in their files."""
        raise NotImplementedError

    def as_input(self, part: Examples) -> Examples:
        """A split as the model is to see it."""
        return part

    @cached_property
    def as_read(self) -> Splits:
        """Training, validation and test data, read at first use."""
        splits = self.read_splits()
        self.duplicates = count_duplicates(splits)
        if self.drop_duplicates:
            splits = without_duplicates(splits)
        for name, part in splits.items():
            if not len(part):
                raise UserError(f"data: no {self.what} are left for {name}; give more of them, or other shares")
        return splits

    @cached_property
    def splits(self) -> Splits:
        """The same as the model is to see it."""
        return {name: self.as_input(part) for name, part in self.as_read.items()}

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def num_aux_classes(self) -> int:
        """Number of classes of the other set of labels; 0 where there is none."""
        return len(self.aux_class_names)

    @cached_property
    def tokenizer(self) -> WordPieceTokenizer | WordTokenizer:
        """The tokenizer: given, or learned from the training texts alone, once for all processes."""
        if self.tokenizer_path is not None:
            return self._given_tokenizer(self.tokenizer_path)
        texts, kind = self.splits["train"].texts, LEARNED[self.tokenizer_kind]
        digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        cased = "" if self.lower_case else "-cased"
        path = once(
            self.cache / "tokenizers" / f"{digest}-{kind.kind}-{self.pieces}-{kind.recipe()}{cased}.tokenizer",
            lambda path: save(kind.train(texts, self.pieces, self.lower_case), path),
        )
        return self._given_tokenizer(str(path))

    def _given_tokenizer(self, path: str) -> WordPieceTokenizer | WordTokenizer:
        if not Path(path).expanduser().is_file():
            return WordPieceTokenizer.from_pretrained(path, self.tokenizer_revision)
        found = load(path)
        if not isinstance(found, WordPieceTokenizer | WordTokenizer):
            raise UserError(
                f"tokenizer_path {path}: holds a tokenizer of the kind {found.kind}, which has no padding; give BERT's "
                "folder or a classifier's checkpoint"
            )
        return found

    @property
    def vocab_size(self) -> int:
        """Number of tokens that there really are."""
        return self.tokenizer.vocab_size

    @property
    def pad_id(self) -> int:
        """What fills short rows up."""
        return self.tokenizer.special["pad"]

    def encode(self, texts: Sequence[str], name: str) -> list[np.ndarray]:
        """The rows of some texts, each with at least one token; those that are too long are cut and counted."""
        special = self.tokenizer.special
        room = self.max_seq_len - 2 * self.special_tokens
        head = {"head": room, "tail": 0, "both": round(HEAD_SHARE * room)}[self.keep]
        cut, rows = 0, []
        for ids in self.tokenizer.encode_texts(texts):
            if len(ids) > room:
                cut += 1
                ids = np.concatenate([ids[:head], ids[len(ids) - (room - head) :]])
            elif not len(ids):  # characters that the tokenizer drops, and nothing else
                ids = np.array([special["unk"]], dtype=np.int32)
            rows.append(np.concatenate([[special["cls"]], ids, [special["sep"]]]) if self.special_tokens else ids)
        self.truncated[name] = cut
        self.longest = max(self.longest, *map(len, rows)) if rows else self.longest
        if cut:
            rank_zero_info(
                f"{name}: {cut:,} of {len(rows):,} {self.what} are longer than max_seq_len {self.max_seq_len} and are "
                f"cut (--data.keep {self.keep})"
            )
        return [row.astype(np.int32) for row in rows]

    @property
    def _batch_rows(self) -> int:
        return self.batch_size * self._ranks().get("num_replicas", 1)

    def _rows(self, name: Split, batch_rows: int = 1) -> TokenRows:
        part = self.splits[name]
        ids = self.encode(part.texts, name)
        return TokenRows(ids, part.labels, part.aux_labels, self.pad_id, batch_rows=batch_rows)

    def setup(self, stage: str) -> None:
        """Encodes what the stage needs; predict needs no labelled data."""
        super().setup(stage)
        if stage == "fit":
            self.train_set = TrainRows(self._rows("train"), self.seed, self._batch_rows, self.pool_batches)
            labels = self.splits["train"].labels
            self.class_counts = np.bincount(labels[labels != IGNORED], minlength=self.num_classes).tolist()
            self._trained = prints_of(self.as_read["train"].texts)
        if stage in ("fit", "test"):
            rank_zero_info(self.summary())
        if stage in ("fit", "validate"):
            self.val_set = self._rows("val", self._batch_rows)
        if stage == "test":
            self.test_set = self._rows("test", self._batch_rows)
        if stage == "predict":
            self.predict_set = self._predict_rows()

    def summary(self) -> str:
        """One line: how many rows each split has, and what stands in more than one."""
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in self.splits.items())
        repeated = ", ".join(f"{count} {name}" for name, count in self.duplicates.items() if count)
        told = f"{self.what}: {sizes}"
        if repeated:
            done = "dropped" if self.drop_duplicates else "kept (--data.drop_duplicates true drops them)"
            told += f"; repeated texts, {done}: {repeated}"
        return told

    def _predict_rows(self) -> TokenRows:
        if self.texts_path is not None:
            found = read_table(self.texts_path, "texts_path", self.text_column, None, self.encoding or "utf-8")
            texts, rows = found.texts, found.rows
        else:
            texts = list(self.EXAMPLES if self.texts is None else self.texts)
            rows = list(range(len(texts)))
        shown = Examples.of(texts, [IGNORED] * len(texts))
        ids = self.encode(self.clean(texts), "predict")
        return TokenRows(
            ids, shown.labels, shown.aux_labels, self.pad_id, np.array(rows), texts, batch_rows=self._batch_rows
        )

    def clean(self, texts: list[str]) -> list[str]:
        """Texts to predict as the training texts were read."""
        return texts

    def state_dict(self) -> dict[str, Any]:
        """See the base class; with prints of the training texts, by which a later test knows them again."""
        return {**super().state_dict(), "trained": torch.from_numpy(self._trained)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See the base class; the order of the rows follows the seed."""
        super().load_state_dict(state)
        if isinstance(self.train_set, TrainRows):
            self.train_set.seed = self.seed
        if isinstance(trained := state.get("trained"), Tensor):
            self._trained = np.union1d(self._trained, trained.numpy())
            measured: dict[Split, Dataset | None] = {"val": self.val_set, "test": self.test_set}
            for name, rows in measured.items():
                if rows is not None:
                    self._warn_of_trained(name)

    def _warn_of_trained(self, name: Split) -> None:
        """Says that the checkpoint was trained on texts of a split, beyond those that stand in both splits anyway."""
        known = int(np.isin(prints_of(texts := self.as_read[name].texts), self._trained).sum())
        if known > self.duplicates[f"{name} in train"]:
            rank_zero_warn(
                f"the checkpoint was trained on {known:,} of these {len(texts):,} {name} {self.what}: what is measured "
                "on them says little; leave out --data flags that choose other splits than it was trained with"
            )


def check_texts(texts: Sequence[str]) -> None:
    """Raises ValueError if there are no texts, or one that cannot be read."""
    if not texts:
        raise UserError('texts: the list is empty; give some, such as ["Who wrote Hamlet ?"]')
    for number, text in enumerate(texts, 1):
        if fault := text_fault(text):
            raise UserError(f"texts: number {number}: {fault}")


def check_shares(**shares: float) -> None:
    """Raises ValueError if a share is not above 0 and below 1, or all together leave nothing to train on."""
    for name, share in shares.items():
        if not 0 < share < 1:
            raise UserError(f"{name} must be above 0 and below 1, not {share}")
    if sum(shares.values()) >= 1:
        raise UserError(f"{' and '.join(shares)} must leave something to train on; they are {sum(shares.values())}")
