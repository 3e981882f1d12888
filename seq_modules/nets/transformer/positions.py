"""Positions for attention: sinusoids that are added to the input, and rotations of queries and keys.

T time, D width of the residual stream, K head size.
"""

import torch
from torch import Tensor

from seqlight.core.errors import UserError


def sinusoidal_table(length: int, width: int) -> Tensor:
    """Sines and cosines of every position, (T, D), to be added to the token embeddings (Vaswani et al. 2017, 3.5).

    Column 2i holds sin(t / 10000^(2i/D)), column 2i + 1 the cosine of the same angle.
    """
    angles = _angles(length, width)  # (T, D/2), rounded up for an odd D
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (T, D/2, 2) -> (T, D)
    return table[:, :width].to(torch.get_default_dtype())


def rotary_tables(length: int, head_size: int) -> Tensor:
    """The factors of :func:`rotate` at every position, (2, T, K): cosines, then sines with the rotation's sign.

    Raises:
        UserError: The head size is odd.
    """
    if head_size % 2:
        raise UserError(f"positions 'rotary' needs an even head size (d_model / num_heads), not {head_size}")
    angles = _angles(length, head_size)  # (T, K/2)
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


def _angles(length: int, width: int) -> Tensor:
    """t / 10000^(2i/width), (T, width/2); in float64, since bf16 has no exact 257."""
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    return torch.outer(torch.arange(length, dtype=torch.float64), 10000.0**-exponents)
