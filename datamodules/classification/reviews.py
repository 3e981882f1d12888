"""Reviews and any other labelled texts: IMDb, Pang & Lee's collections, a CSV or JSON-lines file, a hub's data set."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from datamodules.classification.base import ClassificationDataModule, Splits
from datamodules.classification.examples import Examples, Split, stratified_folds, stratified_sample
from datamodules.classification.groups import SplitConfig, TokenConfig
from datamodules.classification.keras_imdb import read_word_index
from datamodules.classification.review_folders import Review, without_breaks
from datamodules.classification.review_sources import classes_of, is_keras, of_classes, reviews_at, reviews_of_hub
from datamodules.classification.review_templates import CLASSES, synthetic_reviews
from datamodules.tokenizers import WordIndexTokenizer, WordPieceTokenizer, WordTokenizer
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range, group_from, refuse_both

FoldBy = Literal["stratified", "number"]


@dataclass(frozen=True)
class ReviewSplit(SplitConfig):
    """Validation and test texts, and texts that stand in more than one split.

    Attributes:
        val_fraction: Fraction of the training texts for validation, stratified by class.
        drop_duplicates: Remove from training (and validation) what a later split has, and repetitions. They are
            counted in any case.
        seed: Seed of the fractions and folds; runs of different seeds share them.
        test_fraction: Fraction of the texts for the test, where the collection has no test of its own.
        fold: Cross-validation: test on this fold, 1 to folds, and train on the others.
        folds: Number of folds, at least 2.
        fold_by: How they are made: stratified at random, or by Pang & Lee's numbers (cv000 to cv099 are fold 1).

    Raises:
        UserError: A value is out of its range.
    """

    test_fraction: float = 0.1
    fold: int | None = None
    folds: int = 10
    fold_by: FoldBy = "stratified"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("split.test_fraction", self.test_fraction, above=0, below=1 - self.val_fraction)
        check_range("split.folds", self.folds, least=2)
        check_range("split.fold", self.fold, least=1, most=self.folds)
        check_choice("split.fold_by", self.fold_by, FoldBy)


class ReviewsDataModule(ClassificationDataModule):
    """Texts with a class each, such as film reviews that praise or blame.

    Without path or text.hub the reviews are synthetic, made from templates of our own, to try things without a
    download.

    Args:
        path: Texts with labels: Pang & Lee's folders or zips, the aclImdb folder, a .csv, .tsv or .jsonl file, or
            Keras' imdb.npz with imdb_word_index.json beside it, whose words (``tokenizer: words``) keep Keras' ids. In
            its place, ``text.hub`` may be a data set such as stanfordnlp/imdb.
        test_path: A second one for the test. Default: the collection's own test, or a fraction of path.
        classes: The labels, in the order of their numbers; rows with others are left out. Default: all labels, sorted.
            A checkpoint has them.
        split: Validation and test.
        tokens: How texts become rows of tokens.
        batch_size: Texts in a batch of one process.
        shared: Further arguments of ClassificationDataModule.

    Raises:
        UserError: A value is out of its range, or two exclude each other.
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
        classes: list[str] | None = None,
        split: ReviewSplit = ReviewSplit(),
        tokens: TokenConfig = TokenConfig(),
        batch_size: int = 32,
        **shared: Any,
    ) -> None:
        self.review_split = group_from(ReviewSplit, split)
        super().__init__(self.review_split, tokens, batch_size, **shared)
        refuse_both("path", path, "text.hub", self.text.hub)
        if test_path is not None and path is None:
            raise UserError(f"test_path {test_path} is given without path; give the training texts too")
        if classes is not None and (len(set(classes)) < 2 or len(set(classes)) < len(classes)):
            raise UserError(f"classes must be two or more different labels, not {classes}")
        self.path, self.test_path, self.classes = path, test_path, classes

    @cached_property
    def class_names(self) -> list[str]:
        """The classes. Those that were found go into the hyperparameters, so that predict needs no data."""
        names = self.classes
        if names is None:
            names = CLASSES if self.path is None and self.text.hub is None else classes_of(self.reviews)
            self.hparams["classes"] = list(names)
        return list(names)

    @cached_property
    def reviews(self) -> list[Review]:
        """All reviews, of whatever class, read at first use."""
        config = self.text
        if self.path is not None:
            columns = config.column, config.label_column
            return reviews_at(self.path, self.test_path, *columns, config.encoding, config.split_column)
        if config.hub is not None:
            return reviews_of_hub(config.hub, config.revision, config.column, config.label_column)
        made: list[Review] = []
        for split, part in zip(("train", "test"), synthetic_reviews(), strict=True):
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
        examples = Examples.of([review.text for review in reviews], [number[review.label] for review in reviews])
        split = np.array([review.split or "train" for review in reviews])
        config = self.review_split
        if config.fold is not None:
            split = self._fold(reviews, examples.labels, split)
        labels = examples.labels
        for name, fraction in (("test", config.test_fraction), ("val", config.val_fraction)):
            if not (split == name).any():
                rest = np.flatnonzero(split == "train")
                split[rest[stratified_sample(labels[rest], fraction, config.seed)]] = name
        names: tuple[Split, ...] = ("train", "val", "test")
        return {name: examples.take(np.flatnonzero(split == name)) for name in names}

    def _fold(self, reviews: list[Review], labels: np.ndarray, split: np.ndarray) -> np.ndarray:
        """The splits with this fold as the test (N,)."""
        config = self.review_split
        assert config.fold is not None
        if (split == "test").any():
            raise UserError(f"split.fold {config.fold}: these texts have a test of their own; leave fold out")
        if config.fold_by == "stratified":
            folds = stratified_folds(labels, config.folds, config.seed)
        else:
            numbers = [review.number for review in reviews]
            if any(number is None for number in numbers):
                raise UserError(
                    "split.fold_by number needs files named cv000_... to cv999_..., as Pang & Lee's reviews are"
                )
            folds = np.array(numbers, dtype=np.int64) * config.folds // 1000
        if not (folds == config.fold - 1).any():
            raise UserError(f"split.fold {config.fold} of {config.folds} holds no text; give fewer folds")
        return np.where(folds == config.fold - 1, "test", split)

    def learned_tokenizer(self) -> WordPieceTokenizer | WordTokenizer:
        """See the base class. The words of Keras' data are those of its index, the most frequent first."""
        if self.tokenizer_kind == "words" and self.path is not None and is_keras(self.path):
            return WordIndexTokenizer.of(read_word_index(self.path), self.max_vocab_size)
        return super().learned_tokenizer()

    def clean(self, texts: list[str]) -> list[str]:
        """See the base class."""
        return list(map(without_breaks, texts))

    def setup(self, stage: str) -> None:
        """See the base class; says so when the reviews are synthetic."""
        super().setup(stage)
        if stage in ("fit", "test") and self.path is None and self.text.hub is None:
            rank_zero_info("these reviews are synthetic; for real ones give --data.path or --data.text.hub")
