"""How a continuation is chosen: the settings of sampling.py, beam.py, seq2seq.py and speculative/."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range

# Settings that systems without beam search refuse, and those without speculative decoding.
NO_BEAMS = ("beams", "length_penalty", "early_stopping", "n_best", "max_source_ratio")
NO_DRAFTS = ("num_speculative_tokens", "draft_text")


@dataclass(frozen=True)
class Decoding:
    """How a continuation is chosen. The settings apply in this order, as in transformers.

    Args:
        max_new_tokens: Most tokens of a continuation, at least 1.
        repetition_penalty: Above 0. Positive logits of tokens that the row already has are divided by it, negative ones
            multiplied (CTRL, Keskar et al. 2019). 1: no penalty.
        temperature: The logits are divided by it. 0: the most likely token is chosen each time (greedy). None: 1 for
            texts and music that are continued, 0 for translations.
        top_k: Sample from this many of the most likely tokens, and from those that tie with the last of them (Fan et
            al. 2018). None: from all.
        top_p: Sample from the fewest tokens that together have this probability, in (0, 1] (nucleus sampling, Holtzman
            et al. 2020). None: from all.
        min_p: Sample from tokens at least this fraction as likely as the most likely one, in [0, 1] (Nguyen et al.
            2024). None: from all.
        seed: Seed of the sampling.
        beams: Partial texts that beam search keeps, at least 1. With more than 1, the most likely text is searched and
            none is sampled: temperature is then left out or 0, and top_k, top_p and min_p are left out.
        length_penalty: A text's score is the sum of its tokens' log-probabilities, divided by its length to this power;
            the length includes the end of the sequence. From -10 to 10; above 0 favours long texts, below 0 short ones.
        early_stopping: End beam search as soon as there are as many complete texts as beams. By default it ends when
            no partial text has a better score than the worst of these.
        n_best: Texts that are returned for each source, at most the number of beams. For translations.
        max_source_ratio: A translation has at most this times its source's tokens, plus 10; max_new_tokens is a limit
            in any case. Above 0. None: 3 for translations.
        num_speculative_tokens: Tokens that are guessed from n-grams and checked by the net in one step (speculative
            decoding): the same text as without, in less time. For texts that a Transformer continues. 0: none.
        draft_text: A file of text like that to be written, such as the training text, from which tokens are guessed
            too. None: from the prompt and its continuation alone.

    Raises:
        UserError: A setting is out of its range, or two do not go together.
    """

    max_new_tokens: int = 200
    repetition_penalty: float = 1.0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0
    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool = False
    n_best: int = 1
    max_source_ratio: float | None = None
    num_speculative_tokens: int = 0
    draft_text: str | None = None

    def __post_init__(self) -> None:
        check_range("max_new_tokens", self.max_new_tokens, least=1)
        check_range("repetition_penalty", self.repetition_penalty, above=0, below=math.inf)
        check_range("temperature", self.temperature, least=0, below=math.inf)
        check_range("top_k", self.top_k, least=1)
        check_range("top_p", self.top_p, above=0, most=1)
        check_range("min_p", self.min_p, least=0, most=1)
        check_range("beams", self.beams, least=1)
        check_range("length_penalty", self.length_penalty, least=-10, most=10)
        check_range("n_best", self.n_best, least=1)
        check_range("max_source_ratio", self.max_source_ratio, above=0, below=math.inf)
        check_range("num_speculative_tokens", self.num_speculative_tokens, least=0)
        if self.beams > 1 and self.num_speculative_tokens:
            raise UserError(
                f"num_speculative_tokens {self.num_speculative_tokens} is not for beam search (beams {self.beams}); "
                "leave out one of them"
            )
        if self.draft_text is not None and not self.num_speculative_tokens:
            raise UserError(
                f"draft_text {self.draft_text} is for speculative decoding; give num_speculative_tokens too, such as 4"
            )
        if self.n_best > self.beams:
            raise UserError(f"n_best is {self.n_best}, more than there are beams ({self.beams}); raise beams to it")
        for name in ("temperature", "top_k", "top_p", "min_p"):
            if self.beams > 1 and getattr(self, name):
                raise UserError(
                    f"{name} {getattr(self, name)} is for sampling, and beam search (beams {self.beams}) samples "
                    f"nothing; leave out {name} or beams"
                )

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is chosen each time."""
        return self.temperature == 0

    def with_temperature(self, default: float) -> "Decoding":
        """These settings with a temperature, which is ``default`` where none was given."""
        return self if self.temperature is not None else replace(self, temperature=default)

    def check_unused(self, names: tuple[str, ...], system: str) -> None:
        """Refuses settings that a kind of system has no use for.

        Args:
            names: Those settings.
            system: What the system generates, for the message.

        Raises:
            UserError: One of them is not at its default.
        """
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self)}
        for name in names:
            if (value := getattr(self, name)) != defaults[name]:
                raise UserError(f"decoding.{name} {value} is not for {system}; leave it out")
