"""Base of the datamodules of labelled texts: tokenization, padding, batches of similar lengths, splits, prediction."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from datamodules.base import SequenceDataModule
from datamodules.classification.examples import Examples, Split, count_duplicates, text_hashes, without_duplicates
from datamodules.classification.groups import PredictConfig, SplitConfig, TextConfig, TokenConfig
from datamodules.classification.labelled_files import read_table
from datamodules.classification.soft_labels import read_soft_labels
from datamodules.loading.cache import cache_folder, once
from datamodules.loading.token_rows import BucketedRows, TokenRows
from datamodules.tokenizers import WordPieceTokenizer, WordTokenizer, load, save
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import check_choice, check_range, group_from
from seqlight.core.labels import IGNORED

Splits = dict[Split, Examples]
TokenizerKind = Literal["wordpiece", "words"]
LEARNED: dict[str, type[WordPieceTokenizer] | type[WordTokenizer]] = {
    "wordpiece": WordPieceTokenizer,
    "words": WordTokenizer,
}
MOST_SHOWN = 20  # classes; a table of more is not logged


class ClassificationDataModule(SequenceDataModule):
    """Base of the datamodules of labelled texts.

    A subclass defines ``class_names``, ``aux_class_names`` and :meth:`read_splits`, and calls ``save_hyperparameters``.

    Args:
        split: How validation and test data are chosen, a group of the subclass.
        tokens: How texts become rows of tokens.
        batch_size: Number of texts in a batch of one process.
        text: A data set on the hub instead of files, and how tables are read.
        tokenizer: Tokenizer that is learned from the training texts: "wordpiece" (subwords, as in BERT) or "words".
        vocab_size: Largest number of tokens that are learned.
        tokenizer_path: Tokenizer to use instead: a folder or hub id that transformers' BertTokenizer loads, or a
            checkpoint.
        predict: Texts for predict.
        soft_labels_path: The predictions.jsonl of another classifier, whose texts are trained on too, with its
            probabilities as their labels: distillation (Hinton et al. 2015). Texts that validation or test have are
            left out.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the order of the training data. Default: the seed of the run (--seed_everything).
        cache_dir: Folder of learned tokenizers. Default: seqlight under $XDG_CACHE_HOME or ~/.cache. It is never taken
            from a checkpoint.

    Attributes:
        class_names: Names of the classes, in the order of their indices.
        aux_class_names: Names of the auxiliary classes; empty if there are none.
        class_counts: Number of training rows of each class, after ``setup("fit")``.
        duplicates: Number of repeated texts within each split and between splits, counted before any are dropped.
        truncated: Number of texts of each split that were cut to max_seq_len, after its ``setup``.

    Raises:
        UserError: A value is out of its range.
    """

    new_rows_each_epoch = True  # BucketedRows computes the order of each epoch
    EXAMPLES: Sequence[str] = ()  # texts for predict if no others are given
    what = "texts"  # the name of the rows in messages

    def __init__(
        self,
        split: SplitConfig,
        tokens: TokenConfig,
        batch_size: int,
        text: TextConfig = TextConfig(),
        tokenizer: TokenizerKind = "wordpiece",
        vocab_size: int = 8000,
        tokenizer_path: str | None = None,
        predict: PredictConfig = PredictConfig(),
        soft_labels_path: str | None = None,
        num_workers: int = 0,
        seed: int | None = None,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()  # those of the subclass too
        check_choice("tokenizer", tokenizer, TokenizerKind)
        check_range("vocab_size", vocab_size, least=1)
        self.split, self.tokens = split, group_from(TokenConfig, tokens)
        self.text, self.predict = group_from(TextConfig, text), group_from(PredictConfig, predict)
        self.tokenizer_kind, self.max_vocab_size, self.tokenizer_path = tokenizer, vocab_size, tokenizer_path
        self.special_tokens, self.soft_labels_path = self.tokens.special_tokens, soft_labels_path
        self.cache = cache_folder(cache_dir)
        self.class_counts: list[int] | None = None
        self.duplicates: dict[str, int] = {}
        self.truncated: dict[str, int] = {}
        self.longest = 0  # number of tokens in the longest row that was encoded so far
        self._trained = np.zeros(0, dtype=np.int64)  # hashes of the texts that the weights were trained on

    @property
    def class_names(self) -> list[str]:
        """Names of the classes."""
        raise NotImplementedError

    @property
    def aux_class_names(self) -> list[str]:
        """Names of the auxiliary classes; empty if there are none."""
        return []

    def read_splits(self) -> Splits:
        """Training, validation and test data as they are in the files."""
        raise NotImplementedError

    def as_input(self, part: Examples) -> Examples:
        """A split in the form that the model reads. A subclass may change the texts."""
        return part

    @cached_property
    def as_read(self) -> Splits:
        """Training, validation and test data as they are in the files, without dropped duplicates."""
        splits = self.read_splits()
        self.duplicates = count_duplicates(splits)
        if self.split.drop_duplicates:
            splits = without_duplicates(splits)
        for name, part in splits.items():
            if not len(part):
                raise UserError(f"data: no {self.what} are left for {name}; give more of them, or other fractions")
        return splits

    @cached_property
    def splits(self) -> Splits:
        """Training, validation and test data in the form that the model reads."""
        return {name: self.as_input(part) for name, part in self.as_read.items()}

    @cached_property
    def train_examples(self) -> Examples:
        """What is trained on: the training split, and the texts of ``soft_labels_path``."""
        part = self.splits["train"]
        if self.soft_labels_path is None:
            return part
        soft = read_soft_labels(self.soft_labels_path, self.class_names)
        soft.texts = self.clean(soft.texts)
        tested = text_hashes([*self.as_read["val"].texts, *self.as_read["test"].texts])
        held = np.isin(text_hashes(soft.texts), tested)
        left_out = f", {held.sum():,} left out that validation or test have" if held.any() else ""
        rank_zero_info(f"soft_labels_path: {len(soft) - held.sum():,} {self.what}{left_out}")
        return part.with_soft(soft.take(np.flatnonzero(~held)))

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def num_aux_classes(self) -> int:
        """Number of auxiliary classes; 0 if there are none."""
        return len(self.aux_class_names)

    @cached_property
    def tokenizer(self) -> WordPieceTokenizer | WordTokenizer:
        """The tokenizer. It is read from tokenizer_path, or one process learns it from the training texts for all."""
        if self.tokenizer_path is not None:
            return self._given_tokenizer(self.tokenizer_path)
        return self.learned_tokenizer()

    def learned_tokenizer(self) -> WordPieceTokenizer | WordTokenizer:
        """The tokenizer that one process learns from the training texts for all. A subclass may have another."""
        texts, kind = self.train_examples.texts, LEARNED[self.tokenizer_kind]
        digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        cased = "" if self.tokens.lower_case else "-cased"
        path = once(
            self.cache
            / "tokenizers"
            / f"{digest}-{kind.kind}-{self.max_vocab_size}-{kind.training_version()}{cased}.tokenizer",
            lambda path: save(kind.train(texts, self.max_vocab_size, self.tokens.lower_case), path),
        )
        return self._given_tokenizer(str(path))

    def _given_tokenizer(self, path: str) -> WordPieceTokenizer | WordTokenizer:
        if not expanded(path).is_file():
            return WordPieceTokenizer.from_pretrained(path, self.tokens.revision)
        found = load(path)
        if not isinstance(found, WordPieceTokenizer | WordTokenizer):
            raise UserError(
                f"tokenizer_path {path}: holds a tokenizer of the kind {found.kind}, which has no padding; give a "
                "folder of a BERT tokenizer or a checkpoint of a classifier"
            )
        return found

    @property
    def vocab_size(self) -> int:
        """Number of ids of the tokenizer."""
        return self.tokenizer.vocab_size

    @property
    def pad_id(self) -> int:
        """The id of the padding token."""
        return self.tokenizer.special["pad"]

    def encode(self, texts: Sequence[str], name: str) -> list[np.ndarray]:
        """The ids of each text, (T,) with T at least 1. Texts that are too long are cut, and counted for ``name``."""
        special, room, head = self.tokenizer.special, self.tokens.room, self.tokens.head
        cut, rows = 0, []
        for ids in self.tokenizer.encode_texts(texts):
            if len(ids) > room:
                cut += 1
                ids = np.concatenate([ids[:head], ids[len(ids) - (room - head) :]])
            elif not len(ids):  # the tokenizer dropped all characters of the text
                ids = np.array([special["unk"]], dtype=np.int32)
            rows.append(np.concatenate([[special["cls"]], ids, [special["sep"]]]) if self.special_tokens else ids)
        self.truncated[name] = cut
        self.longest = max(self.longest, *map(len, rows)) if rows else self.longest
        if cut:
            rank_zero_info(
                f"{name}: {cut:,} of {len(rows):,} {self.what} are longer than max_seq_len "
                f"{self.tokens.max_seq_len} and are cut (--data.tokens.truncation_side {self.tokens.truncation_side})"
            )
        return [row.astype(np.int32) for row in rows]

    @property
    def _batch_rows(self) -> int:
        """Number of rows in a batch of all processes."""
        return self.batch_size * self._ranks().get("num_replicas", 1)

    def _rows(self, name: Split, batch_rows: int = 1) -> TokenRows:
        part = self.train_examples if name == "train" else self.splits[name]
        ids = self.encode(part.texts, name)
        labels = part.labels, part.aux_labels
        return TokenRows(ids, *labels, self.pad_id, batch_rows=batch_rows, probabilities=part.probabilities)

    def setup(self, stage: str) -> None:
        """Encodes the data of a stage. Predict needs no labelled data."""
        super().setup(stage)
        if stage == "fit":
            self.train_set = BucketedRows(self._rows("train"), self.seed, self._batch_rows, self.tokens.pool_batches)
            labels = self.train_examples.labels
            self.class_counts = np.bincount(labels[labels != IGNORED], minlength=self.num_classes).tolist()
            soft = self.train_examples.texts[len(self.splits["train"]) :]
            self._trained = text_hashes([*self.as_read["train"].texts, *soft])
        if stage in ("fit", "test"):
            rank_zero_info(self.summary())
            if self.num_classes <= MOST_SHOWN:
                rank_zero_info(self.class_table())
        if stage in ("fit", "validate"):
            self.val_set = self._rows("val", self._batch_rows)
        if stage == "test":
            self.test_set = self._rows("test", self._batch_rows)
        if stage == "predict":
            self.predict_set = self._predict_rows()

    def summary(self) -> str:
        """A line with the number of rows of each split and the number of repeated texts."""
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in self.splits.items())
        repeated = ", ".join(f"{count} {name}" for name, count in self.duplicates.items() if count)
        line = f"{self.what}: {sizes}"
        if repeated:
            done = "dropped" if self.split.drop_duplicates else "kept (--data.split.drop_duplicates true drops them)"
            line += f"; repeated texts, {done}: {repeated}"
        return line

    def class_table(self) -> str:
        """A table of the classes: the number of rows that each has in each split, the classes in their order."""
        counts = {
            name: np.bincount(part.labels[part.labels != IGNORED], minlength=self.num_classes).tolist()
            for name, part in self.splits.items()
        }
        rows = [("class", *counts), *zip(self.class_names, *counts.values(), strict=True)]
        width = max(len(name) for name, *_ in rows)
        return "\n".join(f"{name:<{width}}" + "".join(f"{value:>8}" for value in values) for name, *values in rows)

    def _predict_rows(self) -> TokenRows:
        if self.predict.path is not None:
            encoding = self.text.encoding or "utf-8"
            found = read_table(self.predict.path, "predict.path", self.text.column, None, encoding)
            texts, rows = found.texts, found.rows
        else:
            texts = list(self.predict.texts or self.EXAMPLES)
            rows = list(range(len(texts)))
        shown = Examples.of(texts, [IGNORED] * len(texts))
        ids = self.encode(self.clean(texts), "predict")
        return TokenRows(
            ids, shown.labels, shown.aux_labels, self.pad_id, np.array(rows), texts, batch_rows=self._batch_rows
        )

    def clean(self, texts: list[str]) -> list[str]:
        """The texts to predict, with the changes that were made to the training texts when they were read."""
        return texts

    def state_dict(self) -> dict[str, Any]:
        """See the base class. Hashes of the training texts are added, so that a later test can recognise them."""
        return {**super().state_dict(), "trained": torch.from_numpy(self._trained)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See the base class. Warns if validation or test data have texts that the weights were trained on."""
        super().load_state_dict(state)
        if isinstance(trained := state.get("trained"), Tensor):
            self._trained = np.union1d(self._trained, trained.numpy())
            if self.val_set is not None:
                self._warn_of_trained("val")
            if self.test_set is not None:
                self._warn_of_trained("test")

    def _warn_of_trained(self, name: Split) -> None:
        """Warns if the weights were trained on more texts of a split than the collection itself has in both splits."""
        known = int(np.isin(text_hashes(texts := self.as_read[name].texts), self._trained).sum())
        if known > self.duplicates[f"{name} in train"]:
            rank_zero_warn(
                f"the checkpoint was trained on {known:,} of these {len(texts):,} {name} {self.what}: the "
                "result is too good; leave out --data flags that choose other splits than those of the training"
            )
