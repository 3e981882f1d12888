"""How a language model adapts to the text that it reads."""

from dataclasses import dataclass

from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class Adaptation:
    """How a language model adapts to the text that it reads (docs/lessons/adaptation.md).

    Args:
        enabled: Adapt, in test and predict; --adapt alone sets it. Every token is scored before anything learns from
            it. The checkpoint is not changed.
        learning_rate: Of dynamic evaluation, one step of Adam a segment, at most 1. 0: the weights stay.
        segment: Tokens that are scored with the same weights, at least 1. The net reads what precedes them again, as
            far as its context reaches: a short segment costs time and gives more context.
        counts: Mix the net with models that count what followed the last tokens and words, in the training text (not
            in predict) and in the text so far.
        mixing_rate: Learning rate of the mixture's weights, above 0.

    Raises:
        UserError: A value is out of its range.
    """

    enabled: bool = False
    learning_rate: float = 1e-4
    segment: int = 64
    counts: bool = True
    mixing_rate: float = 0.0015

    def __post_init__(self) -> None:
        check_range("adapt.learning_rate", self.learning_rate, least=0, most=1)
        check_range("adapt.segment", self.segment, least=1)
        check_range("adapt.mixing_rate", self.mixing_rate, above=0)
