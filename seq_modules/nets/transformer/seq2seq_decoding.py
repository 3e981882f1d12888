"""Generation with an encoder-decoder Transformer, by caches, and its attention weights.

B rows, N sources, W rows of a source (beams), S time of the source, T time of the target, D width, H heads, K head
size, L layers, V target vocabulary.
"""

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.source_groups import SourceGroups
from seq_modules.nets.transformer.attention import attention_weights
from seq_modules.nets.transformer.block import Block
from seq_modules.nets.transformer.cache import MANY_ROWS, KVCache
from seq_modules.nets.transformer.decode_step import BlockStep, plain, product

if TYPE_CHECKING:
    from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer, Memory

FIRST_SLOTS = 32  # of the cache of the self-attention; most targets are shorter


class SourceCache:
    """Keys and values of the sources for every decoder layer, computed once and kept once, however many beams read.

    Args:
        memory: Keys and values (N, H, S, K) of each layer, and their mask.
    """

    def __init__(self, memory: "Memory") -> None:
        assert isinstance(memory.states, list)
        self.groups = SourceGroups(len(memory.mask))
        self.layers = memory.states
        self.mask = torch.zeros(memory.mask.shape, dtype=self.layers[0][0].dtype, device=memory.mask.device)
        self.mask.masked_fill_(~memory.mask, -math.inf)  # (N, 1, 1, S)

    def attend(self, layer: int, q: Tensor) -> Tensor:
        """Cross-attention of one new token of each row, (B, D) to (B, D): a source's rows are its queries."""
        k, v = self.layers[layer]
        sources, heads, _, size = k.shape
        q = q.view(sources, -1, heads, size).transpose(1, 2)  # (B, D) -> (N, W, H, K) -> (N, H, W, K)
        if sources * q.shape[2] >= MANY_ROWS and q.device.type == "cpu":
            y = (q / math.sqrt(size) @ k.mT + self.mask).softmax(-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        return y.transpose(1, 2).reshape(-1, heads * size)  # (N, H, W, K) -> (N, W, H, K) -> (B, D)

    def reorder(self, rows: list[int]) -> None:
        """Row i reads what row ``rows[i]`` read. Nothing is copied while the beams of a source stay together."""
        sources = self.groups.reorder(rows)
        if sources is not None:
            index = torch.tensor(sources, device=self.mask.device)
            self.mask = self.mask[index]
            self.layers = [(k[index], v[index]) for k, v in self.layers]


class Seq2SeqState:
    """The state of generation: caches, and the decoder prepared for one token at a time.

    Args:
        net: The net.
        cache: Keys and values of the targets so far.
        source: Those of the sources.
    """

    def __init__(self, net: "EncoderDecoderTransformer", cache: KVCache, source: SourceCache) -> None:
        self.net, self.cache, self.source = net, cache, source
        self.steps: list[BlockStep] = []

    def prepare(self) -> None:
        """Takes the decoder's weights out, for as many rows as there are now."""
        assert self.cache.keys is not None
        dtype, rows = self.cache.keys.dtype, len(self.cache.lengths)
        for layer, block in enumerate(self.net.decoder):
            assert isinstance(block, Block)
            attend, attend_memory = partial(self.cache.attend_appended, layer), partial(self.source.attend, layer)
            self.steps.append(BlockStep(block, dtype, rows, attend, attend_memory))
        self.norm = plain(self.net.decoder_norm)
        self.head = product(self.net.head, dtype, rows)


@torch.no_grad()
def prefill(
    net: "EncoderDecoderTransformer", source_ids: Tensor, source_mask: Tensor, target_ids: Tensor
) -> tuple[Tensor, Seq2SeqState]:
    """Reads sources, and the beginnings of their targets.

    Args:
        net: The net.
        source_ids: (B, S), padded on the right.
        source_mask: Booleans (B, S), true at the tokens.
        target_ids: (B, P), all of one length, such as the beginning-of-sequence token alone.

    Returns:
        Logits (B, V) after each row, and the state for :func:`decode_step`.
    """
    memory = net.encode(source_ids, source_mask)
    assert isinstance(memory.states, Tensor)
    keys_values = []
    for block in net.decoder:
        assert isinstance(block, Block)
        assert block.cross is not None
        keys_values.append(block.cross.keys_values(memory.states))
    memory = memory._replace(states=keys_values)
    rows, steps = target_ids.shape
    cache = KVCache(len(net.decoder), rows, net.max_seq_len, target_ids.device, FIRST_SLOTS)
    cache.fill(target_ids, [steps] * rows)
    x = net.decode(target_ids, memory, cache.attend_filled)
    return net.logits(x[:, -1]), Seq2SeqState(net, cache, SourceCache(memory))


@torch.no_grad()
def decode_step(net: "EncoderDecoderTransformer", ids: Tensor, state: Seq2SeqState) -> tuple[Tensor, Seq2SeqState]:
    """Reads one more target token of each row, (B,). Returns logits (B, V) and the state, which is changed in place.

    Raises:
        UserError: The targets have ``max_seq_len`` tokens already.
    """
    if not state.steps:
        state.prepare()
    x, rotary, _ = net.embed(net.target_embedding, net.target_positions, ids[:, None], 0, state.cache.lengths[0])
    state.cache.append(ids)
    x = x[:, 0]
    for step in state.steps:
        x = step(x, x, rotary, None)
    return at_least_float32(state.head(state.norm(x))), state


def reorder(net: "EncoderDecoderTransformer", state: Seq2SeqState, rows: Tensor) -> Seq2SeqState:
    """The state, changed in place, in which row i is what row ``rows[i]`` was, for ``rows`` (B',).

    Rows may be taken several times or left out. What is kept of the sources is copied only where a source's rows no
    longer lie together, or a source has none.
    """
    state.source.reorder(rows.tolist())
    state.cache.reorder(rows)
    return state


def cross_attention(
    net: "EncoderDecoderTransformer", source_ids: Tensor, source_mask: Tensor, target_ids: Tensor
) -> Tensor:
    """Weights of the cross-attention, (B, L, H, T, S), each row with the sum 1; arguments as for the net."""
    return attention_maps(net, source_ids, source_mask, target_ids)["cross"]


def attention_maps(
    net: "EncoderDecoderTransformer", source_ids: Tensor, source_mask: Tensor, target_ids: Tensor
) -> dict[str, Tensor]:
    """Attention weights, each row with the sum 1; arguments as for the net.

    Returns:
        "encoder" (B, L, H, S, S), "decoder" (B, L, H, T, T) and "cross" (B, L, H, T, S).
    """
    maps: dict[str, list[Tensor]] = {"encoder": [], "decoder": [], "cross": []}

    def attend(name: str, mask: Tensor, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        maps[name].append(attention_weights(q, k, mask))
        return maps[name][-1] @ v

    visible = source_mask[:, None, None]
    causal = visible.new_ones(target_ids.shape[1], target_ids.shape[1]).tril()
    memory = net.encode(source_ids, source_mask, partial(attend, "encoder", visible))
    net.decode(target_ids, memory, partial(attend, "decoder", causal), partial(attend, "cross", visible))
    return {name: torch.stack(layers, dim=1) for name, layers in maps.items()}  # L × (B, H, ·, ·) -> (B, L, H, ·, ·)
