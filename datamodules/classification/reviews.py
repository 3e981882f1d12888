"""Reviews and any other labelled texts: IMDb, Pang & Lee's collections, a CSV or JSON-lines file, a hub's data set."""

from functools import cached_property
from typing import Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from datamodules.classification.base import ClassificationDataModule, Splits, check_shares
from datamodules.classification.examples import Examples, Split, stratified_folds, stratified_share
from datamodules.classification.review_folders import Review, without_breaks
from datamodules.classification.review_sources import classes_of, of_classes, reviews_at, reviews_of_hub
from datamodules.classification.review_templates import CLASSES, embedded_reviews
from seqlight.core.errors import UserError


class ReviewsDataModule(ClassificationDataModule):
    """Texts with a class each, such as film reviews that praise or blame.

    Without path or hub the reviews are synthetic, made from templates of our own, to try things without a download.

    Args:
        path: Texts with labels: Pang & Lee's folders or zips, the aclImdb folder, or a .csv, .tsv or .jsonl file.
        test_path: A second one for the test; by default what the collection calls its test, or a share of path.
        hub: Data set of the Hugging Face hub in their place, such as stanfordnlp/imdb.
        revision: Its branch, tag or commit.
        text_column: Column of the text in CSV, JSON lines and hub tables.
        label_column: Column of the label.
        classes: The labels, in the order of their numbers; rows with others are left out. By default all that there
            are, sorted. A checkpoint brings its own.
        val_fraction: Share of the training texts for validation, stratified.
        test_fraction: Share of all texts for the test, where there are no others.
        fold: Cross-validation: test on this fold, 1 to folds, and train on the others.
        folds: Number of folds.
        fold_by: How they are made: stratified at random, or by Pang & Lee's numbers (cv000 to cv099 are fold 1).
        drop_duplicates: Take out of training (and validation) what a later split has, and repetitions. They are
            counted in any case.
        tokenizer: BERT's kind of subwords, or whole words, learned from the training texts.
        vocab_size: Number of tokens at most that are learned.
        tokenizer_lower_case: Learn and read in lower case. Without, Turkey and turkey are two words.
        tokenizer_path: Tokenizer to take instead: a folder or hub id that transformers' BertTokenizer loads, or a
            checkpoint.
        tokenizer_revision: Branch, tag or commit of the hub's model.
        special_tokens: Put [CLS] before and [SEP] behind each text, as pretrained encoders expect.
        max_seq_len: Longest row in tokens, special ones included.
        keep: What stays of a longer text: its head, its tail, or both (a quarter from the head).
        batch_size: Texts in a batch of one process.
        pool_batches: Training batches whose texts are sorted by length together, so that little is padding; 1 shuffles
            without regard to length.
        texts: Texts for predict. By default a few examples.
        texts_path: File of them: .txt with one a line, .csv, .tsv or .jsonl.
        cache_dir: Where learned tokenizers are kept; by default seqlight under $XDG_CACHE_HOME or ~/.cache.
        encoding: Of all files; by default UTF-8 and, in collections, Latin-1 where a file is not UTF-8.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        split_seed: Seed of shares and folds; the runs of different seeds share them.
        seed: Seed of the training data's order; by default that of the run (--seed_everything).
    """

    EXAMPLES = (
        "A warm and funny film with a cast that never puts a foot wrong .",
        "Two hours of my life that i will never get back .",
        "It is anything but boring .",
    )
    what = "reviews"

    def __init__(
        self,
        path: str | None = None,
        test_path: str | None = None,
        hub: str | None = None,
        revision: str | None = None,
        text_column: str = "text",
        label_column: str = "label",
        classes: list[str] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        fold: int | None = None,
        folds: int = 10,
        fold_by: Literal["stratified", "number"] = "stratified",
        drop_duplicates: bool = False,
        tokenizer: Literal["wordpiece", "words"] = "wordpiece",
        vocab_size: int = 8000,
        tokenizer_lower_case: bool = True,
        tokenizer_path: str | None = None,
        tokenizer_revision: str | None = None,
        special_tokens: bool = False,
        max_seq_len: int = 256,
        keep: Literal["head", "tail", "both"] = "head",
        batch_size: int = 32,
        pool_batches: int = 20,
        texts: list[str] | None = None,
        texts_path: str | None = None,
        cache_dir: str | None = None,
        encoding: str | None = None,
        num_workers: int = 0,
        split_seed: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            tokenizer=tokenizer,
            vocab_size=vocab_size,
            tokenizer_lower_case=tokenizer_lower_case,
            tokenizer_path=tokenizer_path,
            tokenizer_revision=tokenizer_revision,
            special_tokens=special_tokens,
            max_seq_len=max_seq_len,
            keep=keep,
            batch_size=batch_size,
            pool_batches=pool_batches,
            drop_duplicates=drop_duplicates,
            texts=texts,
            texts_path=texts_path,
            text_column=text_column,
            cache_dir=cache_dir,
            encoding=encoding,
            num_workers=num_workers,
            seed=seed,
        )
        self.save_hyperparameters(logger=False)
        if path is not None and hub is not None:
            raise UserError(f"path {path} and hub {hub} are both given; give one of them")
        if test_path is not None and path is None:
            raise UserError(f"test_path {test_path} is given without path; give the training texts too")
        if classes is not None and (len(set(classes)) < 2 or len(set(classes)) < len(classes)):
            raise UserError(f"classes must be two or more different labels, not {classes}")
        check_shares(val_fraction=val_fraction, test_fraction=test_fraction)
        if folds < 2:
            raise UserError(f"folds must be at least 2, not {folds}")
        if fold is not None and not 1 <= fold <= folds:
            raise UserError(f"fold must be from 1 to {folds}, not {fold}")
        if split_seed < 0:
            raise UserError(f"split_seed must be 0 or more, not {split_seed}")
        self.path, self.test_path, self.hub, self.revision = path, test_path, hub, revision
        self.label_column, self.classes = label_column, classes
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.fold, self.folds, self.fold_by = fold, folds, fold_by

    @cached_property
    def class_names(self) -> list[str]:
        """The classes, given or found; then a checkpoint's hyperparameters say them, and need no data to predict."""
        names = self.classes
        if names is None:
            names = CLASSES if self.path is None and self.hub is None else classes_of(self.reviews)
            self.hparams["classes"] = list(names)
        return list(names)

    @cached_property
    def reviews(self) -> list[Review]:
        """All reviews, of whatever class, read at first use."""
        if self.path is not None:
            return reviews_at(self.path, self.test_path, self.text_column, self.label_column, self.encoding)
        if self.hub is not None:
            return reviews_of_hub(self.hub, self.revision, self.text_column, self.label_column)
        made: list[Review] = []
        for split, part in zip(("train", "test"), embedded_reviews(), strict=True):
            made += [
                Review(text, CLASSES[label], split)
                for text, label in zip(part.texts, part.labels.tolist(), strict=True)
            ]
        return made

    def read_splits(self) -> Splits:
        """See the base class."""
        classes = self.class_names
        reviews = of_classes(self.reviews, classes)
        if not reviews:
            raise UserError(f"classes {classes}: no text has one of these labels")
        number = {name: i for i, name in enumerate(classes)}
        all_of_them = Examples.of([review.text for review in reviews], [number[review.label] for review in reviews])
        split = np.array([review.split or "train" for review in reviews])
        if self.fold is not None:
            split = self._fold(reviews, all_of_them.labels, split)
        labels = all_of_them.labels
        if not (split == "test").any():
            split[stratified_share(labels, self.test_fraction, self.split_seed)] = "test"
        if not (split == "val").any():
            rest = np.flatnonzero(split == "train")
            split[rest[stratified_share(labels[rest], self.val_fraction, self.split_seed)]] = "val"
        names: tuple[Split, ...] = ("train", "val", "test")
        return {name: all_of_them.take(np.flatnonzero(split == name)) for name in names}

    def _fold(self, reviews: list[Review], labels: np.ndarray, split: np.ndarray) -> np.ndarray:
        """The splits with this fold as the test (N,)."""
        assert self.fold is not None
        if (split == "test").any():
            raise UserError(f"fold {self.fold}: these texts have a test of their own; leave fold out")
        if self.fold_by == "stratified":
            folds = stratified_folds(labels, self.folds, self.split_seed)
        else:
            numbers = [review.number for review in reviews]
            if any(number is None for number in numbers):
                raise UserError("fold_by number needs files named cv000_... to cv999_..., as Pang & Lee's reviews are")
            folds = np.array(numbers, dtype=np.int64) * self.folds // 1000
        if not (folds == self.fold - 1).any():
            raise UserError(f"fold {self.fold} of {self.folds} holds no text; give fewer folds")
        return np.where(folds == self.fold - 1, "test", split)

    def clean(self, texts: list[str]) -> list[str]:
        """See the base class."""
        return list(map(without_breaks, texts))

    def setup(self, stage: str) -> None:
        """See the base class; says so when the reviews are synthetic."""
        super().setup(stage)
        if stage in ("fit", "test") and self.path is None and self.hub is None:
            rank_zero_info("these reviews are synthetic; for real ones give --data.path or --data.hub")
