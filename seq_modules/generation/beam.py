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
from seq_modules.generation.loop import SamplerOutput, State, decode
from seq_modules.generation.sampling import CHUNK, log_probs, penalised, seen_ids, suppress_
from seqlight.core.errors import UserError

Candidate = tuple[float, int, int]  # sum of log-probabilities, row that is continued, token


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


class BeamScorer:
    """Keeps the K best partial sequences of each source, and the K best that have ended.

    The rows of a source stand side by side, the best first. At first each source has one row. A source whose search is
    over has none any more.

    Args:
        prompts: Ids that each source's row begins with, for the repetition penalty; A of them.
        decoding: The settings.
        limits: Most new tokens of each source, A numbers of at least 1; by default ``decoding.max_new_tokens``.
        eos_id: The token that ends a sequence. None: there is none.
        stop: Called with a source's number and the new ids of one of its sequences, which ends where it returns true.
        suppressed: Tokens that are never chosen. Scores count their probability nevertheless, as in transformers.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        eos_id: int | None = None,
        stop: Callable[[int, list[int]], bool] | None = None,
        suppressed: Sequence[int] = (),
    ) -> None:
        self.prompts, self.decoding, self.eos_id, self.stop = prompts, decoding, eos_id, stop
        self.suppressed = suppressed
        self.limits = [decoding.max_new_tokens] * len(prompts) if limits is None else limits
        self.sources = list(range(len(prompts)))  # those still searched
        self.scores: Tensor | None = None  # (sources, K) sums of log-probabilities of the partial sequences
        self.steps: list[tuple[list[int], list[int]]] = []  # of each step: every row's parent, and its token
        self.finished: list[list[Finished]] = [[] for _ in prompts]  # at most K each, the best first
        self.seen: Tensor | None = None  # (B, V)

    def __call__(self, logits: Tensor) -> SamplerOutput[int]:
        """The next partial sequences, of logits (B, V)."""
        beams = self.decoding.beams
        new = suppress_(log_probs(logits), self.suppressed)
        if self.decoding.repetition_penalty != 1:
            if self.seen is None:
                self.seen = seen_ids(self.prompts, logits.shape[1], logits.device)
            new = penalised(new, self.seen, self.decoding.repetition_penalty)
        scores = new.new_zeros(len(new), 1) if self.scores is None else self.scores
        totals, parents, tokens = best_candidates(new, scores, 2 * beams)  # twice K, so that K remain where K end
        if totals[:, 0].isnan().any():
            raise UserError("net: its logits are not numbers (NaN); its weights are broken, or training diverged")

        step, rows, ids, kept, sources = len(self.steps), list[int](), list[int](), list[list[float]](), list[int]()
        of_sources = zip(self.sources, totals.tolist(), parents.tolist(), tokens.tolist(), strict=True)
        for source, *candidates in of_sources:
            partial = self._finish(source, step, list(zip(*candidates, strict=True)))
            if not partial or not self._can_improve(source, step + 1, partial[0][0]):
                continue
            sources.append(source)
            partial += [(-math.inf, partial[0][1], partial[0][2])] * (beams - len(partial))
            kept.append([total for total, _, _ in partial])
            rows += [parent for _, parent, _ in partial]
            ids += [token for _, _, token in partial]
        self.sources = sources
        self.steps.append((rows, ids))
        self.scores = torch.tensor(kept, dtype=new.dtype, device=logits.device)
        chosen = torch.tensor([ids, rows], dtype=torch.long, device=logits.device)  # of no rows once all are over
        if self.seen is not None:
            self.seen = self.seen[chosen[1]].scatter_(1, chosen[0][:, None], True)
        return SamplerOutput(chosen[0], ids, [False] * len(ids), chosen[1])

    def _finish(self, source: int, step: int, candidates: list[Candidate]) -> list[Candidate]:
        """Puts the sequences that end with this step aside; returns the K best of the others.

        Args:
            source: The source.
            step: The step, from 0.
            candidates: The best 2·K continuations, in order: sum of log-probabilities, row that is continued, token.
        """
        beams, length = self.decoding.beams, step + 1
        finished, partial = list(self.finished[source]), list[Candidate]()
        for rank, (total, parent, token) in enumerate(candidates):
            if total == -math.inf:  # ruled out, and so are those behind it
                break
            ended = token == self.eos_id or (
                self.stop is not None and self.stop(source, [*self._ids(step, parent), token])
            )
            if not ended and length < self.limits[source]:
                partial.append((total, parent, token))
            elif rank < beams:  # an end must be among the K best candidates
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


def beam_search(state: State, sampler: BeamScorer) -> list[list[Hypothesis]]:
    """The best sequences of each source, the best first, found in the one decoding loop."""
    decode(state, sampler, len(sampler.prompts), max(sampler.limits))
    return sampler.hypotheses()


def best_candidates(new: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best continuations of each source's rows by one token, the best first.

    The largest of many numbers are found among those chunks of them that have the largest maxima: for 64 sources with 5
    rows of 8,000 tokens that takes less than half as long as torch.topk of all.

    Args:
        new: Log-probabilities of the next token of each row, (B, V).
        scores: Sums of log-probabilities so far, (sources, rows of a source).
        count: How many candidates; there are fewer if there are not so many.

    Returns:
        Sums with the next token, rows that are continued, and tokens, each (sources, count).
    """
    sources, width = scores.shape
    vocabulary, device = new.shape[1], new.device
    flat = new.view(sources, -1)  # (B, V) -> (sources, width · V)
    if vocabulary < 8 * CHUNK or count * CHUNK > flat.shape[1] // 4:
        totals, flat_indices = largest((new.view(sources, width, -1) + scores[:, :, None]).flatten(1), count)
    else:
        chunks = vocabulary // CHUNK
        maxima = new[:, : chunks * CHUNK].unflatten(1, (chunks, CHUNK)).amax(-1)  # (B, chunks)
        _, best = largest((maxima.view(sources, width, chunks) + scores[:, :, None]).flatten(1), count)
        best = best.sort(-1).values
        first = best // chunks * vocabulary + best % chunks * CHUNK  # flat index of each chunk's first number
        within = first[:, :, None] + torch.arange(CHUNK, device=device)  # (sources, count, CHUNK)
        rest = torch.arange(chunks * CHUNK, vocabulary, device=device)  # columns that fill no chunk
        rest = (torch.arange(width, device=device)[:, None] * vocabulary + rest).flatten()
        flat_indices = torch.cat((within.flatten(1), rest.expand(sources, -1)), dim=1)
        totals, order = largest(flat.gather(1, flat_indices) + scores.gather(1, flat_indices // vocabulary), count)
        flat_indices = flat_indices.gather(1, order)
    rows = flat_indices // vocabulary + torch.arange(0, sources * width, width, device=device)[:, None]
    return totals, rows, flat_indices % vocabulary


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest values of each row in order, at most ``count``, and their columns; of equal ones, the first.

    torch.topk leaves open which of equal values it takes; where that matters, all are sorted.
    """
    count = min(count, values.shape[1])
    found, indices = values.topk(count)
    if bool(((values >= found[:, -1:]).sum(-1) > count).any()):
        found, indices = values.sort(dim=-1, descending=True, stable=True)
        return found[:, :count], indices[:, :count]
    indices, order = indices.sort(-1)
    found, order = found.gather(1, order).sort(dim=-1, descending=True, stable=True)
    return found, indices.gather(1, order)
