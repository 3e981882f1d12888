"""Parity nets with two units, set by hand."""

import numpy as np
import torch

from seq_modules import ParityModule
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig

SHUT, OPEN = -20.0, 20.0  # biases of a gate


def two_units(cell: str, gain: float = 5.0) -> ParityModule:
    """A net that knows parity: U = tanh(gain (s + U - V)), V = tanh(gain (s + U - V - 2)), logit 10 (U - V - 1).

    With the bit s = -1 or 1 these are "one of both is 1" and "both are 1" (docs/notes/parity.md). The gates of an LSTM
    or a GRU are held open or shut by their biases, so that its candidate is the new state.

    Args:
        cell: Which of the cells.
        gain: Below about 1 the net forgets.
    """
    module = ParityModule(RecurrentConfig(cell=cell, hidden_size=2)).eval()  # type: ignore[arg-type]
    blocks = {"rnn": [None], "lstm": [OPEN, SHUT, None, OPEN], "gru": [OPEN, SHUT, None]}[cell]
    unit = float(np.tanh(1)) if cell == "lstm" else 1.0  # the size of a saturated h
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
        w_ih, w_hh, b_ih, _ = module.net.weights(0)
        for block, bias in enumerate(blocks):
            rows = slice(2 * block, 2 * block + 2)
            if bias is None:
                w_ih[rows] = gain
                w_hh[rows] = torch.tensor([[gain, -gain]]) / unit
                b_ih[rows] = torch.tensor([0.0, -2 * gain])
            else:
                b_ih[rows] = bias
        module.head.weight.copy_(torch.tensor([[10.0, -10.0]]) / unit)
        module.head.bias.fill_(-10.0)
    return module
