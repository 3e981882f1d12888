"""Generation with an encoder-decoder Transformer, by caches, and its attention weights.

B rows, N sources, W rows of a source (beams; B = N·W), S time of the source, T time of the target, C slots of a cache,
D width, H heads, K head size, L layers, V target vocabulary.
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
from seq_modules.nets.transformer.decode_step import MANY_ROWS, BlockDecoder, plain, product

if TYPE_CHECKING:
    from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer

# Caches have a multiple of this many slots, the unused ones hidden by the mask: products and softmax then use whole
# vectors. Attention of 64 rows, 4 heads of width 32, took 157 us with 8 keys and 52 us with 16 (one thread, AMD EPYC).
BLOCK = 16


class Cache:
    """Keys and values of every layer, which all rows of a source read together.

    Args:
        store: Keys and values, (L, 2, N, H, C, K).
        mask: 0 at the slots that a row reads and minus infinity at the others, (N, W, C), or (N, 1, C) for all rows of
            a source.
    """

    def __init__(self, store: Tensor, mask: Tensor) -> None:
        self.scale = 1 / math.sqrt(store.shape[5])
        self.set(store, mask)

    def set(self, store: Tensor, mask: Tensor) -> None:
        """Replaces the store and the mask."""
        self.store, self.mask = store, mask
        self.sources, self.heads = store.shape[2:4]
        self.layers = [layer.flatten(1, 2).unbind() for layer in store.unbind()]  # L × 2 × (N·H, C, K)
        self.spread_mask()

    def spread_mask(self) -> None:
        """Makes the mask of all heads, (N·H, W, C), after a change of the mask."""
        self.mask_of_heads = self.mask[:, None].expand(-1, self.heads, -1, -1).flatten(0, 1)

    def attend(self, layer: int, q: Tensor) -> Tensor:
        """Attention of one token of each row, (B, H, 1, K), to what the row reads; (B, ...) in the order (H, K)."""
        keys, values = self.layers[layer]
        q = self.by_source(q).flatten(0, 1)  # (N, H, W, K) -> (N·H, W, K)
        weights = torch.baddbmm(self.mask_of_heads, q, keys.mT, alpha=self.scale).softmax(-1)  # (N·H, W, C)
        y = torch.bmm(weights, values)
        return y if y.shape[1] == 1 else y.unflatten(0, (-1, self.heads)).transpose(1, 2)  # (N, W, H, K)

    def by_source(self, x: Tensor) -> Tensor:
        """(B, H, 1, K) to (N, H, W, K): a source's rows stand together."""
        if len(x) == self.sources:
            return x
        return x.view(self.sources, -1, self.heads, x.shape[3]).transpose(1, 2)

    def take(self, sources: Tensor) -> None:
        """Keeps the slots of some sources, (N',), in their order; each may be taken several times."""
        self.set(self.store.index_select(2, sources), self.mask.index_select(0, sources))


class TargetCache(Cache):
    """What the decoder has computed of the targets so far. Each step adds a slot for each of a source's W rows.

    A row reads its own slots and those of the rows that it continues, which the mask says. So beam search moves rows of
    the mask where others would move keys and values, and one product reads them for all beams of a source.

    Args:
        like: Keys of the sources, (N, H, S, K).
        num_layers: L.

    Attributes:
        length: Tokens of each target.
        used: Slots that hold keys and values.
    """

    def __init__(self, like: Tensor, num_layers: int) -> None:
        sources, heads, _, size = like.shape
        self.length = self.used = 0
        super().__init__(
            like.new_zeros(num_layers, 2, sources, heads, BLOCK, size), like.new_full((sources, 1, BLOCK), -math.inf)
        )

    def append(self) -> None:
        """Makes room for one more token of each row."""
        width, first = self.mask.shape[1], self.used
        self.length, self.used = self.length + 1, first + width
        if (more := self.used - self.mask.shape[2]) > 0:
            more = max(more, self.used // 4)  # a copy of everything must be rare, and unused slots few
            more += -more % BLOCK
            self.set(F.pad(self.store, (0, 0, 0, more)), F.pad(self.mask, (0, more), value=-math.inf))
        self.mask[:, :, first : self.used].diagonal(dim1=1, dim2=2).zero_()
        self.spread_mask()
        self.new = self.store[:, :, :, :, first : self.used].unbind()  # L × (2, N, H, W, K)

    def attend_appended(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Stores each row's newest key and value and attends to all it has, (B, H, 1, K) each; see :meth:`attend`."""
        new_keys, new_values = self.new[layer].unbind()
        new_keys.copy_(self.by_source(k))
        new_values.copy_(self.by_source(v))
        return self.attend(layer, q)

    def reorder(self, rows: Tensor, width: int, sources: Tensor | None) -> None:
        """Row i becomes what row ``rows[i]`` was, (B',).

        Args:
            rows: The rows.
            width: Rows of a source from now on.
            sources: The sources to keep, in order, (N',). None: all, as they are.
        """
        mask = self.mask.flatten(0, 1)[rows].unflatten(0, (-1, width))  # (B', C) -> (N', W', C)
        if sources is None:
            self.mask = mask
        else:
            self.set(self.store.index_select(2, sources), mask)


class Seq2SeqState:
    """The state of generation: caches, and the decoder prepared for one token at a time.

    Args:
        net: The net.
        states: The encoder's output, (N, S, D).
        mask: True at the sources' tokens, (N, 1, 1, S).
    """

    def __init__(self, net: "EncoderDecoderTransformer", states: Tensor, mask: Tensor) -> None:
        self.net, self.groups = net, SourceGroups(len(states))
        self.layers: list[BlockDecoder] = []
        self.many = False  # whether the layers are made for MANY_ROWS or more
        self.source = source_cache(net, states, mask)
        self.target = TargetCache(self.source.store[0, 0], len(net.decoder))

    def prepare(self, rows: int) -> None:
        """Takes the decoder's weights out, for a number of rows."""
        if self.layers and self.many == (rows >= MANY_ROWS):
            return
        self.many = rows >= MANY_ROWS
        dtype, self.layers = self.source.store.dtype, []
        for layer, block in enumerate(self.net.decoder):
            assert isinstance(block, Block)
            attend, attend_memory = partial(self.target.attend_appended, layer), partial(self.source.attend, layer)
            self.layers.append(BlockDecoder(block, dtype, rows, attend, attend_memory))
        self.norm = plain(self.net.decoder_norm)
        # The head is the largest matrix: transposed, ten steps make up for the copy even with one row.
        self.head = product(self.net.head, dtype, MANY_ROWS)


def source_cache(net: "EncoderDecoderTransformer", states: Tensor, mask: Tensor) -> Cache:
    """Keys and values of the sources for every decoder layer: computed once, and kept once for all beams of a source.

    Args:
        net: The net.
        states: The encoder's output, (N, S, D).
        mask: True at the sources' tokens, (N, 1, 1, S).
    """
    more = -states.shape[1] % BLOCK
    visible = F.pad(mask[:, 0], (0, more))  # (N, 1, C)
    store: Tensor | None = None
    for layer, block in enumerate(net.decoder):
        assert isinstance(block, Block)
        assert block.cross is not None
        for part, values in enumerate(block.cross.keys_values(states)):  # (N, H, S, K) each
            if store is None:
                sources, heads, steps, size = values.shape
                store = values.new_zeros(len(net.decoder), 2, sources, heads, steps + more, size)
            store[layer, part, :, :, :steps] = values
    assert store is not None
    return Cache(store, store.new_zeros(visible.shape).masked_fill_(~visible, -math.inf))


@torch.no_grad()
def prefill(
    net: "EncoderDecoderTransformer", source_ids: Tensor, source_mask: Tensor, target_ids: Tensor
) -> tuple[Tensor, Seq2SeqState]:
    """Reads sources, and the beginnings of their targets, token by token.

    Args:
        net: The net.
        source_ids: (B, S), padded on the right.
        source_mask: Booleans (B, S), true at the tokens.
        target_ids: (B, P), all of one length, such as the beginning-of-sequence token alone.

    Returns:
        Logits (B, V) after each row, and the state for :func:`decode_step`.
    """
    encoded = net.encode(source_ids, source_mask)
    assert isinstance(encoded.states, Tensor)
    state = Seq2SeqState(net, encoded.states, encoded.mask)
    for ids in target_ids.unbind(1):
        logits, state = decode_step(net, ids, state)
    return logits, state


@torch.no_grad()
def decode_step(net: "EncoderDecoderTransformer", ids: Tensor, state: Seq2SeqState) -> tuple[Tensor, Seq2SeqState]:
    """Reads one more target token of each row, (B,). Returns logits (B, V) and the state, which is changed in place.

    Raises:
        UserError: The targets have ``max_seq_len`` tokens already.
    """
    state.prepare(len(ids))
    x, rotary, _ = net.embed(net.target_embedding, net.target_positions, ids[:, None], start=state.target.length)
    state.target.append()
    x = x[:, 0]
    for layer in state.layers:
        x = layer(x, x, rotary, None)
    return at_least_float32(state.head(state.norm(x))), state


def reorder(net: "EncoderDecoderTransformer", state: Seq2SeqState, rows: Tensor) -> Seq2SeqState:
    """The state, changed in place, in which row i is what row ``rows[i]`` was, for ``rows`` (B',).

    Rows may be taken several times or left out. Keys and values are copied only where a source's rows no longer lie
    together, or a source has none.
    """
    taken = state.groups.reorder(rows.tolist())
    sources = None if taken is None else torch.tensor(taken, device=rows.device)
    if sources is not None:
        state.source.take(sources)
    state.target.reorder(rows, state.groups.rows_per_source, sources)
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
    encoded = net.encode(source_ids, source_mask, partial(attend, "encoder", visible))
    net.decode(target_ids, encoded, partial(attend, "decoder", causal), partial(attend, "cross", visible))
    return {name: torch.stack(layers, dim=1) for name, layers in maps.items()}  # L × (B, H, ·, ·) -> (B, L, H, ·, ·)
