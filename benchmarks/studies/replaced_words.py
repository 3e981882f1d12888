"""Questions in which words are replaced at random, for a teacher to label: texts from which a student can learn words.

    python benchmarks/studies/replaced_words.py trec vocab.txt texts.txt
    seqlight predict --ckpt_path TEACHER --data.predict.path texts.txt --data.batch_size 64
    seqlight sweep sweeps/questions/trec_distilled      # with its predictions.jsonl as teacher.jsonl

A model that knows the training questions alone has never seen the words of other questions. A pretrained encoder has
seen most of them. So a student learns from an encoder's opinion of questions with such words, as in Tang et al.
(Distilling task-specific knowledge from BERT into simple neural networks, 2019), who vary the words of texts at random.

The questions are those of the training split of questions/bert. Every word that is not among its 100 most frequent ones
is replaced with a probability of one half: in seven of ten cases by a word of the encoder's vocabulary, else by one of
the questions' own. Each question is varied twelve times. No validation or test question is read.
"""

import argparse
import random
from collections import Counter
from pathlib import Path

from datamodules import QuestionsDataModule
from seqlight.core.errors import UserError

FREQUENT = 100  # words that are kept; they tell what kind of question it is
REPLACED = 0.5  # of the others
FROM_VOCABULARY = 0.7
SHORTEST = 3  # letters of a word that is put in


def is_word(word: str) -> bool:
    """Whether something is a word of letters, no punctuation and no part of a word."""
    return word.isascii() and word.isalpha()


def varied(texts: list[str], vocabulary: list[str], copies: int, seed: int) -> list[str]:
    """New texts, each once."""
    counts = Counter(word for text in texts for word in text.split())
    kept = {word for word, _ in counts.most_common(FREQUENT)}
    own = sorted(word for word in counts if is_word(word) and word not in kept)
    new, generator, seen = [vocabulary, own], random.Random(seed), set(texts)
    found = []

    def replaced(word: str) -> str:
        if word in kept or not is_word(word) or generator.random() >= REPLACED:
            return word
        other = generator.choice(new[generator.random() >= FROM_VOCABULARY])
        return other.capitalize() if word[0].isupper() else other

    for text in texts * copies:
        made = " ".join(map(replaced, text.split()))
        if made not in seen:
            seen.add(made)
            found.append(made)
    return found


def main() -> None:
    """Writes the texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trec", help="folder of train_5500.label and TREC_10.label")
    parser.add_argument("vocabulary", type=Path, help="the encoder's vocab.txt, a token a line")
    parser.add_argument("texts", type=Path, help="the file to write, a text a line")
    parser.add_argument("--copies", type=int, default=12, help="of each question")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not args.vocabulary.is_file():
        parser.error(f"{args.vocabulary}: no such file; give the encoder's vocab.txt")
    tokens = args.vocabulary.read_text(encoding="utf-8").split("\n")
    vocabulary = [token for token in tokens if is_word(token) and len(token) >= SHORTEST]
    try:
        texts = QuestionsDataModule(path=args.trec).splits["train"].texts
    except (UserError, OSError) as error:
        parser.error(str(error))
    texts = varied(texts, vocabulary, args.copies, args.seed)
    args.texts.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    print(f"{len(texts):,} questions in {args.texts}")


if __name__ == "__main__":
    main()
