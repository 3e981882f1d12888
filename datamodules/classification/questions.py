"""TREC's questions (Li & Roth 2002): what kind of answer does a question ask for? 6 classes, or 50 finer ones."""

import random
from pathlib import Path
from typing import Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from datamodules.classification.base import ClassificationDataModule, Splits, check_shares
from datamodules.classification.examples import Examples, stratified_share
from datamodules.classification.hub_tables import hub_table
from datamodules.classification.question_files import COARSE, FINE, TEST_FILE, TRAIN_FILE, questions_of, read_label_file
from datamodules.classification.question_templates import embedded_questions
from seqlight.core.errors import UserError

COURSE_ROWS, COURSE_SEED = 2000, 1234  # the course's notebook: the first rows of the training file, shuffled
COURSE_SIZES = (1601, 198, 201)


class QuestionsDataModule(ClassificationDataModule):
    """Questions with the kind of their answer: ABBR, DESC, ENTY, HUM, LOC or NUM, or one of 50 finer classes.

    Without data_dir or hub the questions are synthetic: made from templates of our own with TREC's classes and its
    imbalance, to try things without a download. Scores on them are no scores on TREC.

    Args:
        data_dir: Folder with TREC's train_5500.label and TREC_10.label, 5,452 and 500 questions.
        hub: Data set of the Hugging Face hub in their place, such as SetFit/TREC-QC.
        revision: Its branch, tag or commit.
        labels: The 6 coarse classes or the 50 fine ones; the others are the auxiliary labels.
        protocol: The official test file, with a stratified share of the training file for validation; or the course's,
            which shuffles the first 2,000 training rows and makes 1,601, 198 and 201 of them.
        fine_label_in_text: Put the fine label before the question ("manner How did ..."), the leak of the course's
            notebook, in which looking that word up is enough for 92 % of validation. For the lesson alone: questions
            to predict do not have it.
        val_fraction: Share of the training file for validation in the official protocol.
        drop_duplicates: Take out of training (and validation) what a later split has, and repetitions. They are
            counted in any case.
        tokenizer: BERT's kind of subwords, or whole words, learned from the training questions.
        vocab_size: Number of tokens at most that are learned.
        tokenizer_lower_case: Learn and read in lower case. Without, Turkey and turkey are two words.
        tokenizer_path: Tokenizer to take instead: a folder or hub id that transformers' BertTokenizer loads, or a
            checkpoint.
        tokenizer_revision: Branch, tag or commit of the hub's model.
        special_tokens: Put [CLS] before and [SEP] behind each question, as pretrained encoders expect.
        max_seq_len: Longest row in tokens, special ones included; TREC's longest question has 39 of BERT's.
        keep: What stays of a longer text: its head, its tail, or both (a quarter from the head).
        batch_size: Questions in a batch of one process.
        pool_batches: Training batches whose questions are sorted by length together, so that little is padding; 1
            shuffles without regard to length.
        texts: Questions for predict. By default a few examples.
        texts_path: File of them: .txt with one a line, .csv, .tsv or .jsonl.
        text_column: Column of the question in such a .csv, .tsv or .jsonl.
        cache_dir: Where learned tokenizers are kept; by default seqlight under $XDG_CACHE_HOME or ~/.cache.
        encoding: Of texts_path; by default UTF-8.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        split_seed: Seed of the validation share; the runs of different seeds share it.
        seed: Seed of the training data's order; by default that of the run (--seed_everything).
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
        data_dir: str | None = None,
        hub: str | None = None,
        revision: str | None = None,
        labels: Literal["coarse", "fine"] = "coarse",
        protocol: Literal["official", "course"] = "official",
        fine_label_in_text: bool = False,
        val_fraction: float = 0.1,
        drop_duplicates: bool = False,
        tokenizer: Literal["wordpiece", "words"] = "wordpiece",
        vocab_size: int = 8000,
        tokenizer_lower_case: bool = True,
        tokenizer_path: str | None = None,
        tokenizer_revision: str | None = None,
        special_tokens: bool = False,
        max_seq_len: int = 64,
        keep: Literal["head", "tail", "both"] = "head",
        batch_size: int = 64,
        pool_batches: int = 20,
        texts: list[str] | None = None,
        texts_path: str | None = None,
        text_column: str = "text",
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
        if data_dir is not None and hub is not None:
            raise UserError(f"data_dir {data_dir} and hub {hub} are both given; give one of them")
        check_shares(val_fraction=val_fraction)
        if split_seed < 0:
            raise UserError(f"split_seed must be 0 or more, not {split_seed}")
        self.data_dir, self.hub, self.revision = data_dir, hub, revision
        self.labels, self.protocol, self.fine_label_in_text = labels, protocol, fine_label_in_text
        self.val_fraction, self.split_seed = val_fraction, split_seed

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
        if self.data_dir is not None:
            folder = Path(self.data_dir).expanduser()
            return read_label_file(folder / TRAIN_FILE, "data_dir"), read_label_file(folder / TEST_FILE, "data_dir")
        if self.hub is not None:
            table = hub_table(self.hub, self.revision, "without a network, give TREC's files with --data.data_dir")
            if missing := {"train", "test"} - set(table):
                raise UserError(f"hub {self.hub}: has no split {' and '.join(sorted(missing))}; try SetFit/TREC-QC")
            return questions_of(self.hub, table["train"]), questions_of(self.hub, table["test"])
        return embedded_questions()

    def read_splits(self) -> Splits:
        """See the base class."""
        train, test = self._files()
        if self.protocol == "official":
            held = stratified_share(train.aux_labels, self.val_fraction, self.split_seed)
            return {"train": train.take(np.flatnonzero(~held)), "val": train.take(np.flatnonzero(held)), "test": test}
        if len(train) < COURSE_ROWS:
            raise UserError(f"protocol course takes {COURSE_ROWS:,} training questions, and there are {len(train):,}")
        rows = list(range(COURSE_ROWS))
        random.Random(COURSE_SEED).shuffle(rows)
        first, second = COURSE_SIZES[0], sum(COURSE_SIZES[:2])
        return {
            "train": train.take(rows[:first]),
            "val": train.take(rows[first:second]),
            "test": train.take(rows[second:]),
        }

    def as_input(self, part: Examples) -> Examples:
        """The chosen labels first; the fine label in the text only where it was asked for."""
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
                "this model learned with fine_label_in_text, and questions to predict do not have the label: what it "
                "says of them is worth little"
            )
        if stage in ("fit", "test") and self.data_dir is None and self.hub is None:
            rank_zero_info("these questions are synthetic; for TREC's own give --data.data_dir or --data.hub")
