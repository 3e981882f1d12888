"""Translates: continues an empty target token by token, given a source.

B rows, S time of the source, T time of the target, P length of the target's beginning, L layers, H heads, V target
vocabulary.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from seq_modules.generation.beam import BeamScorer, Hypothesis, beam_search
from seq_modules.generation.decode import TokenSampler, evaluating
from seq_modules.generation.decoding_config import NO_DRAFTS, Decoding
from seq_modules.generation.loop import SamplerOutput, decode
from seq_modules.generation.sampling import check_not_nan, log_probs
from seq_modules.generation.state import CachedState, device_of, padded
from seqlight.core.errors import UserError
from seqlight.core.labels import BOS, EOS, PAD, UNK

EXTRA_TOKENS = 10  # of a translation, beyond Decoding.max_source_ratio


class Seq2SeqNet(Protocol):
    """A net that reads a source and generates a target. Sources are padded on the right.

    It also has :class:`seq_modules.generation.state.Reorders`, for beam search.
    """

    def __call__(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Logits of the next target token at every step, (B, T, V).

        Args:
            source_ids: (B, S).
            source_mask: True at the source's tokens, (B, S).
            target_ids: (B, T), beginning with the beginning-of-sequence token.
        """
        ...

    def prefill(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> tuple[Tensor, Any]:
        """Reads the sources and the targets' beginnings (B, P). Logits (B, V) of the next token, and a state."""
        ...

    def decode_step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Reads one more token of each target, (B,). Logits (B, V) after it, and the state, which may be changed."""
        ...

    def cross_attention(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor | None:
        """Attention weights from target to source, (B, L, H, T, S); None for a net without attention."""
        ...


class CachedTargets(CachedState):
    """Targets of sources, each token read once.

    Args:
        net: A :class:`Seq2SeqNet`.
        source_ids: (B, S), padded on the right.
        source_mask: True at the sources' tokens, (B, S).
        target_ids: The targets' beginnings, (B, P).
    """

    net: Any

    def __init__(self, net: Seq2SeqNet, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> None:
        self.net, self.state = net, None
        self.inputs = source_ids, source_mask, target_ids

    def start(self) -> Tensor:
        """Reads the sources and the targets' beginnings. Logits (B, V) after each."""
        logits, self.state = self.net.prefill(*self.inputs)
        return logits


class RereadTargets:
    """As :class:`CachedTargets`, by reading sources and targets from their beginnings for each token. Slow."""

    def __init__(self, net: Seq2SeqNet, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> None:
        self.net = net
        self.inputs = source_ids, source_mask, target_ids

    def start(self) -> Tensor:
        """Reads everything. Logits (B, V) after each target."""
        return self.net(*self.inputs)[:, -1]

    def append(self, ids: Tensor) -> Tensor:
        """Reads everything, with one more token of each target, (B,). Logits (B, V) after it."""
        source_ids, source_mask, target_ids = self.inputs
        self.inputs = source_ids, source_mask, torch.cat((target_ids, ids[:, None]), dim=1)
        return self.start()

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was."""
        source_ids, source_mask, target_ids = self.inputs
        self.inputs = source_ids[rows], source_mask[rows], target_ids[rows]


class ScoringSampler(TokenSampler):
    """Chooses tokens, greedily or by sampling, and keeps them with their log-probabilities.

    A row that has ended leaves the batch, so that later steps cost less.

    Args:
        decoding: How tokens are chosen.
        sample_ids: Number of each source, which with the seed selects its random numbers.
        limits: Most new tokens of each source.
        device: Where the logits are.
        eos_id: The token that ends a target; None: there is none.
        bos_id: The token that targets begin with, for the repetition penalty.
        suppressed: Tokens that are never chosen. The log-probabilities of the others stay what they are.
    """

    def __init__(
        self,
        decoding: Decoding,
        sample_ids: Sequence[int],
        limits: Sequence[int],
        device: torch.device,
        eos_id: int | None,
        bos_id: int,
        suppressed: Sequence[int] = (),
    ) -> None:
        super().__init__([[bos_id]] * len(sample_ids), decoding, sample_ids, device, eos_id, suppressed)
        self.limits = limits
        self.source_indices = list(range(len(sample_ids)))  # the source of each row that goes on
        self.ids: list[list[int]] = [[] for _ in sample_ids]
        self.sums = [0.0] * len(sample_ids)  # of the log-probabilities

    def __call__(self, logits: Tensor) -> SamplerOutput[int]:
        """The next token of each row, of logits (B, V)."""
        scores = log_probs(logits)  # before the logits of suppressed tokens are overwritten
        sampled = self.sample(logits)
        chosen = scores.gather(1, sampled.ids[:, None])
        check_not_nan(chosen)  # NaN among a row's logits makes all of its log-probabilities NaN
        values = chosen[:, 0].tolist()
        going_on = []
        for row, (source_index, token, value) in enumerate(
            zip(self.source_indices, sampled.items, values, strict=True)
        ):
            self.ids[source_index].append(token)
            self.sums[source_index] += value
            if token != self.eos_id and len(self.ids[source_index]) < self.limits[source_index]:
                going_on.append(row)
        if len(going_on) == len(self.source_indices):
            return sampled
        rows = torch.tensor(going_on, dtype=torch.long, device=logits.device)
        self.keep(rows)
        self.source_indices = [self.source_indices[row] for row in going_on]
        items = [sampled.items[row] for row in going_on]
        return SamplerOutput(sampled.ids[rows], items, [False] * len(items), rows)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """One hypothesis of each source."""
        return [
            [Hypothesis(ids, total / len(ids) ** self.decoding.length_penalty, ids[-1] == self.eos_id)]
            for ids, total in zip(self.ids, self.sums, strict=True)
        ]


def translate(
    net: nn.Module,
    sources: Sequence[Sequence[int]],
    decoding: Decoding,
    sample_ids: Sequence[int] | None = None,
    batch_size: int = 64,
    cached: bool = True,
    eos_id: int | None = EOS,
    bos_id: int = BOS,
    suppressed: Sequence[int] = (PAD, BOS),
) -> list[list[Hypothesis]]:
    """Translations of sources, in evaluation mode and without gradients.

    Sources of similar lengths are translated together. What is drawn for a source depends on ``decoding.seed`` and its
    number alone. Tokens are chosen greedily where ``decoding.temperature`` is None.

    Args:
        net: A :class:`Seq2SeqNet`, or an ensemble of such.
        sources: Ids of each source, with its end-of-sequence token; none of them empty.
        decoding: How tokens are chosen, and how many.
        sample_ids: Number of each source, which with the seed selects its random numbers; by default 0, 1, 2 ...
        batch_size: Most sources of a batch; with beam search, of ``decoding.beams`` rows each.
        cached: Carry the net's state from token to token. False reads everything again for each token, which gives the
            same tokens and is slow.
        eos_id: The end-of-sequence token of the target; None: there is none.
        bos_id: The token that a target begins with.
        suppressed: Tokens that are never chosen: no label of any target.

    Returns:
        For each source its hypotheses, the best first: ``decoding.n_best``, or fewer where there are not so many.

    Raises:
        UserError: A source is empty or too long for the net, ``sample_ids`` has another length, or the net's logits are
            not numbers.
    """
    decoding.check_unused(NO_DRAFTS, "translations")
    sample_ids = range(len(sources)) if sample_ids is None else sample_ids
    longest = getattr(net, "max_seq_len", None)
    check_sources(sources, sample_ids, longest)
    limits = [max_new_tokens(decoding, len(source), longest) for source in sources]
    order = sorted(range(len(sources)), key=lambda source_index: len(sources[source_index]))
    found: list[list[Hypothesis]] = [[] for _ in sources]
    with evaluating(net), torch.inference_mode():
        for start in range(0, len(order), batch_size):
            source_indices = order[start : start + batch_size]
            inputs = source_batch([sources[source_index] for source_index in source_indices], bos_id, device_of(net))
            state = (CachedTargets if cached else RereadTargets)(cast(Seq2SeqNet, net), *inputs)
            own = [limits[source_index] for source_index in source_indices]
            if decoding.beams > 1:
                beams = BeamScorer([[bos_id]] * len(source_indices), decoding, own, eos_id, suppressed=suppressed)
                hypotheses = beam_search(state, beams)
            else:
                own_ids = [sample_ids[source_index] for source_index in source_indices]
                settings = decoding.with_temperature(0.0)
                sampler = ScoringSampler(settings, own_ids, own, device_of(net), eos_id, bos_id, suppressed)
                decode(state, sampler, len(source_indices), max(own))
                hypotheses = sampler.hypotheses()
            for source_index, best in zip(source_indices, hypotheses, strict=True):
                found[source_index] = best
    return found


def check_sources(sources: Sequence[Sequence[int]], sample_ids: Sequence[int], longest: int | None) -> None:
    """Refuses sources that are empty or longer than the net reads, and another number of ``sample_ids``."""
    for source_index, source in enumerate(sources):
        if not len(source):
            raise UserError(f"sources[{source_index}] is empty; give it at least its end-of-sequence token")
        if longest is not None and len(source) > longest:
            raise UserError(
                f"sources[{source_index}] has {len(source)} tokens, more than the net reads (max_seq_len {longest}); "
                "shorten it, or split it into sentences"
            )
    if len(sample_ids) != len(sources):
        raise UserError(f"sample_ids must number every source: {len(sample_ids)} numbers for {len(sources)} sources")


def max_new_tokens(decoding: Decoding, source_length: int, longest: int | None = None) -> int:
    """Most tokens of a translation.

    Args:
        decoding: The settings: ``max_source_ratio`` times the source's length plus 10 (None: no such limit), at most
            ``max_new_tokens``.
        source_length: Tokens of the source, the end-of-sequence token included.
        longest: Longest target that the net reads.
    """
    limits = [float(decoding.max_new_tokens)]
    if decoding.max_source_ratio is not None:
        limits.append(decoding.max_source_ratio * source_length + EXTRA_TOKENS)
    return math.floor(min(limits if longest is None else [*limits, longest]))


def source_batch(sources: Sequence[Sequence[int]], bos_id: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (B, S) padded on the right, True at the tokens (B, S), and the targets' beginnings (B, 1)."""
    source_ids, lengths = padded(sources, device)
    source_mask = torch.arange(source_ids.shape[1], device=device) < lengths[:, None]
    return source_ids, source_mask, torch.full((len(sources), 1), bos_id, device=device)


def replace_unknown(
    net: nn.Module, source: Sequence[int], words: Sequence[str], ids: Sequence[int], tokens: Sequence[str]
) -> list[str]:
    """A translation's words, each unknown one replaced by the source's word that was attended to most.

    The weights are the mean over the layers and heads of the cross-attention, when the net reads the translation once
    more (Luong et al. 2015, "Addressing the rare word problem", 3.3). With a net without attention, nothing is
    replaced.

    Args:
        net: A :class:`Seq2SeqNet`.
        source: Its ids, with the end-of-sequence token behind the words.
        words: Its words, one for each id before that.
        ids: Ids of the translation.
        tokens: Its words, one for each id but for the end-of-sequence token.

    Returns:
        As many words as ``tokens``.
    """
    found = list(tokens)
    unknown = [position for position in range(len(found)) if ids[position] == UNK]
    if not unknown or not words:
        return found
    with evaluating(net), torch.no_grad():
        source_ids, source_mask, begin = source_batch([source], BOS, device_of(net))
        target_ids = torch.cat((begin, begin.new_tensor([list(ids[: len(found)])])), dim=1)[:, :-1]
        weights = cast(Seq2SeqNet, net).cross_attention(source_ids, source_mask, target_ids)
    if weights is None:
        return found
    best = weights[0].mean((0, 1))[:, : len(words)].argmax(-1).tolist()  # (L, H, T, S) -> (T,)
    for position in unknown:
        found[position] = words[best[position]]
    return found
