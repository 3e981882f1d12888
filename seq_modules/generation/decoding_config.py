"""How a continuation is chosen: the settings of sampling.py."""

import math
from dataclasses import dataclass

from seqlight.core.checks import check_range


@dataclass(frozen=True)
class Decoding:
    """How a continuation is chosen. The settings apply in this order, as in transformers.

    Args:
        max_new_tokens: Most tokens of a continuation, at least 1.
        repetition_penalty: Above 0. Positive logits of tokens that the row already has are divided by it, negative ones
            multiplied (CTRL, Keskar et al. 2019). 1: no penalty.
        temperature: The logits are divided by it. 0: the most likely token is chosen each time (greedy).
        top_k: Sample from this many of the most likely tokens, and from those that tie with the last of them (Fan et
            al. 2018). None: from all.
        top_p: Sample from the fewest tokens that together have this probability, in (0, 1] (nucleus sampling, Holtzman
            et al. 2020). None: from all.
        min_p: Sample from tokens at least this fraction as likely as the most likely one, in [0, 1] (Nguyen et al.
            2024). None: from all.
        seed: Seed of the sampling.

    Raises:
        UserError: A setting is out of its range.
    """

    max_new_tokens: int = 200
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("max_new_tokens", self.max_new_tokens, least=1)
        check_range("repetition_penalty", self.repetition_penalty, above=0, below=math.inf)
        check_range("temperature", self.temperature, least=0, below=math.inf)
        check_range("top_k", self.top_k, least=1)
        check_range("top_p", self.top_p, above=0, most=1)
        check_range("min_p", self.min_p, least=0, most=1)
