"""Back-propagation through time by hand: what `nets/cells.py` computes, in its letters, but faster.

Automatic differentiation of the loop records every small operation, and adds up W_hh's gradient step by step. But
backwards in time the recurrence is linear: all that is nonlinear, the derivatives of a step's new state by its
products (here: slopes), is known after the forward pass. So the slopes of all steps are computed at once, the loop
back only multiplies by slopes and by W_hh, and the gradient of W_hh is a single product over all steps.

In the comments d_v is the loss's derivative by v, and h', c' are the states before the step.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from seq_modules.nets.rnn.cells import Cell, Nonlinearity, States, Weights, carry, first, in_order

sigmoid_backward = torch.ops.aten.sigmoid_backward  # (d, s) -> d·s·(1 - s)
tanh_backward = torch.ops.aten.tanh_backward  # (d, t) -> d·(1 - t²)


class RNN(Function):
    """h = f(x + W_hh h')."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_hh: Tensor, h: Tensor, sizes: list[int], reverse: bool, nonlinearity: Nonlinearity
    ) -> tuple[Tensor, Tensor]:
        w = w_hh.t().contiguous()
        f = {"tanh": torch.tanh_, "sigmoid": torch.sigmoid_, "relu": torch.relu_}[nonlinearity]
        outputs, before = torch.empty_like(x), []
        for x_t, out in by_step((x, outputs), sizes, reverse):
            before.append(first(h, len(out)))
            h = carry(f(torch.addmm(x_t, before[-1], w, out=out)), h)
        ctx.save_for_backward(w_hh, outputs, rows_before(before, reverse))
        ctx.sizes, ctx.reverse, ctx.nonlinearity = sizes, reverse, nonlinearity
        return outputs, h.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        w_hh, h, h_before = ctx.saved_tensors
        match ctx.nonlinearity:
            case "tanh":
                slopes = 1 - h * h
            case "sigmoid":
                slopes = h * (1 - h)
            case _:
                slopes = (h > 0).to(h.dtype)
        d_h = d_h.clone()
        for k, d in by_step((slopes, d_out), ctx.sizes, not ctx.reverse):
            d_now = first(d_h, len(k))
            d_now += d
            k *= d_now
            torch.mm(k, w_hh, out=d_now)
        return slopes, over_steps(slopes, h_before), d_h, None, None, None


class LSTM(Function):
    """a = x + W_hh h';  i, f, o = σ(a);  g = tanh(a);  c = f ⊙ c' + i ⊙ g;  h = o ⊙ tanh(c).

    The gates overwrite x, so x must be nobody else's.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_hh: Tensor, h: Tensor, c: Tensor, sizes: list[int], reverse: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        w = w_hh.t().contiguous()
        i, f, g, o = x.chunk(4, dim=1)
        outputs, cells, tanh_c = x.new_empty(3, len(x), w_hh.shape[1])
        before = []
        steps = (x, x[:, : 2 * w_hh.shape[1]], i, f, g, o, cells, tanh_c, outputs)
        for a, i_f, i_t, f_t, g_t, o_t, c_t, s, out in by_step(steps, sizes, reverse):
            before.append(first(h, len(a)))
            a.addmm_(before[-1], w)
            i_f.sigmoid_()
            g_t.copy_(g_t.contiguous().tanh_())  # a block with gaps takes five times as long
            torch.mul(f_t, first(c, len(a)), out=c_t).addcmul_(i_t, g_t)
            torch.mul(o_t.sigmoid_(), torch.tanh(c_t, out=s), out=out)
            h, c = carry(out, h), carry(c_t, c)
        ctx.save_for_backward(w_hh, x, cells, tanh_c, rows_before(before, reverse))
        ctx.sizes, ctx.reverse = sizes, reverse
        return outputs, h.clone(), c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        w_hh, gates, c, tanh_c, h_before = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, dim=1)
        slopes = torch.empty_like(gates)
        by_gate = slopes.view(len(slopes), 4, -1)
        sigmoid_backward(g, i, grad_input=by_gate[:, 0])  # of c by i's sum
        f_c = torch.addcmul(c, i, g, value=-1, out=by_gate[:, 1])  # f ⊙ c' = c - i ⊙ g
        f_c.addcmul_(f_c, f, value=-1)  # of c by f's sum: f ⊙ c' ⊙ (1 - f)
        tanh_backward(i, g, grad_input=by_gate[:, 2])  # of c by g's sum
        sigmoid_backward(tanh_c, o, grad_input=by_gate[:, 3])  # of h by o's sum
        h_by_c = tanh_backward(o, tanh_c, grad_input=torch.empty_like(c))
        steps = (slopes, by_gate[:, :3], by_gate[:, 3], h_by_c, f, d_out)
        d_h, d_c = d_h.clone(), d_c.clone()
        for k, k_ifg, k_o, k_c, f_t, d in by_step(steps, ctx.sizes, not ctx.reverse):
            d_h_t, d_c_t = first(d_h, len(k)), first(d_c, len(k))
            d_h_t += d
            d_c_t.addcmul_(d_h_t, k_c)
            k_ifg *= d_c_t.unsqueeze(1)
            k_o *= d_h_t
            d_c_t *= f_t
            torch.mm(k, w_hh, out=d_h_t)
        return slopes, over_steps(slopes, h_before), d_h, d_c, None, None


class GRU(Function):
    """u = W_hh h' + b_hh;  r, z = σ(x + u);  n = tanh(x_n + r ⊙ u_n);  h = n + z ⊙ (h' - n)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_hh: Tensor, b_hh: Tensor, h: Tensor, sizes: list[int], reverse: bool
    ) -> tuple[Tensor, Tensor]:
        w, size = w_hh.t().contiguous(), w_hh.shape[1]
        gates = torch.empty_like(x)  # r, z, u_n
        outputs, candidates = x.new_empty(2, len(x), size)
        x_rz, x_n = x.split([2 * size, size], dim=1)
        before = []
        steps = (x_rz, x_n, gates, candidates, outputs)
        for x_rz_t, x_n_t, u, n, out in by_step(steps, sizes, reverse):
            before.append(first(h, len(u)))
            torch.addmm(b_hh, before[-1], w, out=u)
            r_z, u_n = u.split([2 * size, size], dim=1)
            r, z = r_z.add_(x_rz_t).sigmoid_().chunk(2, dim=1)
            torch.addcmul(x_n_t, r, u_n, out=n).tanh_()
            h = carry(torch.lerp(n, before[-1], z, out=out), h)
        ctx.save_for_backward(w_hh, gates, candidates, rows_before(before, reverse))
        ctx.sizes, ctx.reverse = sizes, reverse
        return outputs, h.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        w_hh, gates, n, h_before = ctx.saved_tensors
        r, z, u_n = gates.chunk(3, dim=1)
        size = n.shape[1]
        by_n = tanh_backward(1 - z, n)
        # Slopes of h by u_n, by the sums r and z, by x_n: the first three are those of u, the last three those of x.
        slopes = torch.stack([by_n * r, sigmoid_backward(by_n * u_n, r), sigmoid_backward(h_before - n, z), by_n], 1)
        by_u = slopes.view(len(n), 4 * size)[:, : 3 * size]
        w = torch.cat([w_hh[2 * size :], w_hh[: 2 * size]])  # rows in the order of by_u: n, r, z
        d_h = d_h.clone()
        steps = (slopes, by_u, z, d_out)
        for k, k_u, z_t, d in by_step(steps, ctx.sizes, not ctx.reverse):
            d_now = first(d_h, len(k))
            d_now += d
            k *= d_now.unsqueeze(1)
            torch.addmm(d_now * z_t, k_u, w, out=d_now)
        d_w, d_b = over_steps(by_u, h_before).roll(-size, 0), by_u.sum(0).roll(-size, 0)
        return slopes[:, 1:].reshape(len(n), 3 * size), d_w, d_b, d_h, None, None


def by_step(tensors: Sequence[Tensor], sizes: list[int], reverse: bool) -> Iterator[tuple[Tensor, ...]]:
    """Views of each step's rows of all tensors, in the order in which the steps are taken.

    Views are made for 16 steps at a time: one by one takes longer, all at once are so many objects that Python's
    garbage collector starts.
    """
    bounds = [0, *accumulate(sizes)]
    chunks = range(0, len(sizes), 16)
    for chunk in reversed(chunks) if reverse else chunks:
        part = sizes[chunk : chunk + 16]
        rows = slice(bounds[chunk], bounds[chunk + len(part)])
        yield from zip(*(in_order(tensor[rows], part, reverse) for tensor in tensors), strict=True)


def over_steps(slopes: Tensor, h_before: Tensor) -> Tensor:
    """The gradient of W_hh, (G·H, H), from all steps at once; in full precision, also under an autocast of backward."""
    with torch.autocast(slopes.device.type, enabled=False):
        return slopes.t() @ h_before


def rows_before(states: list[Tensor], reverse: bool) -> Tensor:
    """The states before each step, in the order of the rows."""
    return torch.cat(states[::-1] if reverse else states)


def scan(
    cell: Cell,
    rows: Tensor,
    sizes: list[int],
    weights: Weights,
    states: States,
    reverse: bool = False,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Tensor, States]:
    """As `cells.scan`, without layer normalisation; differentiable once."""
    w_ih, w_hh, b_ih, b_hh = weights
    x = F.linear(rows, w_ih, b_ih if cell == "gru" else b_ih + b_hh).to(w_hh.dtype)
    with torch.autocast(rows.device.type, enabled=False):
        if cell == "rnn":
            outputs, *after = RNN.apply(x, w_hh, *states, sizes, reverse, nonlinearity)
        elif cell == "lstm":
            outputs, *after = LSTM.apply(x, w_hh, *states, sizes, reverse)
        else:
            outputs, *after = GRU.apply(x, w_hh, b_hh, *states, sizes, reverse)
    return outputs, tuple(after)
