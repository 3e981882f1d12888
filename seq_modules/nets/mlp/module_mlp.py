"""A multi-layer perceptron as a module with a forward method of its own."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from seq_modules.nets.mlp.mlp_config import Activation

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


class ModuleMLP(nn.Module):
    """Linear layers with the activation between them.

    Args:
        sizes: Widths of the input, of the hidden layers and of the output.
        activation: Nonlinearity after each layer but the last.
    """

    def __init__(self, sizes: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.layers = nn.ModuleList(nn.Linear(width_in, width_out) for width_in, width_out in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)
