"""From logits to ids: how one token is chosen.

B rows, V vocabulary, F fields.
"""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from seq_modules.generation.decoding_config import Decoding
from seqlight.core.errors import UserError

BLOCK = 256  # steps whose uniform numbers are drawn at once
CHUNK = 64  # columns whose largest value is taken first, where the largest of many numbers is looked for
MANY = 1 << 17  # numbers from which on that is the quicker way on CPUs


def sample(logits: Tensor, decoding: Decoding, uniforms: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
    """The next id of each row.

    Args:
        logits: (B, V).
        decoding: The settings.
        uniforms: One number in [0, 1) for each row, (B,); not needed for greedy decoding.
        seen: Whether a row already has each token, (B, V); needed for a repetition penalty.

    Returns:
        Ids, (B,).
    """
    if decoding.repetition_penalty != 1:
        assert seen is not None, "a repetition penalty needs to know the tokens seen"
        logits = penalised(logits, seen, decoding.repetition_penalty)
    if decoding.greedy:
        return argmax(logits)
    assert uniforms is not None, "sampling needs uniforms"
    return inverse_cdf(warped(logits, decoding), uniforms)


def check_not_nan(logits: Tensor) -> None:
    """Refuses logits that are NaN. Minus infinity is allowed: it rules a token out."""
    if logits.amax().isnan():  # the largest of numbers and NaN is NaN
        raise UserError("net: its logits are not numbers (NaN); its weights are broken, or training diverged")


def argmax(logits: Tensor) -> Tensor:
    """Column of each row's largest number, the first of equal ones, (B,) of (B, V).

    On CPUs torch.argmax compares number by number: of 64 rows of 8,000 it took 0.43 ms, and this 0.09 (one thread).
    """
    chunks = logits.shape[1] // CHUNK
    if logits.device.type != "cpu" or logits.numel() < MANY or not chunks:
        return logits.argmax(-1)
    whole = chunks * CHUNK
    parts = logits[:, :whole].unflatten(1, (chunks, CHUNK))
    best = parts.amax(-1).argmax(-1, keepdim=True)  # (B, 1)
    within = parts.gather(1, best[:, :, None].expand(-1, 1, CHUNK))[:, 0]  # (B, CHUNK)
    candidates = torch.cat((within, logits[:, whole:]), dim=1).argmax(-1)
    return torch.where(candidates < CHUNK, best[:, 0] * CHUNK + candidates, candidates + whole - CHUNK)


def log_probs(logits: Tensor) -> Tensor:
    """Log-probabilities (B, V) of logits, in float32 at least."""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def suppress_(scores: Tensor, ids: Sequence[int]) -> Tensor:
    """Sets the scores of ids that must not be chosen to minus infinity, in place, (B, V)."""
    for column in ids:
        scores[:, column] = -math.inf
    return scores


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits (B, V) after the repetition penalty on the tokens that are ``seen``, (B, V)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def warped(logits: Tensor, decoding: Decoding) -> Tensor:
    """Logits (B, V) after temperature, top-k, top-p and min-p; tokens that are ruled out have minus infinity."""
    logits = logits.to(wide(logits))
    if decoding.temperature not in (None, 1):
        # The largest becomes 0, so that a division by a tiny temperature can only overflow to minus infinity.
        logits = (logits - logits.amax(-1, keepdim=True)) / decoding.temperature
    if decoding.top_k is not None and decoding.top_k < logits.shape[-1]:
        last = logits.topk(decoding.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < last, -math.inf)
    if decoding.top_p is not None and decoding.top_p < 1:
        ordered, order = logits.sort(descending=True, stable=True)
        probs = ordered.softmax(-1)
        before = probs.cumsum(-1) - probs  # probability of all likelier tokens; 0 for the first, which always stays
        out = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= decoding.top_p)
        logits = logits.masked_fill(out, -math.inf)
    if decoding.min_p:
        logits = logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(decoding.min_p), -math.inf)
    return logits


def inverse_cdf(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Samples (B,) from softmax(logits (B, V)): the first id at which the cumulative probability exceeds the uniform.

    One number decides, so a row's sample depends on nothing else in the batch. An id of probability 0 is never chosen.
    """
    cdf = logits.softmax(-1, dtype=wide(logits)).cumsum(-1)  # (B, V)
    total = cdf[:, -1:].contiguous()  # 1 up to rounding
    ids = torch.searchsorted(cdf, uniforms.to(cdf.dtype)[:, None] * total, right=True)
    return torch.minimum(ids, torch.searchsorted(cdf, total)).squeeze(-1)  # a uniform just under 1 may round up to it


def wide(tensor: Tensor) -> torch.dtype:
    """The precision in which probabilities are added: float64 where the device has it."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def uniforms(seed: int, row: int) -> Iterator[float]:
    """Endless numbers in [0, 1) for one row: the same for equal seed and row, on every machine.

    Python's generator, seeded with a hash of the text, so that rows share nothing and torch's generators stay as they
    are.
    """
    generator = random.Random(f"{seed} {row}")
    while True:
        yield generator.random()


def uniform_blocks(
    decoding: Decoding, sample_ids: Sequence[int], fields: int, device: torch.device
) -> Iterator[Tensor]:
    """Endless numbers in [0, 1), one step after the other, (F, B) each; they go to the device in blocks of steps.

    Args:
        decoding: Has the seed, and how many steps there are at most.
        sample_ids: Number of each row; its random numbers are those of :func:`uniforms`.
        fields: Numbers of a row and step, F.
        device: Where they are needed.
    """
    streams = [uniforms(decoding.seed, sample_id) for sample_id in sample_ids]
    steps = min(BLOCK, decoding.max_new_tokens)
    while True:
        block = torch.tensor([list(islice(stream, steps * fields)) for stream in streams], dtype=torch.float64)
        block = (
            block.view(len(sample_ids), steps, fields).permute(1, 2, 0).contiguous()
        )  # (B, steps · F) -> (steps, F, B)
        yield from block.to(device, wide(torch.empty(0, device=device)))


def seen_ids(rows: Sequence[Sequence[int]], vocab_size: int, device: torch.device) -> Tensor:
    """Whether each row of ids has each id, (B, V)."""
    seen = torch.zeros(len(rows), vocab_size, dtype=torch.bool, device=device)
    for index, row in enumerate(rows):
        seen[index, torch.tensor(row, device=device)] = True
    return seen
