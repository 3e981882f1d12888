"""Cells whose state enters linearly, h_t = A(x_t) h_{t-1} + b(x_t): A depends on the input, not on the state.

All that is nonlinear is therefore computed for all steps at once, and what is left is a scan. The first three have a
diagonal A, written as a vector a; its eigenvalues are its numbers. DeltaNet's A is a product of Householder matrices.

Letters
    T, B    time steps, rows of the batch
    D, H    width of the input, width of the output
    Z       numbers in a row's state: H, but for DeltaNet
    σ       logistic function
    ⊙       product number by number
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.rnn.linear import delta_rule
from seq_modules.nets.rnn.linear.config import LinearCell, LinearConfig
from seq_modules.nets.rnn.linear.scan import loop, scan

Engine = Literal["loop", "scan"]


class DiagonalCell(nn.Module):
    """Base of the cells with a diagonal A: a subclass gives a and b by ``coefficients``.

    Args:
        width: D.
        hidden_size: H, which is Z too.
        config: Whether a may be negative.
    """

    def __init__(self, width: int, hidden_size: int, config: LinearConfig) -> None:
        super().__init__()
        self.state_size, self.negative = hidden_size, config.negative_eigenvalues

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """a and b of every step, each (T, B, H), of inputs (T, B, D)."""
        raise NotImplementedError

    def read(self, h: Tensor, x: Tensor) -> Tensor:
        """Outputs (T, B, H) of states (T, B, H) and inputs (T, B, D)."""
        return h

    def forward(
        self, x: Tensor, mask: Tensor | None, state: Tensor, engine: Engine, seen: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs (T, B, H) and the state after the last step.

        Args:
            x: Inputs, (T, B, D).
            mask: (T, B, 1), false at steps that leave the state as it is; None for none.
            state: The state before, (B, Z).
            engine: "loop" goes step by step, "scan" in parallel.
            seen: With "loop", takes the state after each step, the tensor that the next step reads.
        """
        a, b = self.coefficients(x)
        if mask is not None:
            a, b = a.where(mask, 1), b.where(mask, 0)
        h = loop(a, b, state, seen) if engine == "loop" else scan(a, b, state)
        return self.read(h, x), h[-1]

    def ranged(self, a: Tensor) -> Tensor:
        """Numbers in [0, 1] as they are, or stretched to [-1, 1]."""
        return 2 * a - 1 if self.negative else a


class MinGRU(DiagonalCell):
    """minGRU (Feng et al. 2024, arXiv 2410.01201, section 3.1): a GRU whose gate and candidate do not see the state.

    z = σ(W_z x_t + b_z);  h_t = (1 - z) ⊙ h_{t-1} + z ⊙ (W_h x_t + b_h)

    The paper's appendix makes the candidate positive, for a scan of logarithms. This scan takes any sign and keeps the
    plain form. With negative eigenvalues 1 - z becomes 1 - 2z.
    """

    def __init__(self, width: int, hidden_size: int, config: LinearConfig) -> None:
        super().__init__(width, hidden_size, config)
        self.gate, self.candidate = nn.Linear(width, hidden_size), nn.Linear(width, hidden_size)

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See DiagonalCell."""
        z = project(self.gate, x).sigmoid()
        return self.ranged(1 - z), z * project(self.candidate, x)


class MinLSTM(DiagonalCell):
    """minLSTM (Feng et al. 2024, section 3.2): an LSTM whose gates do not see the state and have the sum one.

    f, i = σ(W_f x_t + b_f), σ(W_i x_t + b_i);  h_t = f/(f + i) ⊙ h_{t-1} + i/(f + i) ⊙ (W_h x_t + b_h)
    """

    def __init__(self, width: int, hidden_size: int, config: LinearConfig) -> None:
        super().__init__(width, hidden_size, config)
        self.forget, self.input, self.candidate = (nn.Linear(width, hidden_size) for _ in range(3))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See DiagonalCell."""
        # f/(f + i) = σ(log f - log i), which is also right where both gates are so small that they round to zero.
        keep = (F.logsigmoid(project(self.forget, x)) - F.logsigmoid(project(self.input, x))).sigmoid()
        return self.ranged(keep), (1 - keep) * project(self.candidate, x)


class Diagonal(DiagonalCell):
    """Selective diagonal state-space cell: Mamba's S6 (Gu & Dao 2023, arXiv 2312.00752) with one real state a channel.

    Δ = softplus(W_Δ x_t + b_Δ);  h_t = exp(-Δ ⊙ λ) ⊙ h_{t-1} + Δ ⊙ (W_B x_t);  y_t = (W_C x_t) ⊙ h_t

    The transition depends on the input. One that does not, as in the LRU (Orvieto et al. 2023), sums the inputs with
    fixed weights and cannot follow the state of an automaton. Mamba has several states a channel, whose B and C all
    channels share; here each channel has one state and its own B and C. λ = exp(log_decay) starts at 1, Δ from 0.001 to
    0.1, as in Mamba. With negative eigenvalues the factor is 2·exp(-Δ ⊙ λ) - 1, as in Grazzi et al. (2025).
    """

    def __init__(self, width: int, hidden_size: int, config: LinearConfig) -> None:
        super().__init__(width, hidden_size, config)
        self.step_size = nn.Linear(width, hidden_size)
        self.write, self.output = nn.Linear(width, hidden_size), nn.Linear(width, hidden_size)
        self.log_decay = nn.Parameter(torch.zeros(hidden_size))
        with torch.no_grad():
            start = torch.empty(hidden_size).uniform_(math.log(1e-3), math.log(1e-1)).exp()
            self.step_size.bias.copy_(start.expm1().log())  # softplus of this is the start

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See DiagonalCell."""
        delta = F.softplus(project(self.step_size, x))
        return self.ranged((-delta * self.log_decay.exp()).exp()), delta * project(self.write, x)

    def read(self, h: Tensor, x: Tensor) -> Tensor:
        """See DiagonalCell."""
        return h * project(self.output, x)


class DeltaNet(nn.Module):
    """DeltaNet (Yang et al. 2024, arXiv 2406.06484), and with several steps a token DeltaProduct (Siems et al. 2025).

    Each head has a matrix S, which delta_rule.py explains. q, k = SiLU(W x_t), scaled to length one; v = W_v x_t;
    β = σ(W_β x_t), or 2σ(W_β x_t) with negative eigenvalues, which are 1 - β; y_t = W_o norm(S_t q_t), where norm
    divides a head's numbers by their root mean square. Without the papers' short convolutions before q, k and v.

    Args:
        width: D.
        hidden_size: H; its heads are H / heads wide, values and keys alike, so Z is H² / heads.
        config: Heads, steps a token, and whether eigenvalues may be negative.
    """

    def __init__(self, width: int, hidden_size: int, config: LinearConfig) -> None:
        super().__init__()
        self.num_heads, self.steps = config.num_heads, config.num_householder
        self.head_size, self.largest = hidden_size // config.num_heads, 2 if config.negative_eigenvalues else 1
        self.state_size = hidden_size * self.head_size
        self.query = nn.Linear(width, hidden_size, bias=False)
        self.key = nn.Linear(width, self.steps * hidden_size, bias=False)
        self.value = nn.Linear(width, self.steps * hidden_size, bias=False)
        self.beta = nn.Linear(width, self.steps * self.num_heads)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, x: Tensor, mask: Tensor | None, state: Tensor, engine: Engine, seen: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `DiagonalCell.forward`; a state that is seen is (P, V, K). The delta rule is at least in float32."""
        q = F.normalize(F.silu(self.heads(self.query, x, 1)), dim=-1).squeeze(2)  # (P, T, K)
        k = F.normalize(F.silu(self.heads(self.key, x, self.steps)), dim=-1)  # (P, T, n, K)
        v = self.heads(self.value, x, self.steps)
        beta = self.largest * self.heads(self.beta, x, self.steps).squeeze(-1).sigmoid()
        if mask is not None:
            rows = mask.squeeze(-1).t().repeat_interleave(self.num_heads, 0)  # (T, B, 1) -> (P, T)
            beta = beta.where(rows.unsqueeze(-1), 0)
        before = at_least_float32(state).reshape(-1, self.head_size, self.head_size)  # (B, Z) -> (P, V, K)
        with torch.autocast(x.device.type, enabled=False):
            if engine == "loop":
                outputs, after = delta_rule.loop(q, k, v, beta, before, seen)
            else:
                outputs, after = delta_rule.chunked(q, k, v, beta, before)
        outputs = F.rms_norm(outputs, (self.head_size,), eps=1e-6).to(state.dtype)
        outputs = outputs.unflatten(0, (-1, self.num_heads)).permute(2, 0, 1, 3).flatten(2)  # (P, T, V) -> (T, B, H)
        return project(self.out, outputs), after.reshape(state.shape).to(state.dtype)

    def heads(self, layer: nn.Linear, x: Tensor, steps: int) -> Tensor:
        """(P, T, steps, ·) of inputs (T, B, D), at least in float32."""
        made = at_least_float32(project(layer, x)).unflatten(-1, (steps, self.num_heads, -1))  # (T, B, steps, heads, ·)
        return made.permute(1, 3, 0, 2, 4).flatten(0, 1)


CELLS: dict[LinearCell, type[DiagonalCell] | type[DeltaNet]] = {
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "diagonal": Diagonal,
    "deltanet": DeltaNet,
}


def project(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer, in low precision under autocast, whose result has the parameters' precision again."""
    return layer(x).to(layer.weight.dtype)
