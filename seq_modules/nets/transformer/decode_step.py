"""A Transformer's block for a few new tokens of each row: what Block.forward computes, without the modules' overhead.

Going through the modules, the six blocks of a GPT cost 0.45 ms a token beside their products; with a block's tensors
taken out once for a whole text, 0.26 ms (one thread, width 12, a loaded machine). test_cache.py compares the two.

B batch, T new tokens of a row, D width, H heads, K head size.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import EPS, Attend, rotate
from seq_modules.nets.transformer.block import Block, activate
from seq_modules.nets.transformer.cache import KVCache
from seq_modules.nets.transformer.gpt_extras import MixedBlock
from seqlight.core.hardware import multiplies_bf16

AttendMemory = Callable[[Tensor], Tensor]  # queries (B, H, 1, K) to what they find, (B, ...) in the order (H, K)

# Rows from which on contiguous transposed weights are quicker: a step's products at width 384 took 0.8 ms as they are
# and 0.9 transposed for one row, 3.8 and 2.7 for 32 (two cores, fp32; on another machine both took as long). Where bf16
# is emulated, transposed weights in bf16 take six times as long.
MANY_ROWS = 8


class BlockDecoder:
    """A block's function for few tokens, in evaluation mode, with the weights that the block has now.

    Args:
        block: The block.
        dtype: Precision of the residual stream; weights in another are copied.
        rows: B·T of a usual step, by which the weights' order in memory is chosen.
        attend: What to do with queries, keys and values, each (B, H, T, K).
        attend_memory: What to do with the queries of a block with cross-attention; T is then 1.
    """

    def __init__(
        self,
        block: Block,
        dtype: torch.dtype,
        rows: int,
        attend: Attend,
        attend_memory: AttendMemory | None = None,
    ) -> None:
        attention, feed_forward = block.attention, block.feed_forward
        self.attend, self.num_heads, self.head_size = attend, attention.num_heads, attention.head_size
        self.norm_first, self.attend_memory = block.norm_first, attend_memory
        self.activation, self.qk_norm = feed_forward.activation, attention.qk_norm
        self.attention_norm, self.feed_forward_norm = plain(block.attention_norm), plain(block.feed_forward_norm)
        linears = (attention.qkv, attention.out, feed_forward.up, feed_forward.down)
        self.qkv, self.out, self.up, self.down = (product(linear, dtype, rows) for linear in linears)
        if block.cross is not None and block.cross_norm is not None:
            self.cross_norm = plain(block.cross_norm)
            self.cross_q, self.cross_out = (product(one, dtype, rows) for one in (block.cross.q, block.cross.out))
        gate, mix = (block.value_gate, block.mix) if isinstance(block, MixedBlock) else (None, None)
        self.gate, self.mix = None if gate is None else gate[0], None if mix is None else mix.unbind()

    def __call__(self, x: Tensor, x0: Tensor, rotary: Tensor | None, values: Tensor | None, steps: int = 1) -> Tensor:
        """(B·T, D) to (B·T, D).

        Args:
            x: The residual stream.
            x0: The first block's input.
            rotary: Tables for the tokens' positions, (2, T, K), or (2, B, 1, 1, T, K) where they differ between rows.
            values: Value embeddings, (B, H, T, K).
            steps: T.
        """
        if self.mix is not None:
            x = self.mix[0] * x + self.mix[1] * x0
        qkv = self.qkv(self.attention_norm(x) if self.norm_first else x)
        # (B·T, 3·D) -> (B, T, 3, H, K) -> (B, 3, H, T, K)
        qkv = qkv.view(-1, steps, 3, self.num_heads, self.head_size).permute(0, 2, 3, 1, 4)
        q, k, v = qkv.unbind(1)
        if self.qk_norm or rotary is not None:
            qk = qkv[:, :2]
            if self.qk_norm:
                qk = torch.rms_norm(qk, (self.head_size,), eps=EPS)
            if rotary is not None:
                qk = rotate(qk, rotary)
            q, k = qk.unbind(1)
        if self.gate is not None:
            assert values is not None
            v = v + self.gate * values
        y = self.attend(q, k, v)  # (B, H, T, K)
        y = (y.transpose(1, 2) if steps > 1 else y).reshape(x.shape)  # (B, T, H, K) -> (B·T, D)
        x = self.after(x + self.out(y), self.attention_norm)
        if self.attend_memory is not None:
            q = self.cross_q(self.cross_norm(x) if self.norm_first else x).view(-1, self.num_heads, 1, self.head_size)
            x = self.after(x + self.cross_out(self.attend_memory(q).reshape(x.shape)), self.cross_norm)
        h = activate(self.up(self.feed_forward_norm(x) if self.norm_first else x), self.activation)
        return self.after(x + self.down(h), self.feed_forward_norm)

    def after(self, x: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
        """The stream after a branch is added."""
        return x if self.norm_first else norm(x)


class DecodeState:
    """The state of generation: the KV cache, and the blocks prepared for few tokens at a time.

    Args:
        blocks: The net's blocks.
        cache: A cache that is filled with the prompts.

    Attributes:
        cache: The cache.
    """

    def __init__(self, blocks: nn.ModuleList, cache: KVCache) -> None:
        self.cache, self._blocks, self._layers, self._order = cache, blocks, list[BlockDecoder](), -1

    def layers(self, rows: int) -> list[BlockDecoder]:
        """The blocks for a step with B·T rows; they are prepared anew where another order of the weights is quicker."""
        order = (rows > 1) + (rows >= MANY_ROWS)
        if order > self._order:  # never back, for a copy of the weights takes as long as several steps
            assert self.cache.keys is not None
            dtype, attend = self.cache.keys.dtype, self.cache.attend_appended
            self._order, self._layers = order, []
            for layer, block in enumerate(self._blocks):
                assert isinstance(block, Block)
                self._layers.append(BlockDecoder(block, dtype, rows, partial(attend, layer)))
        return self._layers


def product(linear: nn.Linear, dtype: torch.dtype, rows: int) -> Callable[[Tensor], Tensor]:
    """A linear layer without its module, (rows, inputs) to (rows, outputs).

    One row reads the weights as they are. For several rows in float32 they are packed as oneDNN, the CPU's library,
    wants them: the products of a net of 10.7 M parameters then took 3.5 ms for 5 rows in place of 6.9, as long as for
    one, and 9 ms for 32 in place of 12 (one thread of a busy AMD EPYC, CPU time).
    """
    weight, bias = linear.weight.detach().to(dtype), None if linear.bias is None else linear.bias.detach().to(dtype)
    on_cpu = weight.device.type == "cpu"
    if rows > 1 and on_cpu and dtype == torch.float32 and torch.backends.mkldnn.is_available():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    weight = weight.t()  # (inputs, outputs)
    if rows >= MANY_ROWS and on_cpu and (dtype != torch.bfloat16 or multiplies_bf16("cpu")):
        weight = weight.contiguous()
    return partial(torch.matmul, other=weight) if bias is None else lambda x: torch.addmm(bias, x, weight)


def plain(norm: nn.Module) -> Callable[[Tensor], Tensor]:
    """A norm without its module."""
    if isinstance(norm, nn.LayerNorm):
        shape, eps = norm.normalized_shape, norm.eps
        return partial(torch.layer_norm, normalized_shape=shape, weight=norm.weight, bias=norm.bias, eps=eps)
    return norm.forward
