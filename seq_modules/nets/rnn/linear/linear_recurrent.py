"""Linear recurrences in layers and directions, over sequences of unequal lengths; the cells are in cells.py.

Letters: B rows of the batch, T time steps, D inputs, H hidden width, L layers, S directions (1 or 2), Z numbers in a
row's state of one layer and direction.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.inputs import check_inputs, check_lengths, state_parts
from seq_modules.nets.rnn.linear.cells import CELLS, Engine
from seq_modules.nets.rnn.linear.config import LinearCell
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.block import FeedForward, RMSNorm
from seqlight.core.hyperparameters import check_range


class LinearRecurrent(nn.Module):
    """minGRU, minLSTM, a diagonal state-space cell or DeltaNet, called as `Recurrent` is.

    Padding needs no packing here: a step with a = 1 and b = 0 (β = 0 for DeltaNet) leaves the state as it is.

    Args:
        input_size: Width of the inputs, D, at least 1.
        config: Shape and engine. A checkpoint of one engine loads in the other.

    Attributes:
        output_size: Width of the outputs, S·H.
        state_size: Z: H, or for deltanet H² / heads.

    Raises:
        UserError: input_size is not above 0.
    """

    def __init__(self, input_size: int, config: RecurrentConfig) -> None:
        super().__init__()
        check_range("input_size", input_size, least=1)
        self.input_size, self.hidden_size = input_size, config.hidden_size
        self.cell, self.num_layers, self.dropout = config.cell, config.num_layers, config.dropout
        self.bidirectional, self.num_directions = config.bidirectional, 2 if config.bidirectional else 1
        self.output_size = config.hidden_size * self.num_directions
        self.backend: Engine = "loop" if config.backend == "loop" else "scan"
        self.embed: nn.Linear | None = None
        if config.linear.residual:
            self.embed = nn.Linear(input_size, config.hidden_size)
        first = input_size if self.embed is None else config.hidden_size
        widths = [first] + [self.output_size] * (config.num_layers - 1)
        self.layers = nn.ModuleList(LinearLayer(width, config) for width in widths)
        self.norm = RMSNorm(config.hidden_size) if config.linear.residual else nn.Identity()
        one = self.layers[0]
        assert isinstance(one, LinearLayer)
        self.state_size = one.state_size

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, Tensor]:
        """Runs the net over a batch of sequences.

        Args:
            x: Inputs, (B, T, D).
            lengths: True steps of each row, (B,) integers from 1 to T in any order; by default all T. What stands
                behind them has no influence. The backward direction starts at each row's last true step.
            state: State to go on from, (L·S, B, Z); by default zeros.

        Returns:
            The last layer's outputs, (B, T, S·H), 0 at padding; and the state after each row's last true step, which
            can be passed in with the steps that follow. Under autocast the recurrence itself stays in the parameters'
            precision.

        Raises:
            ValueError: If a shape or a length is wrong.
        """
        check_inputs(x, self.input_size)
        steps, dtype = x.shape[1], next(self.parameters()).dtype
        shape = (self.num_layers * self.num_directions, len(x), self.state_size)
        (before,) = (x.new_zeros(shape),) if state is None else state_parts(state, self.cell, shape)
        states = before.to(dtype).unflatten(0, (self.num_layers, self.num_directions))
        x, mask = x.transpose(0, 1), None  # (B, T, D) -> (T, B, D)
        if lengths is not None:
            lengths = check_lengths(lengths, x.shape[1], steps).to(x.device)
            mask = (torch.arange(steps, device=x.device).unsqueeze(1) < lengths).unsqueeze(-1)  # (T, B, 1)
            x = x.where(mask, 0)
        if self.embed is not None:
            x = self.embed(x)
        after = []
        for number, (layer, before) in enumerate(zip(self.layers, states, strict=True)):
            if number > 0 and self.embed is None:
                x = F.dropout(x, self.dropout, self.training)
            x, new = layer(x, mask, before, self.backend)
            after.append(new)
        x = self.norm(x)
        if mask is not None:
            x = x.where(mask, 0)
        return x.transpose(0, 1), torch.cat(after)

    def extra_repr(self) -> str:
        """The arguments, for print."""
        return (
            f"{self.input_size}, {self.hidden_size}, cell={self.cell!r}, num_layers={self.num_layers}, "
            f"bidirectional={self.bidirectional}, backend={self.backend!r}"
        )


class LinearLayer(nn.Module):
    """One layer: a cell in one or two directions, with ``residual`` as the two branches of a pre-norm block.

    Args:
        width: Width of the inputs.
        config: Of the whole net.
    """

    def __init__(self, width: int, config: RecurrentConfig) -> None:
        super().__init__()
        make, linear = CELLS[cast(LinearCell, config.cell)], config.linear
        directions = 2 if config.bidirectional else 1
        self.cells = nn.ModuleList(make(width, config.hidden_size, linear) for _ in range(directions))
        self.state_size, self.dropout = cast(int, self.cells[0].state_size), config.dropout
        self.norm = RMSNorm(width) if linear.residual else None
        self.feed_forward: FeedForward | None = None
        if linear.residual:
            self.feed_forward = FeedForward(width, 4 * width, activation="gelu", bias=True)

    def forward(self, x: Tensor, mask: Tensor | None, states: Tensor, engine: Engine) -> tuple[Tensor, Tensor]:
        """(T, B, ·) to (T, B, S·H), and states (S, B, Z) to those after; arguments as for `DiagonalCell.forward`."""
        if self.norm is None or self.feed_forward is None:
            return self.run(x, mask, states, engine)
        y, states = self.run(self.norm(x), mask, states, engine)
        x = x + F.dropout(y, self.dropout, self.training)
        return x + F.dropout(self.feed_forward(self.norm(x)), self.dropout, self.training), states

    def run(self, x: Tensor, mask: Tensor | None, states: Tensor, engine: Engine) -> tuple[Tensor, Tensor]:
        """The cells alone: forwards, and backwards through flipped steps, in which padding comes first and is kept."""
        outputs, after = self.cells[0](x, mask, states[0], engine)
        if len(self.cells) == 1:
            return outputs, after.unsqueeze(0)
        flipped = None if mask is None else mask.flip(0)
        back, after_back = self.cells[1](x.flip(0), flipped, states[1], engine)
        return torch.cat([outputs, back.flip(0)], dim=-1), torch.stack([after, after_back])
