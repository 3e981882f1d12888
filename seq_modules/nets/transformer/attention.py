"""Multi-head self-attention, causal or with a mask of one's own.

B batch, T time, S time of other keys, D width, H heads, K head size.
"""

import math
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlight.core.errors import UserError
from seqlight.core.hardware import multiplies_bf16

AttentionKind = Literal["auto", "sdpa", "eager"]
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values, each (B, H, ·, K), to (B, H, T, K)
LayerAttend = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # the same with the layer's number before
MAX_EAGER_STEPS = 256  # longest sequence for which "auto" is eager
EPS = 1e-6  # of root-mean-square norms; torch's default depends on the precision, and is 0.008 in bf16


class Attention(nn.Module):
    """Self-attention (Vaswani et al. 2017) with one projection to queries, keys and values.

    Args:
        d_model: Width D.
        num_heads: Heads H; divides D.
        bias: Whether the two projections have a bias.
        qk_norm: Give queries and keys unit mean square before the product (Henry et al. 2020), without a gain.
        kind: Engine; see :func:`resolve_kind`.
    """

    stacked: ClassVar[dict[str, int]] = {"qkv.weight": 3}  # matrices in one weight, which Muon orthogonalises apart

    def __init__(self, d_model: int, num_heads: int, *, bias: bool, qk_norm: bool, kind: AttentionKind) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, d_model // num_heads
        self.qk_norm, self.kind = qk_norm, kind
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.out = nn.Linear(d_model, d_model, bias=bias)

    def project(self, x: Tensor, rotary: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, H, T, K), of inputs (B, T, D); arguments as for :meth:`forward`."""
        batch, steps, _ = x.shape
        # (B, T, 3·D) -> (B, T, 3, H, K) -> (3, B, H, T, K)
        qkv = self.qkv(x).view(batch, steps, 3, self.num_heads, self.head_size).permute(2, 0, 3, 1, 4)
        qk, v = qkv[:2], qkv[2]
        if self.qk_norm:
            qk = F.rms_norm(qk, (self.head_size,), eps=EPS)
        if rotary is not None:
            qk = rotate(qk, rotary)
        q, k = qk.unbind()
        return q, k, v

    def forward(
        self, x: Tensor, rotary: Tensor | None = None, mask: Tensor | None = None, attend: Attend | None = None
    ) -> Tensor:
        """(B, T, D) to (B, T, D).

        Args:
            x: Inputs.
            rotary: Tables of :func:`rotate` for these steps; None rotates nothing.
            mask: True where a query (row) may attend to a key (column), or numbers that are added to the scores; of a
                shape that broadcasts to (B, H, T, T). None is the causal mask. Each query needs a key.
            attend: What to do with queries, keys and values instead, such as attending to those of a KV cache.
        """
        q, k, v = self.project(x, rotary)
        y = self.attend(q, k, v, mask) if attend is None else attend(q, k, v)
        return self.out(y.transpose(1, 2).reshape(x.shape))  # (B, H, T, K) -> (B, T, H, K) -> (B, T, D)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries, keys and values, each (B, H, T, K), to (B, H, T, K); the mask as for :meth:`forward`."""
        steps = q.shape[2]
        if resolve_kind(self.kind, q.device.type, q.dtype, steps) == "eager":
            return eager(q, k, v, causal_mask(steps, q.device, q.dtype) if mask is None else mask)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)


def rotary_tables(length: int, head_size: int) -> Tensor:
    """The factors of :func:`rotate` at every position, (2, T, K): cosines, then sines with the rotation's sign.

    Raises:
        UserError: The head size is odd.
    """
    if head_size % 2:
        raise UserError(f"positions 'rotary' needs an even head size (d_model / num_heads), not {head_size}")
    angles = position_angles(length, head_size)  # (T, K/2)
    cosines = torch.cat((angles.cos(), angles.cos()), dim=-1)  # 2 × (T, K/2) -> (T, K)
    sines = torch.cat((-angles.sin(), angles.sin()), dim=-1)
    return torch.stack((cosines, sines)).to(torch.get_default_dtype())


def rotate(x: Tensor, tables: Tensor) -> Tensor:
    """Rotates each pair (x_i, x_(i + K/2)) by its position's angle t / 10000^(2i/K) (Su et al. 2021).

    The product of two rotated vectors depends on the distance of their positions alone.

    Args:
        x: Queries or keys, (..., T, K).
        tables: Rows of :func:`rotary_tables`, (2, T, K), or with dimensions between 2 and T that broadcast with x.
    """
    # Swapped halves and signed sines make three operations, which matters when one token is generated at a time.
    swapped = x.unflatten(-1, (2, -1)).flip(-2).flatten(-2)  # (..., K) -> (..., 2, K/2) -> (..., K)
    return torch.addcmul(x * tables[0], swapped, tables[1])


def position_angles(length: int, width: int) -> Tensor:
    """t / 10000^(2i/width), (T, width/2); in float64, since bf16 has no exact 257."""
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    return torch.outer(torch.arange(length, dtype=torch.float64), 10000.0**-exponents)


def resolve_kind(kind: AttentionKind, device: str, dtype: torch.dtype, steps: int) -> Literal["sdpa", "eager"]:
    """The engine that "auto" stands for, by capability, so that a resumed run has the same.

    On CPUs it rests on measurements (benchmarks/speed/attention.py). With instructions for bf16, "eager" took a seventh
    to a half of the kernel's time, forward and backward, for 64 to 256 steps; for 512 one machine found it quicker and
    another slower. Where bf16 is emulated the kernel is twice as quick; in fp32 it is the quicker or needs as long,
    and no T × T memory. GPUs were not measured: they get the kernel.
    """
    if kind != "auto":
        return kind
    quick = device == "cpu" and dtype == torch.bfloat16 and multiplies_bf16(device)
    return "eager" if quick and steps <= MAX_EAGER_STEPS else "sdpa"


def causal_mask(steps: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(T, T): 0 where a step (row) may attend, minus infinity at the steps after it."""
    return torch.full((steps, steps), -math.inf, device=device, dtype=dtype).triu(1)


def attention_weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """(B, H, T, S) for T queries and S keys, rows summing to 1: softmax(q·kᵀ/√K + mask), mask as for Attention."""
    batch, heads, steps, size = q.shape
    keys = k.shape[2]
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -math.inf)
    if mask.dim() > 2:
        mask = mask.expand(batch, heads, steps, keys).flatten(0, 1)  # (B·H, T, S)
    q, k = q.reshape(-1, steps, size), k.reshape(-1, keys, size)  # (B, H, T, K) -> (B·H, T, K)
    scores = torch.baddbmm(mask, q, k.mT, alpha=1 / math.sqrt(size))  # the mask is added in the same pass
    return scores.softmax(-1).view(batch, heads, steps, keys)


def eager(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention as two batched products: queries (B, H, T, K), keys and values (B, H, S, K) to (B, H, T, K)."""
    weights = attention_weights(q, k, mask).flatten(0, 1)  # (B, H, T, S) -> (B·H, T, S)
    return torch.bmm(weights, v.flatten(0, 1)).view(q.shape)
