"""Models that count: n-grams that back off, and PPM. What a neural net has to beat.

A model predicts a symbol from a context, a tuple with the symbol that matters most first; order n looks at n - 1 of
them. Every level k, from the whole context down to none, counts what followed the first k of them, and the levels
are brought together in one of three ways, each of which gives probabilities above 0 that sum to 1:

witten_bell   p_k(w) = (c(w) + T p_{k-1}(w)) / (N + T)               Bell, Cleary, Witten (1990); Chen, Goodman (1999)
kneser_ney    p_k(w) = (max(c(w) - D, 0) + D T p_{k-1}(w)) / N       Kneser and Ney (1995), interpolated
ppm           p_k(w) = c(w) / (N + T), or else T / (N + T) p_{k-1}   Cleary and Witten (1984), method C of Moffat (1990)

c(w) is w's count at the level, N their sum, T how many different symbols have one, and p_{-1} is uniform. PPM goes down
for what a level has not seen alone, and a lower level then does not count what the higher one has (exclusion). In the
last two, a lower level counts a symbol once for each different context in which it is new (continuation counts; for
PPM, update exclusion).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Context = tuple[Hashable, ...]
Method = Literal["witten_bell", "kneser_ney", "ppm"]
METHODS: tuple[Method, ...] = ("witten_bell", "kneser_ney", "ppm")


class Counts(dict[int, int]):
    """Symbol -> how often it followed a context, and the sum of that."""

    total = 0


class NGram:
    """A model of the next symbol, which can learn more at any time and forget it again.

    Args:
        vocab_size: Symbols are 0 to this, exclusive; at least 1.
        order: One more than the symbols of context that are looked at, at least 1.
        method: How levels are brought together.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, vocab_size: int, order: int, method: Method) -> None:
        if vocab_size < 1 or order < 1:
            raise ValueError(f"vocab_size {vocab_size} and order {order} must be at least 1")
        if method not in METHODS:
            raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")
        self.vocab_size, self.order, self.method = vocab_size, order, method
        self.levels: list[dict[Context, Counts]] = [{} for _ in range(order)]
        self.discounts = [0.5] * order

    def add(self, context: Context, symbol: int) -> None:
        """Learns that the symbol followed the context."""
        for level in range(min(self.order - 1, len(context)), -1, -1):
            counts = self.levels[level].get(context[:level])
            if counts is None:
                counts = self.levels[level][context[:level]] = Counts()
            counts.total += 1
            count = counts[symbol] = counts.get(symbol, 0) + 1
            if count > 1 and self.method != "witten_bell":
                return

    def remove(self, context: Context, symbol: int) -> None:
        """Undoes one :meth:`add`."""
        for level in range(min(self.order - 1, len(context)), -1, -1):
            counts = self.levels[level][context[:level]]
            counts.total -= 1
            counts[symbol] -= 1
            if counts[symbol]:
                if self.method != "witten_bell":
                    return
                continue
            del counts[symbol]
            if not counts:
                del self.levels[level][context[:level]]

    def set_discounts(self) -> None:
        """Kneser-Ney's discount of each level, n1 / (n1 + 2 n2) by how many counts are 1 and how many 2."""
        for level, contexts in enumerate(self.levels):
            numbers = Counter(count for counts in contexts.values() for count in counts.values())
            ones, twos = numbers[1], numbers[2]
            self.discounts[level] = ones / (ones + 2 * twos) if ones and twos else 0.5

    def probability(self, context: Context, symbol: int) -> float:
        """Probability of a symbol after a context."""
        if self.method == "ppm":
            return self._ppm(context, symbol)
        p = 1 / self.vocab_size
        for level in range(min(self.order - 1, len(context)) + 1):
            counts = self.levels[level].get(context[:level])
            if counts is None:
                break
            kinds, count = len(counts), counts.get(symbol, 0)
            if self.method == "witten_bell":
                p = (count + kinds * p) / (counts.total + kinds)
            else:
                discount = self.discounts[level]
                p = (max(count - discount, 0) + discount * kinds * p) / counts.total
        return p

    def _ppm(self, context: Context, symbol: int) -> float:
        p = 1.0
        excluded = Counts()  # what the level above has seen; every level below has seen it too
        for level in range(min(self.order - 1, len(context)), -1, -1):
            counts = self.levels[level].get(context[:level])
            if counts is None or len(counts) == len(excluded):
                continue
            total = counts.total - sum(counts[other] for other in excluded)
            escape = len(counts) - len(excluded) if len(counts) < self.vocab_size else 0  # nothing to escape to
            if symbol in counts:
                return p * counts[symbol] / (total + escape)
            p *= escape / (total + escape)
            excluded = counts
        return p / (self.vocab_size - len(excluded))

    def distribution(self, context: Context) -> Array:
        """Probabilities (vocab_size,) of all symbols after a context."""
        return np.array([self.probability(context, symbol) for symbol in range(self.vocab_size)])


Form = Literal["chained", "apart", "joint"]
FORMS: tuple[Form, ...] = ("chained", "apart", "joint")
Event = tuple[int, ...]  # one symbol a field; -1 for none, which is not predicted


class EventModel:
    """A model of events of several fields, such as a note's pitch and duration: a product of n-grams.

    Args:
        sizes: Symbols of each field are 0 to this, exclusive.
        order: One more than the events of context that are looked at, at least 1.
        method: Of the n-grams.
        form: "chained" predicts each field from the event's earlier fields, then from the events before, the nearest
            first; "apart" from the same field of the events before, and nothing else; "joint" takes an event for one
            symbol.
    """

    def __init__(self, sizes: Sequence[int], order: int, method: Method, form: Form) -> None:
        if form not in FORMS:
            raise ValueError(f"form {form!r} is none of {', '.join(FORMS)}")
        self.sizes, self.order, self.form = tuple(sizes), order, form
        if form == "joint":  # the later fields of an event may be empty
            self.models = [NGram(int(np.prod([sizes[0], *(size + 1 for size in sizes[1:])])), order, method)]
        elif form == "apart":
            self.models = [NGram(size, order, method) for size in sizes]
        else:
            self.models = [
                NGram(size, 1 + field + (order - 1) * len(sizes), method) for field, size in enumerate(sizes)
            ]

    def _predictions(self, piece: Sequence[Event]) -> Iterable[tuple[NGram, Context, int]]:
        """What is predicted of a piece, in turn: by which model, from which context, and the symbol."""
        before = [(-1,) * len(self.sizes)] * (self.order - 1)  # nothing, before the first event
        for event in piece:
            if self.form == "joint":
                symbol = event[0]
                for size, value in zip(self.sizes[1:], event[1:], strict=True):
                    symbol = symbol * (size + 1) + value + 1
                yield self.models[0], tuple(before), symbol
                before = [event, *before][: self.order - 1]
                continue
            for field, model in enumerate(self.models):
                if event[field] < 0:
                    continue
                if self.form == "apart":
                    yield model, tuple(past[field] for past in before), event[field]
                else:
                    near = event[:field][::-1]
                    yield model, (*near, *(value for past in before for value in past[::-1])), event[field]
            before = [event, *before][: self.order - 1]

    def learn(self, pieces: Iterable[Sequence[Event]]) -> None:
        """Learns from pieces, to which it adds nothing: what begins and ends them are events like others."""
        for piece in pieces:
            for model, context, symbol in self._predictions(piece):
                model.add(context, symbol)
        for model in self.models:
            model.set_discounts()

    def nats(self, piece: Sequence[Event], adaptive: bool = False) -> float:
        """A piece's information, -log of its probability, in nats.

        Args:
            piece: Its events.
            adaptive: Learn each event once it is predicted, and forget the piece afterwards: as a net that carries its
                state, the model then knows the piece so far (the "LTM+" of Pearce 2005).
        """
        total, learned = 0.0, []
        for model, context, symbol in self._predictions(piece):
            total -= np.log(model.probability(context, symbol))
            if adaptive:
                model.add(context, symbol)
                learned.append((model, context, symbol))
        for model, context, symbol in learned:
            model.remove(context, symbol)
        return float(total)
