"""The diagonal linear recurrence h_t = a_t ⊙ h_{t-1} + b_t: step by step, and as a parallel scan.

A step is the map h -> a ⊙ h + b, and two steps in a row are one such map: first (a, b), then (a', b'), is
(a' ⊙ a, a' ⊙ b + b'). This composition is associative, so all prefixes can be made in about 2·log2(T) rounds of whole
tensors instead of T steps (Blelloch 1990; Martin & Cundy 2018). The scan only multiplies and adds. It never divides by
a product of coefficients and takes no logarithm, so coefficients may be zero or negative, and nothing overflows while
|a| <= 1.

T time, "..." any shape of a step's state, such as (B, H).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function


def loop(a: Tensor, b: Tensor, h: Tensor, seen: list[Tensor] | None = None) -> Tensor:
    """All states h_1 to h_T, (T, ...), one step at a time; what `scan` is compared with.

    Args:
        a: Coefficients, (T, ...).
        b: Inputs, (T, ...).
        h: The state before the first step, (...).
        seen: Takes the states one by one, each the tensor that the next step reads.
    """
    states = []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        states.append(h)
    if seen is not None:
        seen.extend(states)
    return torch.stack(states)


def scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """All states h_1 to h_T, (T, ...), in parallel; arguments as for `loop`. Differentiable any number of times."""
    states: Tensor = Scan.apply(a, b, h, False)
    return states


class Scan(Function):
    """The scan with its gradients, which are a scan in the other direction."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h: Tensor, reverse: bool) -> Tensor:
        states = prefixes(a, b, h, reverse)
        ctx.save_for_backward(a, h, states)
        ctx.reverse = reverse
        return states

    @staticmethod
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, h, states = ctx.saved_tensors
        if len(a) == 0:  # what a single step leaves to the scan of its gradients
            return d_states, d_states, torch.zeros_like(h), None
        # With d_t = dLoss/dh_t by this step's output and all later ones: d_t = d_states_t + a_{t+1} ⊙ d_{t+1}.
        if ctx.reverse:
            d = torch.cat([d_states[:1], Scan.apply(a[:-1], d_states[1:], d_states[0], False)])
            return d * torch.cat([states[1:], h.unsqueeze(0)]), d, a[-1] * d[-1], None
        d = torch.cat([Scan.apply(a[1:], d_states[:-1], d_states[-1], True), d_states[-1:]])
        return d * torch.cat([h.unsqueeze(0), states[:-1]]), d, a[0] * d[0], None


def prefixes(a: Tensor, b: Tensor, h: Tensor, reverse: bool) -> Tensor:
    """The states, by halving: join each two steps to one, scan those, and fill in the states between.

    Args:
        a: Coefficients, (T, ...).
        b: Inputs, (T, ...).
        h: The state before the first step taken, (...).
        reverse: Go from the last step to the first.
    """
    steps, odd = len(a), len(a) % 2
    if steps < 2:
        return torch.addcmul(b, a, h)
    if reverse:  # steps T-1 and T-2, T-3 and T-4, ...; what is left is filled in from the step after it
        first, second, between, start = slice(odd + 1, None, 2), slice(odd, None, 2), slice(1 - odd, -1, 2), -1
    else:  # steps 0 and 1, 2 and 3, ...; what is left is filled in from the step before it
        first, second, between, start = slice(0, steps - odd, 2), slice(1, None, 2), slice(2, None, 2), 0
    joined = prefixes(a[second] * a[first], torch.addcmul(b[second], a[second], b[first]), h, reverse)
    states = torch.empty_like(b)
    states[second] = joined
    states[start] = torch.addcmul(b[start], a[start], h)
    neighbours = joined[1 - odd :] if reverse else joined[: (steps - 1) // 2]
    torch.addcmul(b[between], a[between], neighbours, out=states[between])
    return states
