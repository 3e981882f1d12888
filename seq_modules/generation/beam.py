"""Beam search: the likeliest continuations of a prompt or of a source, among the best partial ones of every step.

The hypotheses and their scores are those of transformers' ``generate(num_beams=k, do_sample=False)``, but for one
thing: where fewer than k continuations exist, there are fewer than k hypotheses.

A sources (or prompts), K beams, B rows: those of the sources that are still searched, V vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.loop import Choice, State, decode
from seq_modules.generation.sampling import penalised, seen_ids
from seq_modules.nets.precision import at_least_float32
from seqlight.core.errors import UserError

CHUNK = 64  # columns whose largest value is taken first, when the largest of many are looked for


@dataclass
class Hypothesis:
    """A generated sequence.

    Attributes:
        ids: The new ids, with the end-of-sequence token if it ended with it.
        score: Sum of the ids' log-probabilities, in nats, divided by their number to the power of the length penalty.
        ended: Whether it came to its end, by the end-of-sequence token or by a stop; false where the length ended it.
    """

    ids: list[int]
    score: float
    ended: bool


@dataclass
class Finished:
    """A hypothesis whose ids are still spread over the steps: its last token, and the row and step it stands at."""

    score: float
    step: int
    parent: int
    token: int
    ended: bool


class BeamChooser:
    """Keeps the K best partial sequences of each source, and the K best that have ended.

    The rows of a source stand side by side, the best first. At first each source has one row. A source whose search is
    over has none any more.

    Args:
        prompts: Ids that each source's row begins with, for the repetition penalty; A of them.
        decoding: The settings.
        limits: Most new tokens of each source, A numbers of at least 1; by default ``decoding.max_new_tokens``.
        eos_id: The token that ends a sequence. None: there is none.
        stop: Called with a source's number and the new ids of one of its sequences, which ends where it returns true.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        eos_id: int | None = None,
        stop: Callable[[int, list[int]], bool] | None = None,
    ) -> None:
        self.prompts, self.decoding, self.eos_id, self.stop = prompts, decoding, eos_id, stop
        self.limits = [decoding.max_new_tokens] * len(prompts) if limits is None else limits
        self.sources = list(range(len(prompts)))  # those still searched
        self.scores: Tensor | None = None  # (sources, K) sums of log-probabilities of the partial sequences
        self.steps: list[tuple[list[int], list[int]]] = []  # of each step: every row's parent, and its token
        self.finished: list[list[Finished]] = [[] for _ in prompts]  # at most K each, the best first
        self.seen: Tensor | None = None  # (B, V)

    def __call__(self, logits: Tensor) -> Choice[int]:
        """The next partial sequences, of logits (B, V)."""
        beams, vocabulary = self.decoding.beams, logits.shape[1]
        log_probs = at_least_float32(logits).log_softmax(-1)
        if self.decoding.repetition_penalty != 1:
            if self.seen is None:
                self.seen = seen_ids(self.prompts, vocabulary, logits.device)
            log_probs = penalised(log_probs, self.seen, self.decoding.repetition_penalty)
        scores = log_probs.new_zeros(len(log_probs), 1) if self.scores is None else self.scores
        width = scores.shape[1]
        best, tokens = largest(log_probs, min(2 * beams, vocabulary))  # (B, k)
        totals = (scores.view(-1, 1) + best).view(len(self.sources), -1)  # (sources, K·k)
        totals, order = largest(totals, min(2 * beams, totals.shape[1]))  # twice K, so that K remain where K end
        parents = order // best.shape[1]  # of the source's rows
        tokens = tokens.view(len(self.sources), -1).gather(1, order)
        if totals[:, 0].isnan().any():
            raise UserError("net: its logits are not numbers (NaN); its weights are broken, or training diverged")

        step, rows, ids, kept, sources = len(self.steps), list[int](), list[int](), list[list[float]](), list[int]()
        candidates = zip(self.sources, totals.tolist(), parents.tolist(), tokens.tolist(), strict=True)
        for place, (source, *ways) in enumerate(candidates):
            partial = self._finish(source, step, [(t, place * width + p, i) for t, p, i in zip(*ways, strict=True)])
            if not partial or not self._can_improve(source, step + 1, partial[0][0]):
                continue
            sources.append(source)
            partial += [(-math.inf, partial[0][1], partial[0][2])] * (beams - len(partial))
            kept.append([total for total, _, _ in partial])
            rows += [parent for _, parent, _ in partial]
            ids += [token for _, _, token in partial]
        self.sources = sources
        self.steps.append((rows, ids))
        self.scores = torch.tensor(kept, dtype=log_probs.dtype, device=logits.device)
        chosen = torch.tensor([ids, rows], dtype=torch.long, device=logits.device)  # of no rows once all are over
        if self.seen is not None:
            self.seen = self.seen[chosen[1]].scatter_(1, chosen[0][:, None], True)
        return Choice(chosen[0], ids, [False] * len(ids), chosen[1])

    def _finish(self, source: int, step: int, ways: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
        """Puts the sequences that end with this step aside; returns the K best of the others.

        Args:
            source: The source.
            step: The step, from 0.
            ways: The best 2·K ways to go on, in order: sum of log-probabilities, row that is continued, token.
        """
        beams, length = self.decoding.beams, step + 1
        finished, partial = list(self.finished[source]), list[tuple[float, int, int]]()
        for rank, (total, parent, token) in enumerate(ways):
            if total == -math.inf:  # ruled out, and so are those behind it
                break
            ended = token == self.eos_id or (
                self.stop is not None and self.stop(source, [*self._ids(step, parent), token])
            )
            if not ended and length < self.limits[source]:
                partial.append((total, parent, token))
            elif rank < beams:  # an end must be among the K best ways
                score = total / length**self.decoding.length_penalty
                finished.append(Finished(score, step, parent, token, ended))
        finished.sort(key=lambda one: -one.score)  # stable: of equal scores, the earlier and likelier comes first
        self.finished[source] = finished[:beams]
        return partial[:beams]

    def _can_improve(self, source: int, length: int, total: float) -> bool:
        """Whether the best partial sequence, of this length and sum of log-probabilities, may still get into the best.

        Without early stopping it may if its score is above the worst finished one's. With a length penalty above 0 its
        score can rise, so this is a heuristic, transformers' own.
        """
        finished = self.finished[source]
        if len(finished) < self.decoding.beams:
            return True
        return not self.decoding.early_stopping and total / length**self.decoding.length_penalty > finished[-1].score

    def _ids(self, step: int, row: int) -> list[int]:
        """The new ids of a row before a step."""
        ids = []
        for parents, tokens in reversed(self.steps[:step]):
            ids.append(tokens[row])
            row = parents[row]
        return ids[::-1]

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The best finished sequences of each source, the best first: ``decoding.n_best``, or all that there are."""
        return [
            [
                Hypothesis([*self._ids(one.step, one.parent), one.token], one.score, one.ended)
                for one in finished[: self.decoding.n_best]
            ]
            for finished in self.finished
        ]


def beam_search(state: State, chooser: BeamChooser) -> list[list[Hypothesis]]:
    """The best sequences of each source, the best first, found in the one decoding loop."""
    decode(state, chooser, len(chooser.prompts), max(chooser.limits))
    return chooser.hypotheses()


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest values of each row in order, (B, count), and their columns; of equal ones, the first come first.

    torch.topk leaves open which of equal values it takes. Of a long row, the largest values are in those chunks of it
    that have the largest maxima: with 320 rows of 10,000 that took 2 ms, torch.topk of the rows 8 ms (one thread).
    """
    columns = values.shape[1]
    if columns < 8 * CHUNK or count * CHUNK > columns // 2:
        return first_largest(values, count)
    whole = columns // CHUNK * CHUNK
    chunks = values[:, :whole].unflatten(1, (-1, CHUNK))  # (B, chunks, CHUNK)
    _, best = first_largest(chunks.amax(-1), count)
    best = best.sort(-1).values[:, :, None]  # (B, count, 1)
    rest = torch.arange(whole, columns, device=values.device).expand(len(values), -1)
    places = (best * CHUNK + torch.arange(CHUNK, device=values.device)).flatten(1)  # (B, count · CHUNK)
    within = chunks.gather(1, best.expand(-1, -1, CHUNK)).flatten(1)
    found, order = first_largest(torch.cat((within, values[:, whole:]), dim=1), count)
    return found, torch.cat((places, rest), dim=1).gather(1, order)


def first_largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As :func:`largest`, by torch.topk, or where it had to choose between equal values by sorting all."""
    found, places = values.topk(count)
    if bool(((values >= found[:, -1:]).sum(-1) > count).any()):
        found, places = values.sort(dim=-1, descending=True, stable=True)
        return found[:, :count], places[:, :count]
    places, order = places.sort(-1)
    found, order = found.gather(1, order).sort(dim=-1, descending=True, stable=True)
    return found, places.gather(1, order)
