"""A multi-layer perceptron as a list of layers."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from seq_modules.nets.mlp.mlp_config import Activation

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}


def sequential_mlp(sizes: Sequence[int], activation: Activation) -> nn.Sequential:
    """Linear layers with the activation between them.

    Args:
        sizes: Widths of the input, of the hidden layers and of the output.
        activation: Nonlinearity after each layer but the last.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(sizes):
        layers += [nn.Linear(width_in, width_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])  # the last layer gives logits
