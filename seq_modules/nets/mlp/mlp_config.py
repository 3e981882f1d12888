"""The shape of a multi-layer perceptron, and the four styles in which it is written."""

from dataclasses import dataclass, field
from typing import Literal

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice

Activation = Literal["tanh", "relu", "sigmoid"]
Style = Literal["numpy", "parameters", "sequential", "module"]


@dataclass(frozen=True)
class MLPConfig:
    """Shape of a multi-layer perceptron.

    Attributes:
        hidden_sizes: Widths of the hidden layers from the first to the last. An empty list makes logistic regression.
        activation: Nonlinearity after each hidden layer.

    Raises:
        UserError: A value is out of its range.
    """

    hidden_sizes: list[int] = field(default_factory=lambda: [16, 16])
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        if min(self.hidden_sizes, default=1) < 1:
            raise UserError(f"MLPConfig.hidden_sizes must be widths of at least 1, not {self.hidden_sizes}")
        check_choice("MLPConfig.activation", self.activation, Activation)
