"""TREC's questions (Li & Roth 2002): what kind of answer does a question ask for? 6 classes, or 50 finer ones."""

import random
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from datamodules.classification.base import ClassificationDataModule, Splits
from datamodules.classification.examples import Examples, stratified_sample
from datamodules.classification.groups import SplitConfig, TokenConfig
from datamodules.classification.hub_tables import hub_table
from datamodules.classification.question_files import COARSE, FINE, TEST_FILE, TRAIN_FILE, questions_of, read_label_file
from datamodules.classification.question_templates import synthetic_questions
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import check_choice, group_from, refuse_both

Labels = Literal["coarse", "fine"]
Protocol = Literal["official", "first2000"]
SHUFFLED_ROWS, SHUFFLE_SEED = 2000, 1234  # of protocol first2000, which is that of a notebook used in teaching
SHUFFLED_SIZES = (1601, 198, 201)


@dataclass(frozen=True)
class QuestionSplit(SplitConfig):
    """Validation and test questions, and questions that stand in more than one split.

    Attributes:
        val_fraction: Fraction of the training file for validation in the official protocol, stratified by fine class.
        drop_duplicates: Remove from training (and validation) what a later split has, and repetitions. They are
            counted in any case.
        seed: Seed of the validation fraction; runs of different seeds share it.
        protocol: The "official" test file; or "first2000", which shuffles the first 2,000 rows of the training file
            and makes 1,601, 198 and 201 of them training, validation and test.

    Raises:
        UserError: A value is out of its range.
    """

    protocol: Protocol = "official"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("split.protocol", self.protocol, Protocol)


class QuestionsDataModule(ClassificationDataModule):
    """Questions with the kind of their answer: ABBR, DESC, ENTY, HUM, LOC or NUM, or one of 50 finer classes.

    Without path or text.hub the questions are synthetic: made from templates of our own with TREC's classes and
    its imbalance, to try things without a download. Scores on them are no scores on TREC.

    Args:
        path: Folder with TREC's train_5500.label and TREC_10.label, 5,452 and 500 questions, or one of these two files.
            In its place, ``text.hub`` may be a data set such as SetFit/TREC-QC.
        labels: The 6 coarse classes or the 50 fine ones; the others are the auxiliary labels.
        fine_label_in_text: Put the fine label before the question ("manner How did ..."). With this leak, looking that
            word up is enough for 92 % of the validation of protocol first2000. For demonstration only: questions to
            predict do not have the label.
        split: Validation and test.
        tokens: How questions become rows of tokens; TREC's longest has 39 of BERT's.
        batch_size: Questions in a batch of one process.
        shared: Further arguments of ClassificationDataModule.

    Raises:
        UserError: A value is out of its range, or two exclude each other.
    """

    EXAMPLES = (
        "Who wrote Hamlet ?",
        "What does NASA stand for ?",
        "How many moons does Jupiter have ?",
        "Where is the Gobi Desert ?",
        "Why is the sky blue ?",
        "What color is an emerald ?",
    )
    what = "questions"

    def __init__(
        self,
        path: str | None = None,
        labels: Labels = "coarse",
        fine_label_in_text: bool = False,
        split: QuestionSplit = QuestionSplit(),
        tokens: TokenConfig = TokenConfig(max_seq_len=64),
        batch_size: int = 64,
        **shared: Any,
    ) -> None:
        self.question_split = group_from(QuestionSplit, split)
        super().__init__(self.question_split, tokens, batch_size, **shared)
        check_choice("labels", labels, Labels)
        refuse_both("path", path, "text.hub", self.text.hub)
        if fine_label_in_text and self.soft_labels_path is not None:
            raise UserError(
                "fine_label_in_text: the texts of soft_labels_path have no fine label; leave out one of them"
            )
        self.path, self.labels, self.fine_label_in_text = path, labels, fine_label_in_text

    @property
    def class_names(self) -> list[str]:
        """TREC's classes, sorted."""
        return COARSE if self.labels == "coarse" else FINE

    @property
    def aux_class_names(self) -> list[str]:
        """The classes of the other level."""
        return FINE if self.labels == "coarse" else COARSE

    def _files(self) -> tuple[Examples, Examples]:
        """All of the training file and of the test file, labels coarse and auxiliary labels fine."""
        if self.path is not None:
            location = expanded(self.path)
            folder = location.parent if location.is_file() else location
            return read_label_file(folder / TRAIN_FILE, "path"), read_label_file(folder / TEST_FILE, "path")
        if (hub := self.text.hub) is not None:
            table = hub_table(hub, self.text.revision, "without a network, give TREC's files with --data.path")
            if missing := {"train", "test"} - set(table):
                raise UserError(f"text.hub {hub}: has no split {' and '.join(sorted(missing))}; try SetFit/TREC-QC")
            return questions_of(hub, table["train"]), questions_of(hub, table["test"])
        return synthetic_questions()

    def read_splits(self) -> Splits:
        """See the base class."""
        train, test = self._files()
        if self.question_split.protocol == "official":
            held = stratified_sample(train.aux_labels, self.split.val_fraction, self.split.seed)
            return {"train": train.take(np.flatnonzero(~held)), "val": train.take(np.flatnonzero(held)), "test": test}
        if len(train) < SHUFFLED_ROWS:
            raise UserError(
                f"split.protocol first2000 takes {SHUFFLED_ROWS:,} training questions, and there are {len(train):,}"
            )
        rows = list(range(SHUFFLED_ROWS))
        random.Random(SHUFFLE_SEED).shuffle(rows)
        first, second = SHUFFLED_SIZES[0], sum(SHUFFLED_SIZES[:2])
        return {
            "train": train.take(rows[:first]),
            "val": train.take(rows[first:second]),
            "test": train.take(rows[second:]),
        }

    def as_input(self, part: Examples) -> Examples:
        """The chosen labels first; with fine_label_in_text, the fine label before the text."""
        texts = part.texts
        if self.fine_label_in_text:
            names = [FINE[label].partition(":")[2] for label in part.aux_labels]
            texts = [f"{name} {text}" for name, text in zip(names, texts, strict=True)]
        coarse, fine = part.labels, part.aux_labels
        return Examples(texts, coarse, fine) if self.labels == "coarse" else Examples(texts, fine, coarse)

    def setup(self, stage: str) -> None:
        """See the base class; says so when the questions are synthetic."""
        super().setup(stage)
        if stage == "predict" and self.fine_label_in_text:
            rank_zero_warn(
                "this model was trained with fine_label_in_text, and questions to predict do not have the label: its "
                "predictions are worth little"
            )
        if stage in ("fit", "test") and self.path is None and self.text.hub is None:
            rank_zero_info("these questions are synthetic; for TREC's own give --data.path or --data.text.hub")
