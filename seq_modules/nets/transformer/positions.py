"""Positions that are added to the input; rotary ones are in attention.py.

T time, D width of the residual stream.
"""

from typing import Literal

import torch
from torch import Tensor

from seq_modules.nets.transformer.attention import position_angles

Positions = Literal["learned", "sinusoidal", "rotary", "none"]


def sinusoidal_table(length: int, width: int) -> Tensor:
    """Sines and cosines of every position, (T, D), to be added to the token embeddings (Vaswani et al. 2017, 3.5).

    Column 2i holds sin(t / 10000^(2i/D)), column 2i + 1 the cosine of the same angle.
    """
    angles = position_angles(length, width)  # (T, D/2), rounded up for an odd D
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (T, D/2, 2) -> (T, D)
    return table[:, :width].to(torch.get_default_dtype())
