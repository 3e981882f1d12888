"""A recurrent net step by step, with the states of all steps at hand, for what wants to look at each of them.

B rows of the batch, T time steps, D inputs, H hidden width, L layers, S directions (1 or 2).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.rnn import cells
from seq_modules.nets.rnn.cells import LayerNorms, State, States
from seq_modules.nets.rnn.recurrent import Recurrent


def unroll(
    net: Recurrent, x: Tensor, lengths: Tensor | None = None, state: State | None = None
) -> tuple[Tensor, State, list[list[States]]]:
    """What ``net(x, lengths, state)`` gives, and the states that each step hands to the next.

    Every use of a step's state goes through the tensor that is returned: the next step, the layer above and the output.
    So the derivative of a loss by it is the total one, through all later steps. The steps are those of the readable
    cells (nets/rnn/cells.py), whatever the net's backend; of an LSTM's pair, h is computed from c. What
    stands at padding is handed to nobody.

    Args:
        net: The net.
        x: Inputs, (B, T, D).
        lengths: True steps of each row, (B,); by default all T.
        state: State to go on from; by default zeros.

    Returns:
        The last layer's hidden states (B, T, S·H), the state after each row's last true step, and for each layer and
        direction, then for each time step, the states (h,) or (h, c), each (B, H).
    """
    before = net.initial_states(x) if state is None else state if isinstance(state, tuple) else (state,)
    rows: list[Tensor] = list(x.unbind(1))
    mask = None if lengths is None else torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]
    seen: list[list[States]] = []
    after: list[States] = []
    for layer in range(net.num_layers):
        if layer > 0:
            rows = [F.dropout(row, net.dropout, net.training) for row in rows]
        for index in range(layer * net.num_directions, (layer + 1) * net.num_directions):
            norms = None if net.norms is None else net.norms[index]
            assert norms is None or isinstance(norms, LayerNorms)
            states, steps = tuple(part[index] for part in before), dict[int, States]()
            for t in range(len(rows)) if index % net.num_directions == 0 else reversed(range(len(rows))):
                row, sizes = rows[t], [len(rows[t])]
                _, new = cells.scan(net.cell, row, sizes, net.weights(index), states, False, net.nonlinearity, norms)
                steps[t] = new
                if mask is not None:
                    new = tuple(torch.where(mask[:, t : t + 1], one, old) for one, old in zip(new, states, strict=True))
                states = new
            seen.append([steps[t] for t in range(len(rows))])
            after.append(states)
        rows = [torch.cat([step[0] for step in both], 1) for both in zip(*seen[-net.num_directions :], strict=True)]
    outputs = torch.stack(rows, 1)
    if mask is not None:
        outputs = outputs.where(mask.unsqueeze(2), 0)
    last = tuple(torch.stack(parts) for parts in zip(*after, strict=True))
    return outputs, (last[0], last[1]) if net.cell == "lstm" else last[0], seen
