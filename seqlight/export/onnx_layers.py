"""Layers that compute the same by ONNX's operators, for those whose own way depends on the data.

B batch, T time, D inputs, H hidden width, L layers, S directions, G blocks in a cell's weights.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.linear.linear_recurrent import LinearRecurrent
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.nets.text.ngram_net import NgramNet
from seqlight.core.errors import UserError

# The blocks of torch's weights in ONNX's order: i, o, f, g of i, f, g, o; and z, r, n of r, z, n.
ORDER = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
ACTIVATIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu"}


def use_onnx_layers(module: nn.Module) -> None:
    """Puts these layers in the place of a module's own, whose weights they share.

    Raises:
        UserError: A layer has no operator of ONNX; the message names the option.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LinearRecurrent):
                raise refusal(f"net.rnn.cell {child.cell}", "ONNX has operators for rnn, lstm and gru alone")
            if isinstance(child, Recurrent):
                setattr(parent, name, OnnxRecurrent(child))
            elif isinstance(child, NgramNet):
                setattr(parent, name, OnnxNgramNet(child))


def refusal(what: str, reason: str) -> UserError:
    """That ONNX cannot have something."""
    return UserError(f"{what}: cannot be exported, since {reason}; use --format safetensors")


class OnnxRecurrent(Recurrent):
    """RNN, LSTM or GRU as one operator a layer.

    Args:
        net: The net whose weights it takes.

    Raises:
        UserError: The net normalises inside its cells.
    """

    def __init__(self, net: Recurrent) -> None:
        nn.Module.__init__(self)
        if net.norms is not None:
            raise refusal("net.rnn.layer_norm true", "ONNX's recurrent operators do not normalise")
        self.input_size, self.hidden_size, self.output_size = net.input_size, net.hidden_size, net.output_size
        self.cell, self.num_layers, self.nonlinearity = net.cell, net.num_layers, net.nonlinearity
        self.bidirectional, self.num_directions = net.bidirectional, net.num_directions
        self.backend = "fused"  # for print
        for layer in range(self.num_layers):
            own = [net.weights(layer * self.num_directions + direction) for direction in range(self.num_directions)]
            self.register_buffer(f"w{layer}", torch.stack([self.ordered(weights.w_ih) for weights in own]))
            self.register_buffer(f"r{layer}", torch.stack([self.ordered(weights.w_hh) for weights in own]))
            biases = [torch.cat((self.ordered(weights.b_ih), self.ordered(weights.b_hh))) for weights in own]
            self.register_buffer(f"b{layer}", torch.stack(biases))

    def ordered(self, weight: Tensor) -> Tensor:
        """A weight or bias, (G·H, ...), with its blocks in ONNX's order."""
        blocks = weight.detach().split(self.hidden_size)
        return torch.cat([blocks[block] for block in ORDER[self.cell]])

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """See Recurrent."""
        batch, steps, _ = x.shape
        shape, directions = (self.num_directions, batch, self.hidden_size), self.num_directions
        if state is None:
            state = x.new_zeros(self.num_layers * directions, batch, self.hidden_size)
            state = (state, state) if self.cell == "lstm" else state
        states = state if isinstance(state, tuple) else (state,)
        attributes: dict[str, Any] = {
            "hidden_size": self.hidden_size,
            "direction": "bidirectional" if self.bidirectional else "forward",
            **({"linear_before_reset": 1} if self.cell == "gru" else {}),
            **({"activations": [ACTIVATIONS[self.nonlinearity]] * directions} if self.cell == "rnn" else {}),
        }
        rows, after = x.transpose(0, 1), []  # (T, B, D)
        for layer in range(self.num_layers):
            weights = [getattr(self, f"{kind}{layer}") for kind in "wrb"]
            before = [part[layer * directions : (layer + 1) * directions] for part in states]
            outputs, *last = torch.onnx.ops.symbolic_multi_out(
                self.cell.upper(),
                (rows, *weights, None if lengths is None else lengths.to(torch.int32), *before),
                attributes,
                dtypes=[x.dtype] * (1 + len(states)),
                shapes=[(steps, *shape), *[shape] * len(states)],
                version=14,
            )
            rows = outputs.transpose(1, 2).flatten(2)  # (T, S, B, H) -> (T, B, S·H)
            after.append(last)
        merged = [torch.cat(parts) for parts in zip(*after, strict=True)]
        return rows.transpose(0, 1), (merged[0], merged[1]) if self.cell == "lstm" else merged[0]


class OnnxNgramNet(NgramNet):
    """The linear classifier of n-grams, which looks its keys up by halving.

    Args:
        net: The net whose tables it takes.
    """

    table_of_all: Tensor

    def __init__(self, net: NgramNet) -> None:
        nn.Module.__init__(self)
        self.config, self.base, self.num_classes = net.config, net.base, net.num_classes
        self.register_buffer("keys", net.keys)
        self.register_buffer("table_of_all", net.table().detach())
        self.bias = net.bias

    def forward(self, input_ids: Tensor, mask: Tensor) -> list[Tensor]:
        """See NgramNet."""
        return [self.table_of_all[self.rows(input_ids, mask)].sum(1) + self.bias]

    def rows(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """See NgramNet."""
        keys = self.different_keys(input_ids, mask)
        row, last = torch.zeros_like(keys), len(self.keys) - 1
        for bit in reversed(range(last.bit_length())):  # the last row whose key is not above
            further = (row + (1 << bit)).clamp(max=last)
            row = torch.where(self.keys[further] <= keys, further, row)
        return torch.where(self.keys[row] == keys, row, 0)
