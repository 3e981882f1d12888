"""GPT's methods for generation, with a KV cache and a context that moves along, and its attention weights.

B batch, T time, D width, H heads, K head size, L layers, V vocabulary, S longest context, P length of the prefix.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import attention_weights, causal_mask
from seq_modules.nets.transformer.cache import KVCache
from seq_modules.nets.transformer.decode_step import DecodeState
from seq_modules.nets.transformer.positions import causal_alibi

if TYPE_CHECKING:
    from seq_modules.nets.transformer.gpt import GPT


def window(net: "GPT", ids: list[int]) -> list[int]:
    """The part of a row's ids that fits the context.

    Up to S ids it is all of them. Then it begins at the smallest multiple of S // 2 from which they fit: the beginning
    moves once in S // 2 tokens, so that the cache is seldom refilled, and a token's position and n-grams do not depend
    on how the window came about. The first P ids stay before it.
    """
    prefix = net.prefix_len
    return ids[:prefix] + ids[prefix + left_out(net.max_seq_len, len(ids)) :]


def left_out(slots: int, length: int) -> int:
    """How many of a row's ids do not fit S slots, rounded up to a multiple of :func:`slide`."""
    return -((slots - length) // slide(slots)) * slide(slots) if length > slots else 0


def slide(slots: int) -> int:
    """How many ids a full window drops at once."""
    return max(1, slots // 2)


@torch.no_grad()
def prefill(net: "GPT", input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, DecodeState]:
    """Reads prompts.

    Args:
        net: The net.
        input_ids: (B, T), padded on the right; T may be longer than ``max_seq_len``.
        lengths: True tokens of each row, (B,), from 1 to T.

    Returns:
        Logits (B, V) after each row's last true token, those of ``forward`` on its :func:`window`, and the state for
        :func:`decode_step`.

    Raises:
        ValueError: A length is out of its range.
    """
    ends, prefix = lengths.tolist(), net.prefix_len
    batch, steps = input_ids.shape
    if len(ends) != batch or not ends or min(ends) < 1 or max(ends) > steps:
        raise ValueError(f"lengths must be {batch} numbers from 1 to {steps}, not {ends}")
    rows = [
        torch.cat([row[: min(prefix, end)], row[prefix + left_out(net.max_seq_len, end) : end]])
        for row, end in zip(input_ids, ends, strict=True)
    ]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, longest window)
    cache = KVCache(len(net.blocks), batch, net.max_seq_len, ids.device, net.alibi)
    cache.fill(ids, [len(row) for row in rows])
    x = net.hidden(ids, cache.attend_filled)
    last = torch.tensor(cache.lengths, device=ids.device) - 1
    return net.logits(x[torch.arange(batch, device=ids.device), last]), DecodeState(net.blocks, cache)


@torch.no_grad()
def decode_step(net: "GPT", ids: Tensor, state: DecodeState) -> tuple[Tensor, DecodeState]:
    """Reads one more token of each row, (B,). Returns logits (B, V) and the state, which is changed in place."""
    logits, state = extend(net, ids[:, None], [1] * len(ids), state)
    return logits[:, 0], state


@torch.no_grad()
def extend(net: "GPT", ids: Tensor, counts: Sequence[int], state: DecodeState) -> tuple[Tensor, DecodeState]:
    """Reads several more tokens of each row.

    Args:
        net: The net.
        ids: (B, T). A row with fewer than T tokens has its last one again at the other positions.
        counts: How many tokens each row has, from 1 to what :func:`free_slots` allows.
        state: What has been read.

    Returns:
        Logits (B, T, V) after each token, and the state, which is changed in place.
    """
    cache, prefix = state.cache, net.prefix_len
    full = [row for row, length in enumerate(cache.lengths) if length == net.max_seq_len]
    if full:  # their windows move on; the ids that stay are read again, at their new positions
        rows = torch.tensor(full, device=ids.device)
        rest = torch.cat([cache.ids[rows, :prefix], cache.ids[rows, prefix + slide(net.max_seq_len) :]], dim=1)
        cache.fill(rest, [rest.shape[1]] * len(full), rows)
        if rest.shape[1]:
            net.hidden(rest, cache.attend_filled)
    positions = cache.append(ids, counts)
    x, rotary, _ = net.embed(ids, positions, cache.ids)
    values = None if net.extras is None else net.extras.values(ids, x.dtype)
    if rotary is not None and rotary.dim() == 4:
        rotary = rotary[:, :, None, None]  # (2, B, T, K) -> (2, B, 1, 1, T, K)
    x = x0 = x.flatten(0, 1)  # (B, T, D) -> (B·T, D)
    for layer in state.layers(len(x)):
        x = layer(x, x0, rotary, values, ids.shape[1])
    return net.logits(net.norm(x)).unflatten(0, ids.shape), state


def free_slots(net: "GPT", state: DecodeState) -> list[int]:
    """How many tokens each row can read at once, at least 1: its window moves between two readings alone."""
    slots, prefix = net.max_seq_len, net.prefix_len
    rest = min(prefix, slots) + max(0, slots - prefix - slide(slots))  # what stays of a full window
    return [slots - (rest if length == slots else length) for length in state.cache.lengths]


def crop(net: "GPT", counts: Sequence[int], state: DecodeState) -> DecodeState:
    """Forgets the last tokens of each row, of those that the last :func:`extend` read, B numbers from 0 on."""
    state.cache.crop(counts)
    return state


@torch.no_grad()
def reorder(net: "GPT", state: DecodeState, rows: Tensor) -> DecodeState:
    """The state in which row i is what row ``rows[i]`` was, (B',); its cache is changed in place.

    A row may be taken several times, and B' may differ from B.
    """
    state.cache.reorder(rows)
    return state


def attention_maps(net: "GPT", input_ids: Tensor) -> Tensor:
    """Attention weights of all layers, (B, L, H, T, T), each row summing to 1, from ids (B, T)."""
    maps: list[Tensor] = []
    steps, dtype = input_ids.shape[1], torch.float32
    mask = causal_mask(steps, input_ids.device, dtype) if net.alibi is None else causal_alibi(net.alibi, steps, dtype)

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        maps.append(attention_weights(q, k, mask.to(q.dtype)))
        return maps[-1] @ v

    net.hidden(input_ids, attend)
    return torch.stack(maps, dim=1)  # L × (B, H, T, T) -> (B, L, H, T, T)
