"""A Transformer's block and what it is made of: norms, feed-forward net, dropout.

B batch, T time, D width, F width inside the feed-forward net, H heads, K head size.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import EPS, Attend, Attention, AttentionKind
from seq_modules.nets.transformer.cross_attention import CrossAttention

Norm = Literal["layer", "rms"]
Activation = Literal["gelu", "gelu_tanh", "swiglu", "relu", "relu2"]


class RMSNorm(nn.Module):
    """Division by the root of the mean square (Zhang & Sennrich 2019), without a gain: linear layers follow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shape = (width,)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return F.rms_norm(x, self.shape, eps=EPS)


def make_norm(norm: Norm, width: int, bias: bool) -> nn.Module:
    """The chosen norm; ``bias`` is for layer norms alone."""
    return nn.LayerNorm(width, bias=bias) if norm == "layer" else RMSNorm(width)


class FeedForward(nn.Module):
    """Two linear layers with an activation between, position by position.

    "relu" max(0, x) (Vaswani et al. 2017), "relu2" its square (So et al. 2021), "gelu" (Hendrycks & Gimpel 2016),
    "gelu_tanh" (its approximation in GPT-2), "swiglu" silu(g)·u with two projections g and u of the input (Shazeer
    2020): half as many parameters again as the others at the same F.

    Args:
        d_model: Width D.
        d_ff: Inner width F.
        activation: Which of the five.
        bias: Whether the linear layers have a bias.
    """

    def __init__(self, d_model: int, d_ff: int, *, activation: Activation, bias: bool) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(d_model, 2 * d_ff if activation == "swiglu" else d_ff, bias=bias)
        self.down = nn.Linear(d_ff, d_model, bias=bias)
        self.stacked = {"up.weight": 2} if activation == "swiglu" else {}  # as in Attention

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        return self.down(activate(self.up(x), self.activation))


def activate(h: Tensor, activation: Activation) -> Tensor:
    """(..., F) to (..., F); of (..., 2·F), the gates first, for "swiglu"."""
    if activation == "swiglu":
        gate, h = h.chunk(2, dim=-1)
        return F.silu(gate) * h
    if activation == "relu":
        return F.relu(h)
    if activation == "relu2":
        return F.relu(h).square()
    if activation == "gelu_tanh" and torch.compiler.is_compiling():
        # (1 + tanh u) / 2 = sigmoid(2u): compiled for CPUs, tanh takes two to three times as long as an exponential
        return h * torch.sigmoid(2 * math.sqrt(2 / math.pi) * h * (1 + 0.044715 * h * h))
    return F.gelu(h, approximate="tanh" if activation == "gelu_tanh" else "none")


class Block(nn.Module):
    """Transformer block: x + attention(norm(x)), then x + feed_forward(norm(x)).

    With ``cross_attention``, x + cross(norm(x), memory) stands between the two: the block of an encoder-decoder. With
    ``norm_first`` false a branch is norm(x + attention(x)), as in Vaswani et al. (2017). The block works with a KV
    cache by way of ``attend``. ``block.compile(dynamic=False)`` works in place: nothing in it depends on the data.

    Args:
        d_model: Width D.
        num_heads: Heads H.
        d_ff: Inner width F of the feed-forward net.
        norm: Norm of each branch.
        activation: Of the feed-forward net.
        bias: Whether linear layers and layer norms have a bias.
        dropout: Fraction of each branch's output dropped, in [0, 1), in steps of 1/256.
        qk_norm: See Attention.
        attention: Engine of the self-attention.
        cross_attention: Whether the block attends to a memory.
        norm_first: Norm before each branch (pre-norm, Xiong et al. 2020), or after its sum with the stream (post-norm).
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        *,
        norm: Norm = "layer",
        activation: Activation = "gelu_tanh",
        bias: bool = True,
        dropout: float = 0.0,
        qk_norm: bool = False,
        attention: AttentionKind = "auto",
        cross_attention: bool = False,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.dropout, self.norm_first = dropout, norm_first
        self.attention_norm = make_norm(norm, d_model, bias)
        self.attention = Attention(d_model, num_heads, bias=bias, qk_norm=qk_norm, kind=attention)
        self.cross_norm = make_norm(norm, d_model, bias) if cross_attention else None
        self.cross = CrossAttention(d_model, num_heads, bias=bias, kind=attention) if cross_attention else None
        self.feed_forward_norm = make_norm(norm, d_model, bias)
        self.feed_forward = FeedForward(d_model, d_ff, activation=activation, bias=bias)

    def forward(
        self,
        x: Tensor,
        *,
        rotary: Tensor | None = None,
        mask: Tensor | None = None,
        attend: Attend | None = None,
        memory: Tensor | tuple[Tensor, Tensor] | None = None,
        memory_mask: Tensor | None = None,
        attend_memory: Attend | None = None,
        dropout_bytes: Tensor | None = None,
    ) -> Tensor:
        """(B, T, D) to (B, T, D).

        Args:
            x: The residual stream.
            rotary: See Attention, as ``mask`` (by default causal) and ``attend``.
            mask: See Attention.
            attend: See Attention.
            memory: See CrossAttention; needed with cross_attention.
            memory_mask: See CrossAttention.
            attend_memory: See CrossAttention.
            dropout_bytes: Random bytes for :func:`drop`, (branches, B, T, D), one of the two or three parts for each
                branch; None drops nothing.
        """
        y = self.attention(self.before(x, self.attention_norm), rotary, mask, attend)
        x = self.after(x, y, self.attention_norm, None if dropout_bytes is None else dropout_bytes[0])
        if self.cross is not None and self.cross_norm is not None:
            assert memory is not None
            y = self.cross(self.before(x, self.cross_norm), memory, memory_mask, attend_memory)
            x = self.after(x, y, self.cross_norm, None if dropout_bytes is None else dropout_bytes[1])
        y = self.feed_forward(self.before(x, self.feed_forward_norm))
        return self.after(x, y, self.feed_forward_norm, None if dropout_bytes is None else dropout_bytes[-1])

    def before(self, x: Tensor, norm: nn.Module) -> Tensor:
        """What a branch reads of the stream."""
        return norm(x) if self.norm_first else x

    def after(self, x: Tensor, y: Tensor, norm: nn.Module, dropout_bytes: Tensor | None) -> Tensor:
        """The stream with a branch's output y."""
        x = x + (y if dropout_bytes is None else drop(y, dropout_bytes, self.dropout))
        return x if self.norm_first else norm(x)


def random_bytes(*shape: int, device: torch.device) -> Tensor:
    """Uniform bytes for :func:`drop`, from torch's generator of the device.

    Eight bytes come from each number drawn: on a CPU, drawing is a large part of dropout's cost.
    """
    size = math.prod(shape)
    words = torch.empty((size + 7) // 8, dtype=torch.int64, device=device).random_(-(2**63), None)
    return words.view(torch.uint8)[:size].view(shape)


def drop_embedding(x: Tensor, fraction: float, layers: int, branches: int = 2) -> tuple[Tensor, list[Tensor]]:
    """Dropout before the first block, and random bytes for that of all blocks, which are drawn together.

    Args:
        x: Embeddings (B, T, D).
        fraction: See :func:`drop`.
        layers: Number of blocks.
        branches: Branches of a block.

    Returns:
        The embeddings, and each block's random bytes (branches, B, T, D).
    """
    dropout_bytes = random_bytes(layers * branches + 1, *x.shape, device=x.device)
    return drop(x, dropout_bytes[-1], fraction), list(dropout_bytes[:-1].split(branches))


def drop(x: Tensor, dropout_bytes: Tensor, fraction: float) -> Tensor:
    """Dropout (Srivastava et al. 2014) by random bytes: zeros where the byte is small, the rest scaled up to the mean.

    Args:
        x: Any tensor.
        dropout_bytes: A byte for each number of x.
        fraction: How many to drop, in [0, 1); rounded to 1/256, and the scale follows the rounded number.
    """
    threshold = min(round(256 * fraction), 255)
    return torch.where(dropout_bytes >= threshold, x * (256 / (256 - threshold)), 0)
