"""Positions that are added to the input or to the attention's scores; rotary ones are in attention.py.

T time, S time of the keys, D width of the residual stream, H heads.
"""

from typing import Literal

import torch
from torch import Tensor

from seq_modules.nets.transformer.attention import causal_mask, position_angles

Positions = Literal["learned", "sinusoidal", "rotary", "alibi", "none"]


def sinusoidal_table(length: int, width: int) -> Tensor:
    """Sines and cosines of every position, (T, D), to be added to the token embeddings (Vaswani et al. 2017, 3.5).

    Column 2i holds sin(t / 10000^(2i/D)), column 2i + 1 the cosine of the same angle.
    """
    angles = position_angles(length, width)  # (T, D/2), rounded up for an odd D
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (T, D/2, 2) -> (T, D)
    return table[:, :width].to(torch.get_default_dtype())


def alibi_slopes(num_heads: int) -> Tensor:
    """ALiBi's slope of each head, (H,): 2^(-8/H), 2^(-16/H), ..., 2^-8 (Press, Smith & Lewis 2022).

    For a number of heads that is no power of two, as in the authors' code: the slopes of the next smaller power, then
    every second one of the next larger.
    """
    power = 2 ** (num_heads.bit_length() - 1)
    exponents = [8 * (head + 1) / power for head in range(power)]
    exponents += [4 * (head + 1) / power for head in range(0, 2 * (num_heads - power), 2)]
    return (2.0 ** -torch.tensor(exponents, dtype=torch.float64)).to(torch.get_default_dtype())


def alibi_bias(slopes: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """What ALiBi adds to the scores, -slope·|i - j| for a query at i and a key at j: (..., H, T, S).

    With a causal mask this is the paper's; without one it is the symmetric form, which knows no direction.

    Args:
        slopes: Those of the heads, (H,).
        queries: Positions i, integers, (..., T).
        keys: Positions j, (S,).
    """
    distance = (queries[..., None] - keys).abs().unsqueeze(-3)  # (..., 1, T, S)
    return slopes[:, None, None] * -distance


def causal_alibi(slopes: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """ALiBi's bias where a step (row) may attend, and minus infinity at the steps after it, (1, H, T, T)."""
    positions = torch.arange(steps, device=slopes.device)
    return alibi_bias(slopes, positions[None], positions).to(dtype) + causal_mask(steps, slopes.device, dtype)
