"""Recurrent networks in layers and directions, over sequences of unequal lengths, with four interchangeable engines.

Letters: B rows of the batch, T time steps, D inputs, H hidden width, L layers, S directions (1 or 2), G blocks in a
cell's weights (rnn 1, lstm 4, gru 3), N rows of all steps without padding. The cells' equations are in cells.py, their
fast form in bptt.py, the NumPy form in reference/numpy_rnn.py.
"""

import math
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seq_modules.nets.rnn.cells import BLOCKS, Cell, LayerNorms, State, States, Weights
from seq_modules.nets.rnn.inputs import check_inputs, check_lengths, state_parts
from seq_modules.nets.rnn.layers import run_layers
from seq_modules.nets.rnn.linear.config import LINEAR_CELLS
from seq_modules.nets.rnn.linear.linear_recurrent import LinearRecurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


class Recurrent(nn.Module):
    """RNN (Elman 1990), LSTM (Hochreiter & Schmidhuber 1997; Gers et al. 2000) or GRU (Cho et al. 2014).

    Parameters are named and ordered as in torch.nn.RNN, LSTM and GRU, whatever the backend: state dicts move freely
    between those and this class.

    Args:
        input_size: Width of the inputs, D, at least 1.
        config: Shape, start and engine; or its fields by name, as ``Recurrent(3, hidden_size=8, cell="gru")``.

    Attributes:
        output_size: Width of the outputs, S·H.

    Raises:
        UserError: An argument is out of its range, or the cell is one of LinearRecurrent.
    """

    def __init__(self, input_size: int, config: RecurrentConfig | None = None, **fields: Any) -> None:
        super().__init__()
        check_range("input_size", input_size, least=1)
        config = RecurrentConfig(**fields) if config is None else config
        if config.cell in LINEAR_CELLS:
            raise UserError(f"RecurrentConfig.cell {config.cell} is a linear recurrence: build_recurrent makes its net")
        self.input_size, self.hidden_size = input_size, config.hidden_size
        self.cell = cast(Cell, config.cell)
        self.num_layers, self.nonlinearity = config.num_layers, config.nonlinearity
        self.bidirectional, self.num_directions = config.bidirectional, 2 if config.bidirectional else 1
        self.output_size = config.hidden_size * self.num_directions
        self.dropout, self.layer_norm = config.dropout, config.layer_norm
        self.backend = "fused" if config.backend == "auto" else config.backend
        self.recurrent_init, self.forget_bias = config.recurrent_init, config.forget_bias

        self.names: list[list[str]] = []  # of the four parameters of each layer and direction, in torch's order
        blocks = BLOCKS[self.cell] * self.hidden_size
        for layer in range(self.num_layers):
            width = input_size if layer == 0 else self.output_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (blocks, width), "weight_hh": (blocks, self.hidden_size)}
            shapes |= {"bias_ih": (blocks,), "bias_hh": (blocks,)}
            for suffix in ("", "_reverse")[: self.num_directions]:
                self.names.append([f"{name}_l{layer}{suffix}" for name in shapes])
                for name, shape in zip(self.names[-1], shapes.values(), strict=True):
                    self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.norms = (
            nn.ModuleList(LayerNorms(self.cell, self.hidden_size) for _ in self.names) if self.layer_norm else None
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws the parameters anew, as ``recurrent_init`` and ``forget_bias`` say."""
        bound = 1 / math.sqrt(self.hidden_size)
        for index in range(len(self.names)):
            weights = self.weights(index)
            for parameter in weights:
                parameter.uniform_(-bound, bound)
            for block in weights.w_hh.split(self.hidden_size):
                if self.recurrent_init == "orthogonal":
                    nn.init.orthogonal_(block)
                elif self.recurrent_init == "identity":
                    nn.init.eye_(block)
            if self.recurrent_init == "identity":
                weights.b_ih.zero_()
                weights.b_hh.zero_()
            if self.forget_bias is not None:
                weights.b_ih.chunk(4)[1].fill_(self.forget_bias)
                weights.b_hh.chunk(4)[1].zero_()

    def weights(self, index: int) -> Weights:
        """The parameters of layer ``index // S`` in direction ``index % S``."""
        return Weights(*(getattr(self, name) for name in self.names[index]))

    @torch.compiler.disable  # it would unroll the kernels, and mistake the sizes of packed rows
    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Runs the net over a batch of sequences; torch.compile leaves it as it is.

        Args:
            x: Inputs, (B, T, D).
            lengths: True steps of each row, (B,) integers from 1 to T in any order; by default all T. What stands
                behind them has no influence. The backward direction starts at each row's last true step.
            state: State to go on from: h, or for the LSTM (h, c), each (L·S, B, H); by default zeros.

        Returns:
            The last layer's hidden states, (B, T, S·H), 0 at padding; and the state after each row's last true step,
            which can be passed in with the steps that follow. Under autocast the recurrence itself stays in the
            parameters' precision ("fused": as torch does).

        Raises:
            ValueError: If a shape, a length or the kind of state is wrong.
        """
        check_inputs(x, self.input_size)
        batch, steps = x.shape[:2]
        shape = (len(self.names), batch, self.hidden_size)
        states = self.initial_states(x) if state is None else state_parts(state, self.cell, shape)
        run = self.run_fused if self.backend == "fused" else partial(run_layers, self)
        packed = None if lengths is None else pack(x, lengths)
        if packed is None:
            rows, states = run(x.transpose(0, 1).reshape(steps * batch, -1), [batch] * steps, states)
            outputs = rows.view(steps, batch, -1).transpose(0, 1)  # (T·B, S·H) -> (B, T, S·H)
        else:
            order, restore = packed.sorted_indices, packed.unsorted_indices  # of the rows of the batch, by length
            assert order is not None
            assert restore is not None
            states = tuple(part.index_select(1, order) for part in states)
            rows, states = run(packed.data, packed.batch_sizes.tolist(), states)
            outputs = pad_packed_sequence(packed._replace(data=rows), batch_first=True, total_length=steps)[0]
            states = tuple(part.index_select(1, restore) for part in states)
        return outputs, (states[0], states[1]) if self.cell == "lstm" else states[0]

    def run_fused(self, rows: Tensor, sizes: list[int], states: States) -> tuple[Tensor, States]:
        """All layers by torch's kernel: rows (N, D) and states (L·S, B, H) to rows (N, S·H) and states.

        The kernel is dense where all rows of the batch are of one length, packed otherwise.
        """
        kernel = getattr(torch, f"rnn_{self.nonlinearity}" if self.cell == "rnn" else self.cell)  # as torch.lstm
        if rows.device.type == "cpu":
            # In the weights' precision, as the other engines; on a GPU the kernel takes what autocast says.
            rows = rows.to(self.weights(0).w_hh.dtype)
        states = tuple(part.to(rows.dtype) for part in states)
        hidden = list(states) if self.cell == "lstm" else states[0]
        parameters = [getattr(self, name) for names in self.names for name in names]
        options = (True, self.num_layers, self.dropout, self.training, self.bidirectional)
        with torch.autocast("cpu", enabled=False):
            if sizes[0] == sizes[-1]:
                dense = rows.view(len(sizes), sizes[0], -1)  # (T·B, D) -> (T, B, D)
                outputs, *after = kernel(dense, hidden, parameters, *options, False)
                outputs = outputs.flatten(0, 1)  # (T, B, S·H) -> (T·B, S·H)
            else:
                outputs, *after = kernel(rows, torch.tensor(sizes), hidden, parameters, *options)
        return outputs, tuple(after)

    def initial_states(self, x: Tensor) -> States:
        """Zeros for h, and for the LSTM c, each (L·S, B, H)."""
        zeros = x.new_zeros(len(self.names), len(x), self.hidden_size, dtype=self.weights(0).w_hh.dtype)
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def extra_repr(self) -> str:
        """The arguments, for print."""
        return (
            f"{self.input_size}, {self.hidden_size}, cell={self.cell!r}, num_layers={self.num_layers}, "
            f"bidirectional={self.bidirectional}, backend={self.backend!r}"
        )


RecurrentNet = Recurrent | LinearRecurrent


def build_recurrent(input_size: int, config: RecurrentConfig) -> RecurrentNet:
    """`Recurrent` for rnn, lstm and gru, `LinearRecurrent` for the cells whose state enters linearly.

    Args:
        input_size: Width of the inputs, at least 1.
        config: Shape and engine.

    Raises:
        UserError: input_size is below 1.
    """
    kind = LinearRecurrent if config.cell in LINEAR_CELLS else Recurrent
    return kind(input_size, config)


def pack(x: Tensor, lengths: Tensor) -> PackedSequence | None:
    """The true steps alone, (N, D), longest row first; None where nothing is padded.

    Raises:
        ValueError: If the lengths are not integers from 1 to T, one for each row.
    """
    lengths = check_lengths(lengths, *x.shape[:2])
    if bool((lengths == x.shape[1]).all()):
        return None
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
