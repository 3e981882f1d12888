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
from seq_modules.nets.transformer.cache import MANY_ROWS
from seq_modules.nets.transformer.decode_step import BlockStep, plain, product

if TYPE_CHECKING:
    from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer, Memory

FIRST_SLOTS = 16  # of the targets' cache, which doubles them when they are full


class TargetCache:
    """Keys and values of the targets so far, all of one length, in an order that beam search reads and moves quickly.

    A step's keys of all rows lie together. Attention to few keys of many rows is then a few passes over contiguous
    memory: for 320 rows with 12 keys a layer took 0.5 ms, and 3.9 ms by products of matrices as in cache.py; for 64
    rows 0.1 and 0.4 ms, with 40 keys 0.36 and 0.25 ms (width 256, one thread of a loaded AMD EPYC).

    Args:
        num_layers: L.
        slots: Longest target.

    Attributes:
        length: Tokens of each target.
    """

    def __init__(self, num_layers: int, slots: int) -> None:
        self.num_layers, self.slots, self.length = num_layers, slots, 0
        self.stores: tuple[Tensor, Tensor] | None = None  # keys and values, (L, capacity, B, H, K)
        self._spare: tuple[Tensor, Tensor] | None = None  # where `reorder` puts those of other rows

    @property
    def rows(self) -> int:
        """B."""
        assert self.stores is not None
        return self.stores[0].shape[2]

    def attend_filled(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Stores the keys and values of the targets' beginnings and attends causally, (B, H, T, K) each."""
        batch, heads, self.length, size = k.shape
        if self.stores is None:
            shape = (self.num_layers, max(self.length, min(FIRST_SLOTS, self.slots)), batch, heads, size)
            self.stores = k.new_empty(shape), k.new_empty(shape)
        for store, new in zip(self.stores, (k, v), strict=True):
            store[layer, : self.length] = new.permute(2, 0, 1, 3)  # (B, H, T, K) -> (T, B, H, K)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def append(self) -> None:
        """Makes room for one more token."""
        assert self.stores is not None
        self.length += 1
        capacity = self.stores[0].shape[1]
        if self.length > capacity:
            more = (0, 0) * 3 + (0, min(capacity, self.slots - capacity))
            self.stores, self._spare = (F.pad(self.stores[0], more), F.pad(self.stores[1], more)), None

    def attend_appended(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Stores each target's newest key and value and attends to all it has, (B, H, 1, K) each; to (B, H, K)."""
        assert self.stores is not None
        q, k, v = q[:, :, 0], k[:, :, 0], v[:, :, 0]
        keys, values = (store[layer, : self.length] for store in self.stores)  # (T, B, H, K)
        keys[-1] = k
        values[-1] = v
        if q.is_cuda or q.dtype.itemsize < 4:
            k, v = keys.permute(1, 2, 0, 3), values.permute(1, 2, 0, 3)  # (T, B, H, K) -> (B, H, T, K)
            return F.scaled_dot_product_attention(q[:, :, None], k, v)
        weights = (keys * (q / math.sqrt(q.shape[2]))).sum(-1, keepdim=True).softmax(0)  # (T, B, H, 1)
        return (weights * values).sum(0)

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was, (B',)."""
        assert self.stores is not None
        shape = list(self.stores[0].shape)
        shape[2] = len(rows)
        if self._spare is None or list(self._spare[0].shape) != shape:
            self._spare = self.stores[0].new_empty(shape), self.stores[1].new_empty(shape)
        for store, target in zip(self.stores, self._spare, strict=True):
            torch.index_select(store[:, : self.length], 2, rows, out=target[:, : self.length])
        self.stores, self._spare = self._spare, self.stores


class SourceCache:
    """Keys and values of the sources for every decoder layer, computed once and kept once, however many beams read.

    They lie contiguous, and are padded to a length at which products and softmax use whole vectors: for 64 sources of
    15 tokens and 5 beams a layer took 0.3 ms, and 1.2 ms as they come (width 256, one thread of a loaded AMD EPYC).

    Args:
        memory: Keys and values (N, H, S, K) of each layer, and their mask.
    """

    def __init__(self, memory: "Memory") -> None:
        assert isinstance(memory.states, list)
        self.groups = SourceGroups(len(memory.mask))
        more = -memory.mask.shape[3] % 8
        padded = [tuple(F.pad(part, (0, 0, 0, more)).contiguous() for part in pair) for pair in memory.states]
        self.layers = [(k, v) for k, v in padded]
        visible = F.pad(memory.mask, (0, more))
        self.mask = torch.zeros(visible.shape, dtype=self.layers[0][0].dtype, device=visible.device)
        self.mask.masked_fill_(~visible, -math.inf)  # (N, 1, 1, S)

    def attend(self, layer: int, q: Tensor) -> Tensor:
        """Cross-attention of one new token of each row, (B, D) to (B, D): a source's rows are its queries."""
        k, v = self.layers[layer]
        sources, heads, _, size = k.shape
        q = q.view(sources, -1, heads, size).transpose(1, 2)  # (B, D) -> (N, W, H, K) -> (N, H, W, K)
        if sources >= MANY_ROWS and q.device.type == "cpu":
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

    def __init__(self, net: "EncoderDecoderTransformer", cache: TargetCache, source: SourceCache) -> None:
        self.net, self.cache, self.source = net, cache, source
        self.steps: list[BlockStep] = []

    def prepare(self, rows: int) -> None:
        """Takes the decoder's weights out, for as many rows as there are now."""
        dtype = self.source.mask.dtype
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
    cache = TargetCache(len(net.decoder), net.max_seq_len)
    x = net.decode(target_ids, memory, cache.attend_filled)
    return net.logits(x[:, -1]), Seq2SeqState(net, cache, SourceCache(memory))


@torch.no_grad()
def decode_step(net: "EncoderDecoderTransformer", ids: Tensor, state: Seq2SeqState) -> tuple[Tensor, Seq2SeqState]:
    """Reads one more target token of each row, (B,). Returns logits (B, V) and the state, which is changed in place.

    Raises:
        UserError: The targets have ``max_seq_len`` tokens already.
    """
    if not state.steps:
        state.prepare(len(ids))
    x, rotary, _ = net.embed(net.target_embedding, net.target_positions, ids[:, None], 0, state.cache.length)
    state.cache.append()
    x = x[:, 0]
    for step in state.steps:
        x = step(x, x, rotary, None)
    return at_least_float32(state.head(state.norm(x))), state


def reorder(net: "EncoderDecoderTransformer", state: Seq2SeqState, rows: Tensor) -> Seq2SeqState:
    """The state, changed in place, in which row i is what row ``rows[i]`` was, for ``rows`` (B',).

    Rows may be taken several times or left out. What is kept of the sources is copied only where a source's rows no
    longer lie together, or a source has none.
    """
    taken = rows.tolist()
    if taken != list(range(state.cache.rows)):
        state.source.reorder(taken)
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
