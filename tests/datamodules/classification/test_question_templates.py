"""The synthetic questions."""

import numpy as np

from datamodules import QuestionsDataModule
from datamodules.classification.question_files import FINE, TRAIN_COUNTS
from datamodules.classification.question_templates import synthetic_questions
from datamodules.classification.questions import QuestionSplit

FIRST_2000 = QuestionSplit(protocol="first2000")


def test_the_synthetic_questions_have_the_class_frequencies_of_trec() -> None:
    train, test = synthetic_questions()
    assert (len(train), len(test), len({*train.texts, *test.texts})) == (2000, 500, 2500)
    for part in (train, test):
        expected = np.array([TRAIN_COUNTS[name] for name in FINE]) * len(part) / 5452
        assert np.abs(np.bincount(part.aux_labels, minlength=50) - expected).max() <= 1
    assert not any("{" in text or "}" in text for text in train.texts + test.texts)
    assert synthetic_questions()[0].texts == train.texts
    assert QuestionsDataModule(split=FIRST_2000).splits["train"].texts
