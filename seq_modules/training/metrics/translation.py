"""Metrics of translated texts: BLEU and chrF by sacrebleu, and exact match.

sacrebleu makes a corpus score of counts that are summed over the sentences: of n-grams, of those that match, and of
lengths. These counts are the states, so that a score is exact over batches and ranks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import sacrebleu
import torch
from torch import Tensor
from torchmetrics import Metric

from seq_modules.training.metrics.means import Fraction

Score = Literal["bleu", "bleu_lower", "chrf", "exact_match"]


class CorpusScore(Metric):
    """A corpus score of sacrebleu, 0 to 100, with one reference a sentence.

    Args:
        scorer: sacrebleu's metric.
        num_counts: How many counts a sentence has.
    """

    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self, scorer: Any, num_counts: int) -> None:
        super().__init__()
        self.scorer = scorer
        self.add_state("counts", torch.zeros(num_counts, dtype=torch.long), dist_reduce_fx="sum")

    @property
    def signature(self) -> str:
        """sacrebleu's description of the score, which a published number must name (Post 2018)."""
        self.scorer.num_refs = 1
        return str(self.scorer.get_signature())

    def update(self, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        """Takes translations, and as many references."""
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses have {len(references)} references")
        if hypotheses:
            rows = self.scorer._extract_corpus_statistics(hypotheses, [references])
            self.counts += torch.tensor(rows, device=self.counts.device).sum(0)

    def compute(self) -> Tensor:
        """Score from 0 to 100, in float64."""
        score = self.scorer._compute_score_from_stats(self.counts.tolist()).score
        return torch.tensor(score, dtype=torch.float64, device=self.counts.device)


class BLEU(CorpusScore):
    """BLEU (Papineni et al. 2002) of running text, tokenized by sacrebleu in the way of mteval-v13a (Post 2018).

    Args:
        lowercase: Ignore case. With it this is the tokenized, lower-cased BLEU of tutorials as near as it can be had:
            they compare the tokens of spaCy, which splits some words that 13a leaves whole ("T-shirt", "don't").
    """

    def __init__(self, lowercase: bool = False) -> None:
        scorer = sacrebleu.BLEU(lowercase=lowercase, tokenize="13a", force=True)  # force: texts may end in " ."
        super().__init__(scorer, 2 + 2 * scorer.max_ngram_order)


class ChrF(CorpusScore):
    """chrF2 (Popović 2015): F-score of character n-grams up to length 6, recall weighing twice as much as precision."""

    def __init__(self) -> None:
        scorer = sacrebleu.CHRF()
        super().__init__(scorer, 3 * scorer.order)


class ExactMatch(Fraction):
    """Fraction of the translations that equal their reference, up to the amount of white space."""

    def update(self, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        """Takes translations, and as many references."""
        self.right += sum(is_exact(*pair) for pair in zip(hypotheses, references, strict=True))
        self.total += len(references)

    def compute(self) -> Tensor:
        """Fraction between 0 and 1, in float64; NaN without sentences."""
        return self.right.double() / self.total


def is_exact(hypothesis: str, reference: str) -> bool:
    """Whether two texts are the same, up to the amount of white space."""
    return hypothesis.split() == reference.split()


METRICS: dict[Score, Callable[[], Metric]] = {
    "bleu": BLEU,
    "bleu_lower": partial(BLEU, lowercase=True),
    "chrf": ChrF,
    "exact_match": ExactMatch,
}
SCORES: tuple[Score, ...] = tuple(METRICS)


def translation_metrics(names: Sequence[Score] = SCORES) -> dict[str, Metric]:
    """New metrics of generated texts by name, each with ``update(hypotheses, references)``."""
    return {name: METRICS[name]() for name in names}
