"""Multi-head attention from a sequence to a memory.

B batch, T time of the sequence, S time of the memory, D width, H heads, K head size.
"""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import Attend, AttentionKind, eager, resolve_kind


class CrossAttention(nn.Module):
    """Attention from a sequence to a memory, such as an encoder's output (Vaswani et al. 2017, 3.2.3).

    Args:
        d_model: Width D of both.
        num_heads: Heads H; divides D.
        bias: Whether the projections have a bias.
        kind: Engine; see :func:`~seq_modules.nets.transformer.attention.resolve_kind`.
    """

    stacked: ClassVar[dict[str, int]] = {"kv.weight": 2}  # matrices in one weight, which Muon orthogonalises apart

    def __init__(self, d_model: int, num_heads: int, *, bias: bool, kind: AttentionKind = "auto") -> None:
        super().__init__()
        self.num_heads, self.kind = num_heads, kind
        self.q = nn.Linear(d_model, d_model, bias=bias)
        self.kv = nn.Linear(d_model, 2 * d_model, bias=bias)
        self.out = nn.Linear(d_model, d_model, bias=bias)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, K) of a memory (B, S, D): once for a whole generated sequence."""
        # (B, S, 2·D) -> (B, S, 2, H, K) -> (2, B, H, S, K)
        k, v = self.kv(memory).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return k, v

    def forward(
        self,
        x: Tensor,
        memory: Tensor | tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        attend: Attend | None = None,
    ) -> Tensor:
        """(B, T, D) to (B, T, D).

        Args:
            x: What the queries are made of.
            memory: (B, S, D), or its :meth:`keys_values`.
            mask: True where a query may attend, broadcast to (B, H, T, S): for a padded memory (B, 1, 1, S). None: all.
            attend: What to do with queries, keys and values instead, such as to show the weights.
        """
        k, v = self.keys_values(memory) if isinstance(memory, Tensor) else memory
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, T, D) -> (B, T, H, K) -> (B, H, T, K)
        if attend is not None:
            y = attend(q, k, v)
        elif resolve_kind(self.kind, q.device.type, q.dtype, max(q.shape[2], k.shape[2])) == "eager":
            y = eager(q, k, v, q.new_zeros(q.shape[2], k.shape[2]) if mask is None else mask)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))  # (B, H, T, K) -> (B, T, H, K) -> (B, T, D)
