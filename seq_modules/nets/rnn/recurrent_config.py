"""The shape of a recurrent net."""

from dataclasses import dataclass
from typing import Literal

from seq_modules.nets.rnn import cells
from seq_modules.nets.rnn.cells import Nonlinearity
from seq_modules.nets.rnn.linear.config import LINEAR_CELLS, LinearCell, LinearConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Cell = Literal[cells.Cell, LinearCell]
Backend = Literal["auto", "loop", "bptt", "fused", "numpy", "scan"]
RecurrentInit = Literal["uniform", "orthogonal", "identity"]


@dataclass(frozen=True)
class RecurrentConfig:
    """Shape, start and engine of a recurrent net.

    Attributes:
        cell: "rnn" (Elman 1990), "lstm" (Hochreiter & Schmidhuber 1997; Gers et al. 2000) or "gru" (Cho et al. 2014).
            Or a cell whose state enters linearly (nets/rnn/linear/cells.py): "mingru", "minlstm" (Feng et al. 2024),
            "diagonal" (a state-space cell after Gu & Dao 2023) or "deltanet" (Yang et al. 2024). These start as
            torch.nn.Linear does and take no nonlinearity, layer_norm, recurrent_init and forget_bias.
        hidden_size: Width of the hidden state, H.
        num_layers: Layers on top of each other, L.
        nonlinearity: Of the rnn; the gated cells have their own, and take "tanh" alone.
        dropout: Fraction of the outputs dropped between layers while training, in [0, 1).
        bidirectional: Read each layer from both ends and join the outputs.
        layer_norm: Normalise the cell's sums (Ba, Kiros & Hinton 2016); backend "loop" alone.
        recurrent_init: Start of each H × H block of the recurrent weights: "uniform" U(-1/√H, 1/√H), with which every
            other parameter starts too; "orthogonal" (Saxe et al. 2014); "identity", then all biases start at zero
            (Le, Jaitly & Hinton 2015).
        forget_bias: Where the LSTM's forget gate starts, both biases together (Jozefowicz et al. 2015); None leaves
            them as drawn.
        backend: "loop", the cells written out in torch, a step at a time (nets/rnn/cells.py); "bptt", the same with
            hand-written gradients, quicker (nets/rnn/bptt.py); "fused", torch's own kernels; "numpy", NumPy with
            hand-written gradients (reference/numpy_rnn.py). The linear cells have "loop" and "scan", all steps in
            parallel (nets/rnn/linear/). "auto" is "fused", and for linear cells "scan". All compute the same, and a
            checkpoint of one loads in another. Gradients of "bptt" and "numpy" cannot be differentiated again.
        linear: Options of the linear cells.

    Raises:
        UserError: A value is out of its range, or one does not go with another.
    """

    cell: Cell = "lstm"
    hidden_size: int = 128
    num_layers: int = 1
    nonlinearity: Nonlinearity = "tanh"
    dropout: float = 0.0
    bidirectional: bool = False
    layer_norm: bool = False
    recurrent_init: RecurrentInit = "uniform"
    forget_bias: float | None = None
    backend: Backend = "auto"
    linear: LinearConfig = LinearConfig()

    def __post_init__(self) -> None:
        check_range("RecurrentConfig.hidden_size", self.hidden_size, least=1)
        check_range("RecurrentConfig.num_layers", self.num_layers, least=1)
        check_range("RecurrentConfig.dropout", self.dropout, least=0, below=1)
        check_choice("RecurrentConfig.cell", self.cell, Cell)
        check_choice("RecurrentConfig.nonlinearity", self.nonlinearity, Nonlinearity)
        check_choice("RecurrentConfig.recurrent_init", self.recurrent_init, RecurrentInit)
        check_choice("RecurrentConfig.backend", self.backend, Backend)
        if self.cell in LINEAR_CELLS:
            self._check_linear()
            return
        if self.backend == "scan":
            raise UserError(f"RecurrentConfig.backend scan is for {', '.join(LINEAR_CELLS)}, not for {self.cell}")
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise UserError(
                f"RecurrentConfig.nonlinearity {self.nonlinearity} is for cell rnn alone; {self.cell} takes tanh"
            )
        if self.forget_bias is not None and self.cell != "lstm":
            raise UserError(
                f"RecurrentConfig.forget_bias {self.forget_bias} is for cell lstm alone; {self.cell} has no forget gate"
            )
        if self.layer_norm and self.backend != "loop":
            raise UserError(f"RecurrentConfig.layer_norm is not in backend {self.backend}: choose backend loop")
        if self.nonlinearity == "sigmoid" and self.backend in ("auto", "fused"):
            raise UserError("RecurrentConfig.nonlinearity sigmoid is not in backend fused: choose loop, bptt or numpy")

    def _check_linear(self) -> None:
        if self.backend not in ("auto", "loop", "scan"):
            raise UserError(f"RecurrentConfig.backend {self.backend} has no {self.cell}: choose scan or loop")
        plain = {"nonlinearity": "tanh", "layer_norm": False, "recurrent_init": "uniform", "forget_bias": None}
        for name, value in plain.items():
            if getattr(self, name) != value:
                raise UserError(f"RecurrentConfig.{name} is not for cell {self.cell}: leave it at {value}")
        heads = self.linear.num_heads
        if self.cell == "deltanet" and self.hidden_size % heads:
            raise UserError(f"LinearConfig.num_heads {heads} must divide hidden_size {self.hidden_size}")
        if self.linear.residual and self.bidirectional:
            raise UserError("LinearConfig.residual goes with one direction: set bidirectional to false")
