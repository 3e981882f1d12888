"""A multi-layer perceptron as bare tensors: what nn.Linear holds and does, written out."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from seq_modules.nets.mlp.mlp_config import Activation
from seq_modules.nets.mlp.module_mlp import ACTIVATIONS


def initial_weights(sizes: Sequence[int]) -> nn.ParameterList:
    """Weights W (out, in) and bias b (out,) of each layer in turn: W1, b1, W2, b2, ...

    All are uniform between -1/√in and 1/√in, and drawn in nn.Linear's order, so that one seed gives all four styles the
    same weights.

    Args:
        sizes: Widths of the input, of the hidden layers and of the output.
    """
    weights = []
    for width_in, width_out in pairwise(sizes):
        bound = 1 / math.sqrt(width_in)
        weights += [torch.empty(width_out, width_in).uniform_(-bound, bound)]
        weights += [torch.empty(width_out).uniform_(-bound, bound)]
    return nn.ParameterList(weights)


class ParameterMLP(nn.Module):
    """Matrix products, biases and activations; autograd gives the gradients.

    Args:
        sizes: Widths of the input, of the hidden layers and of the output.
        activation: Nonlinearity after each layer but the last.
    """

    def __init__(self, sizes: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.weights = initial_weights(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D)."""
        *hidden, (w_out, b_out) = zip(self.weights[::2], self.weights[1::2], strict=True)
        for w, b in hidden:
            x = self.activation(x @ w.T + b)  # (B, in) -> (B, out)
        return x @ w_out.T + b_out
