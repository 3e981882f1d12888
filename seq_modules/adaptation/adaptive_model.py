"""A language model that learns from a text while it reads it: a net, models of counts, and a mixture of them.

N tokens of a text, S of a segment, V vocabulary, M models.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.adaptation.contexts import Hashes, IntArray, WordContexts, token_contexts
from seq_modules.adaptation.count_model import CountModel
from seq_modules.adaptation.dynamic_evaluation import DynamicEvaluation
from seq_modules.adaptation.mixer import Array, Mixer
from seq_modules.generation.state import device_of

ORDERS = (1, 2, 3, 4, 5, 6, 8, 10, 12)  # tokens of the contexts of the whole text, training text and all
RECENT = (1, 2, 3, 4, 5, 6)  # of the contexts that are counted in the text that is read alone
WORDS = (0, 1)  # whole words before the one that is being written, of the contexts of words
CONTEXT = 256  # tokens that a net without a limit of its own reads for a segment
REACH = 128  # tokens before a segment in which its contexts are looked for

Contexts = Callable[..., Iterator[Hashes]]


class AdaptiveModel:
    """Reads one text. Every token is scored before the counts, the mixture or the net learn from it.

    Args:
        net: A :class:`seq_modules.generation.state.Net`.
        pieces: The text of each token of the vocabulary, (V,).
        adaptation: What learns, and how quickly.
        training: Ids of a text that the counts know at the beginning; by default none.
    """

    def __init__(
        self, net: nn.Module, pieces: Sequence[str], adaptation: Adaptation, training: IntArray | None = None
    ) -> None:
        self.net = net
        self.dynamic = DynamicEvaluation(net, adaptation.learning_rate)
        self.counts = Counts(pieces, training) if adaptation.counts else None
        if self.counts is not None:
            sizes = (1, len(ORDERS) + 1, len(pieces))  # all positions; the longest known context; the token before
            self.mixer = Mixer(1 + self.counts.size, sizes, adaptation.mixing_rate)
        self.context = getattr(net, "max_seq_len", None) or CONTEXT
        self.segment = min(adaptation.segment, max(1, self.context // 2))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While the text is read and continued; at the end the net's weights are as before."""
        with self.dynamic.reading():
            yield

    def read(self, ids: IntArray) -> Array:
        """Reads a text, within :meth:`reading`.

        Args:
            ids: The text, (N,).

        Returns:
            Log-probability of each token but the first, (N - 1,), given those before it alone.
        """
        found = [np.zeros(0, np.float32)]
        for begin in range(1, len(ids), self.segment):
            end = min(begin + self.segment, len(ids))
            log_probs = self._net_log_probs(ids[: end - 1], end - begin)
            found.append(self._learn_counts(ids[:end], begin, log_probs))
            self.dynamic.learn(torch.as_tensor(ids[begin:end], device=device_of(self.net)))
        return np.concatenate(found)

    def after(self, ids: IntArray) -> Array:
        """Log-probabilities (V,) of the token after ids (N,), within :meth:`reading`. Nothing is learned."""
        log_probs = self._net_log_probs(ids, 1)[0]
        if self.counts is None:
            return log_probs
        return self.mixer.mix(*self.counts.inputs(log_probs, self.counts.find(ids, len(ids))[0], ids[-1]))

    def _net_log_probs(self, ids: IntArray, size: int) -> Array:
        """The net's log-probabilities (S, V) after each of the last ``size`` ids."""
        window = torch.as_tensor(ids[-self.context :], device=device_of(self.net))
        return self.dynamic.score(window, size).cpu().numpy()

    def _learn_counts(self, ids: IntArray, begin: int, log_probs: Array) -> Array:
        """Scores the tokens from ``begin`` on, each before it is counted and before the mixture learns: (S,).

        Args:
            ids: The text as far as it is read, the segment at its end.
            begin: Where the segment begins.
            log_probs: Of the net, (S, V).
        """
        tokens = ids[begin:]
        if self.counts is None:
            return log_probs[np.arange(len(tokens)), tokens]
        scores = np.empty(len(tokens), np.float32)
        for at, lookups in enumerate(self.counts.find(ids[:-1], begin)):
            token = int(tokens[at])
            scores[at] = self.mixer.mix(*self.counts.inputs(log_probs[at], lookups, ids[begin + at - 1]))[token]
            self.mixer.learn(token)
            self.counts.learn(lookups, token)
        return scores


# For each model of counts, the hash of each of the contexts that precede a token, and its index of Level.find.
ContextLookup = list[list[tuple[int, int]]]


class Counts:
    """The models of counts: of the whole text, of its recent part, and of its words.

    Args:
        pieces: The text of each token of the vocabulary, (V,).
        training: Ids of a text that is known at the beginning.

    Attributes:
        size: Number of distributions that they give.
    """

    def __init__(self, pieces: Sequence[str], training: IntArray | None) -> None:
        words = WordContexts(pieces, WORDS)
        self.contexts: list[Contexts] = [
            partial(token_contexts, orders=ORDERS), partial(token_contexts, orders=RECENT), words,
        ]  # fmt: skip
        self.models = [CountModel(len(pieces), size) for size in (len(ORDERS), len(RECENT), len(WORDS))]
        self.size = len(ORDERS) + len(RECENT) + len(WORDS)
        if training is not None:
            for number in (0, 2):
                hashes = [each[:-1] for each in self.contexts[number](training)]
                self.models[number].fill(hashes, training)

    def find(self, ids: IntArray, first: int) -> list[ContextLookup]:
        """What precedes each position from ``first`` to the end of the text ``ids`` (N,), the end included."""
        begin = max(0, first - REACH)
        found = [
            model.find(contexts(ids[begin:], first=first - begin))
            for contexts, model in zip(self.contexts, self.models, strict=True)
        ]
        return [list(lookups) for lookups in zip(*found, strict=True)]

    def inputs(self, log_probs: Array, lookups: ContextLookup, before: int) -> tuple[Array, tuple[int, int, int]]:
        """What the mixer takes: log-probabilities (M, V), the net's first, and the selectors' values.

        Args:
            log_probs: The net's, (V,).
            lookups: What precedes the token.
            before: The token before it.
        """
        found = [model.estimates(lookup) for model, lookup in zip(self.models, lookups, strict=True)]
        log_counts = np.log(np.concatenate([estimates for estimates, _ in found]))
        return np.concatenate([log_probs[None], log_counts]), (0, found[0][1], int(before))

    def learn(self, lookups: ContextLookup, token: int) -> None:
        """Counts a token."""
        for model, lookup in zip(self.models, lookups, strict=True):
            model.learn(lookup, token)
