"""Count-based baselines for neural nets: n-grams with back-off, and PPM.

A model predicts a symbol from a context, a tuple with the most relevant symbol first. Order n uses n - 1 symbols of it.
Level k, from n - 1 down to 0, counts which symbols followed the first k of them. Three methods combine the levels; each
gives probabilities above 0 that sum to 1:

witten_bell   p_k(w) = (c(w) + T p_{k-1}(w)) / (N + T)               Bell, Cleary, Witten (1990); Chen, Goodman (1999)
kneser_ney    p_k(w) = (max(c(w) - D, 0) + D T p_{k-1}(w)) / N       Kneser and Ney (1995), interpolated
ppm           p_k(w) = c(w) / (N + T), or else T / (N + T) p_{k-1}   Cleary and Witten (1984), method C of Moffat (1990)

c(w) is the count of w at the level, N the sum of the counts, T the number of distinct symbols with a count; p_{-1} is
uniform. PPM uses a lower level only for symbols that the higher level has not seen, and the lower level then ignores
those that it has (exclusion). With kneser_ney and ppm, a lower level counts a symbol once for each distinct context in
which it is new (continuation counts; in PPM, update exclusion).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from seqlight.core.hyperparameters import check_choice, check_range

Array = np.ndarray[Any, np.dtype[np.float64]]
Context = tuple[Hashable, ...]
Method = Literal["witten_bell", "kneser_ney", "ppm"]
METHODS: tuple[Method, ...] = ("witten_bell", "kneser_ney", "ppm")


class Counts(dict[int, int]):
    """The count of each symbol after a context, and their sum ``total``."""

    total = 0


class NGram:
    """A model of the next symbol. Observations can be added and removed at any time.

    Args:
        vocab_size: Number of symbols, which are 0 to vocab_size - 1; at least 1.
        order: Number of context symbols used, plus 1; at least 1.
        method: How the levels are combined.

    Raises:
        UserError: An argument is out of its range.
    """

    def __init__(self, vocab_size: int, order: int, method: Method) -> None:
        check_range("vocab_size", vocab_size, least=1)
        check_range("order", order, least=1)
        check_choice("method", method, METHODS)
        self.vocab_size, self.order, self.method = vocab_size, order, method
        self.levels: list[dict[Context, Counts]] = [{} for _ in range(order)]
        self.discounts = [0.5] * order

    def add(self, context: Context, symbol: int) -> None:
        """Counts one occurrence of the symbol after the context."""
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
        """Sets Kneser-Ney's discount of each level, n1 / (n1 + 2 n2), where n1 counts are 1 and n2 counts are 2."""
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
        excluded = Counts()  # the symbols of the level above, which all lower levels have too
        for level in range(min(self.order - 1, len(context)), -1, -1):
            counts = self.levels[level].get(context[:level])
            if counts is None or len(counts) == len(excluded):
                continue
            total = counts.total - sum(counts[other] for other in excluded)
            escape = len(counts) - len(excluded) if len(counts) < self.vocab_size else 0  # 0: no symbol is left
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
Event = tuple[int, ...]  # one symbol for each field; -1 for none, which is not predicted


class EventModel:
    """A model of events of several fields, such as a note's pitch and duration: a product of n-grams.

    Args:
        sizes: Number of symbols of each field.
        order: Number of context events used, plus 1; at least 1.
        method: Method of the n-grams.
        form: "chained" predicts each field from the event's earlier fields, then from the events before, the nearest
            first. "apart" predicts it from the same field of the events before only. "joint" treats a whole event as
            one symbol.

    Raises:
        UserError: An argument is out of its range.
    """

    def __init__(self, sizes: Sequence[int], order: int, method: Method, form: Form) -> None:
        check_choice("form", form, FORMS)
        self.sizes, self.order, self.form = tuple(sizes), order, form
        if form == "joint":  # the later fields of an event may be -1
            self.models = [NGram(int(np.prod([sizes[0], *(size + 1 for size in sizes[1:])])), order, method)]
        elif form == "apart":
            self.models = [NGram(size, order, method) for size in sizes]
        else:
            self.models = [
                NGram(size, 1 + field + (order - 1) * len(sizes), method) for field, size in enumerate(sizes)
            ]

    def _predictions(self, piece: Sequence[Event]) -> Iterable[tuple[NGram, Context, int]]:
        """The predictions that a piece consists of, in order: the model, its context, and the true symbol."""
        before = [(-1,) * len(self.sizes)] * (self.order - 1)  # no events before the first one
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
        """Counts the events of pieces. Start and end are predicted only where the pieces have events for them."""
        for piece in pieces:
            for model, context, symbol in self._predictions(piece):
                model.add(context, symbol)
        for model in self.models:
            model.set_discounts()

    def nats(self, piece: Sequence[Event], adaptive: bool = False) -> float:
        """Negative log-probability of a piece, in nats.

        Args:
            piece: The events.
            adaptive: Add each event to the counts after its prediction, and remove the piece at the end. Like a net
                with a state, the model then adapts to the piece so far (the "LTM+" of Pearce 2005).
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
