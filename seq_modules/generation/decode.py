"""The loops that go on from prompts, token by token: a quick one that carries state, and its slow, obvious twin.

B batch, T time, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from seq_modules.generation.sampling import Decoding, choose, uniforms
from seqlight.core.errors import UserError

BLOCK = 256  # steps whose uniforms are drawn at once

Steps = Iterator[tuple[Tensor, Callable[[Tensor], None]]]


class Net(Protocol):
    """What :func:`generate` asks of a net."""

    def __call__(self, input_ids: Tensor) -> Tensor:
        """Logits (B, T, V) of ids (B, T). What stands at a step never depends on later steps."""

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
        """Reads whole prompts (B, T), padded on the right. Logits (B, V) after each row's last token, and a state."""

    def decode_step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Reads one more token of each row, (B,). Logits (B, V) after it, and the state."""

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the net looks at."""


def generate(
    net: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    rows: Sequence[int] | None = None,
    cached: bool = True,
    stop: Callable[[int, list[int]], bool] | None = None,
    on_token: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """Continuations of prompts, in evaluation mode and without gradients.

    What is drawn for a row depends on ``decoding.seed`` and the row's number alone, not on its batch.

    Args:
        net: A net as in :class:`Net`.
        prompts: Ids to go on from, of any lengths, none of them empty.
        decoding: How to choose tokens, and how many.
        rows: Number of each prompt for the drawing; by default 0, 1, 2 ...
        cached: Carry the net's state from token to token; False reads the whole window again for each, which gives the
            same tokens and is slow.
        stop: Is told a prompt's place in ``prompts`` and its new ids after each of its tokens, and says whether it is
            over. A prompt that is over grows no further, and nothing is called for it any more.
        on_token: Is told a prompt's place and its next token, as soon as it is chosen, before ``stop`` is.

    Returns:
        The new ids of each prompt, with the one at which it stopped.

    Raises:
        ValueError: A prompt is empty, ``rows`` has another length, or the net's logits are not numbers.
    """
    for place, prompt in enumerate(prompts):
        if not len(prompt):
            raise UserError(f"prompts: number {place} is empty; give it at least one token to go on from")
    if rows is not None and len(rows) != len(prompts):
        raise UserError(f"rows must number every prompt: {len(rows)} numbers for {len(prompts)} prompts")
    if not prompts:
        return []
    rows = range(len(prompts)) if rows is None else rows
    with evaluating(net), torch.no_grad():
        steps = (cached_steps if cached else naive_steps)(cast(Net, net), prompts, device_of(net))
        return _grow(steps, prompts, decoding, rows, stop, on_token)


def _grow(
    steps: Steps,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    rows: Sequence[int],
    stop: Callable[[int, list[int]], bool] | None,
    on_token: Callable[[int, int], None] | None,
) -> list[list[int]]:
    """Chooses a token a row at each step, until all rows are over."""
    new: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    draws = [uniforms(decoding.seed, row) for row in rows]
    drawn, seen = torch.empty(0), None
    for step, (logits, feed) in enumerate(steps):
        if logits.isnan().any():
            raise UserError("net: its logits are not numbers (NaN); its weights are broken, or training diverged")
        if decoding.repetition_penalty != 1 and seen is None:
            seen = _seen(prompts, logits)
        if decoding.temperature and step % BLOCK == 0:
            count = min(BLOCK, decoding.max_new_tokens - step)
            drawn = torch.tensor([list(islice(draw, count)) for draw in draws], dtype=torch.float64)
            drawn = drawn.T.contiguous().to(logits.device, torch.float32 if logits.device.type == "mps" else None)
        ids = choose(logits, decoding, drawn[step % BLOCK] if decoding.temperature else None, seen)
        tokens = ids.tolist()
        for place in alive:
            new[place].append(tokens[place])
            if on_token is not None:
                on_token(place, tokens[place])
        if stop is not None:
            alive = [place for place in alive if not stop(place, new[place])]
        if not alive or step + 1 == decoding.max_new_tokens:
            break
        if seen is not None:
            seen.scatter_(1, ids[:, None], True)
        feed(ids)
    return new


def cached_steps(net: Net, prompts: Sequence[Sequence[int]], device: torch.device) -> Steps:
    """Logits (B, V) for the next token, step after step, with the net's state carried; and where to feed the token."""
    fed: list[Tensor] = []
    logits, state = net.prefill(*padded(prompts, device))
    while True:
        yield logits, fed.append
        logits, state = net.decode_step(fed.pop(), state)


def naive_steps(net: Net, prompts: Sequence[Sequence[int]], device: torch.device) -> Steps:
    """As :func:`cached_steps`, by reading every row's window from its beginning each time."""
    texts = [list(prompt) for prompt in prompts]

    def feed(ids: Tensor) -> None:
        for text, token in zip(texts, ids.tolist(), strict=True):
            text.append(token)

    while True:
        ids, lengths = padded([net.window(text) for text in texts], device)
        yield net(ids)[torch.arange(len(texts), device=device), lengths - 1], feed


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids as (B, T), padded on the right with 0, and their lengths (B,)."""
    lengths = [len(row) for row in rows]
    width = max(lengths)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    return ids.to(device), torch.tensor(lengths, device=device)


def device_of(net: nn.Module) -> torch.device:
    """Where a net's weights are."""
    weights = next(net.parameters(), None)
    return torch.device("cpu") if weights is None else weights.device


def _seen(prompts: Sequence[Sequence[int]], logits: Tensor) -> Tensor:
    """Which tokens each prompt has, (B, V)."""
    seen = torch.zeros_like(logits, dtype=torch.bool)
    for place, prompt in enumerate(prompts):
        seen[place, torch.tensor(prompt, device=logits.device)] = True
    return seen


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every part is in its own mode again."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
