"""A multi-layer perceptron in the style that is chosen."""

from collections.abc import Callable, Sequence

from torch import nn

from seq_modules.nets.mlp.mlp_config import Activation, Style
from seq_modules.nets.mlp.module_mlp import ModuleMLP
from seq_modules.nets.mlp.numpy_bridge import NumpyMLP
from seq_modules.nets.mlp.parameter_mlp import ParameterMLP
from seq_modules.nets.mlp.sequential_mlp import sequential_mlp

# All have their weights in the order W1, b1, W2, b2, ..., and draw the same ones from the same seed.
STYLES: dict[Style, Callable[[Sequence[int], Activation], nn.Module]] = {
    "numpy": NumpyMLP,
    "parameters": ParameterMLP,
    "sequential": sequential_mlp,
    "module": ModuleMLP,
}
