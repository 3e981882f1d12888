"""How much accuracy on TREC the leaked fine label gives by itself: a table looked up, nothing learned.

A notebook used in teaching cut each row at its first colon and kept the rest, so that every "question" began with its
fine label: "manner How did serfdom develop ...". This counts, on the training split, the commonest class after each
first word, and answers with that. Rows whose word was never seen get the commonest class of all.

    python benchmarks/studies/question_leak.py ../shared/data/trec
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from datamodules import QuestionsDataModule
from datamodules.classification.questions import QuestionSplit


def first_word(text: str) -> str:
    """What stands before the first space."""
    return text.partition(" ")[0]


def looked_up(train: Sequence[str], labels: Sequence[int], texts: Sequence[str]) -> np.ndarray:
    """The commonest training class after each text's first word (N,)."""
    table: dict[str, Counter[int]] = defaultdict(Counter)
    for text, label in zip(train, labels, strict=True):
        table[first_word(text)][label] += 1
    commonest = Counter(labels).most_common(1)[0][0]
    return np.array(
        [table[word].most_common(1)[0][0] if (word := first_word(text)) in table else commonest for text in texts]
    )


def main() -> None:
    """Looks the words up and prints the fraction that is right."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path", help="folder with train_5500.label")
    folder = parser.parse_args().path
    print("| protocol | first word of the text | valid | test |\n|---|---|---|---|")
    for protocol in ("first2000", "official"):
        for leak in (True, False):
            split = QuestionSplit(protocol=protocol)  # type: ignore[arg-type]
            splits = QuestionsDataModule(path=folder, split=split, fine_label_in_text=leak).splits
            train = splits["train"]
            right = [
                np.mean(looked_up(train.texts, train.labels.tolist(), splits[name].texts) == splits[name].labels)
                for name in ("val", "test")
            ]
            what = "the fine label (the leak)" if leak else "the question's own"
            print(f"| {protocol} | {what} | {100 * right[0]:.2f} % | {100 * right[1]:.2f} % |")


if __name__ == "__main__":
    main()
