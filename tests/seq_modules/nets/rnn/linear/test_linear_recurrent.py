"""Nets of linear cells: loop against scan, the papers' equations in plain Python, padding, directions, streaming."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq_modules.nets.rnn.linear import delta_rule
from seq_modules.nets.rnn.linear.cells import CELLS
from seq_modules.nets.rnn.linear.config import LinearConfig
from seq_modules.nets.rnn.linear.linear_recurrent import LinearRecurrent
from seq_modules.nets.rnn.recurrent import Recurrent, build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seqlight.core.hyperparameters import group_from

B, T, D, H = 4, 11, 3, 4
LENGTHS = torch.tensor([3, 11, 1, 6])
SIGNED = {"negative_eigenvalues": True, "num_heads": 2, "num_householder": 2}


@pytest.fixture(autouse=True)
def _float64_and_short_chunks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(delta_rule, "CHUNK", 4)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make(cell: str, linear: dict[str, Any] | None = None, **options: Any) -> LinearRecurrent:
    net = build_recurrent(D, RecurrentConfig(cell, H, linear=LinearConfig(**(linear or {})), **options))  # type: ignore[arg-type]
    assert isinstance(net, LinearRecurrent)
    return net


def results(net: nn.Module, x: Tensor, lengths: Tensor | None, state: Tensor) -> list[Tensor]:
    """Outputs, state, and the gradients of a random weighting of them by x, the state and the parameters."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    values = net(x, lengths, state)
    generator = torch.Generator().manual_seed(1)
    loss = torch.stack([(value * torch.randn(value.shape, generator=generator)).mean() for value in values]).sum()
    return [*values, *torch.autograd.grad(loss, [x, state, *net.parameters()])]


def assert_same(ours: list[Tensor], theirs: list[Tensor], atol: float = 1e-10) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


def random_state(net: LinearRecurrent) -> Tensor:
    return torch.randn(net.num_layers * net.num_directions, B, net.state_size)


@pytest.mark.parametrize("shape", ["positive", "bidirectional", "residual"])
@pytest.mark.parametrize("cell", CELLS)
def test_scan_equals_the_loop_with_gradients(cell: str, shape: str) -> None:
    linear = {} if shape == "positive" else SIGNED | {"residual": shape == "residual"}
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": shape == "bidirectional"}
    ours, theirs = (make(cell, linear, backend=backend, **options) for backend in ("scan", "loop"))
    theirs.load_state_dict(ours.state_dict())
    x, state = torch.randn(B, T, D), random_state(ours)
    for lengths in (None, LENGTHS):
        assert_same(results(ours, x, lengths, state), results(theirs, x, lengths, state))


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck(cell: str) -> None:
    net = make(cell, SIGNED, num_layers=2, bidirectional=True)
    inputs = (torch.randn(B, 5, D, requires_grad=True), random_state(net).requires_grad_())
    assert torch.autograd.gradcheck(lambda x, state: net(x, LENGTHS.clamp(max=5), state), inputs, fast_mode=True)


@pytest.mark.parametrize("shape", ["bidirectional", "residual"])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_and_neighbours_change_nothing(cell: str, shape: str) -> None:
    net = make(cell, SIGNED | {"residual": shape == "residual"}, num_layers=2, bidirectional=shape == "bidirectional")
    x, state = torch.randn(B, T, D), random_state(net)
    padding = torch.arange(T) >= LENGTHS[:, None]
    expected = results(net, x, LENGTHS, state)
    assert expected[0][padding].eq(0).all()
    assert expected[2][padding].eq(0).all()
    garbage = x.clone()
    garbage[padding] = torch.tensor([1e300, float("nan"), float("-inf")])
    assert_same(results(net, garbage, LENGTHS, state), expected, atol=0)
    longer, after = net(torch.cat([x, torch.randn(B, 9, D)], 1), LENGTHS, state)
    assert_same([longer[:, :T], after], expected[:2], atol=1e-12)
    assert longer[:, T:].eq(0).all()
    for row, length in enumerate(LENGTHS.tolist()):  # alone and unpadded
        outputs, after = net(x[row : row + 1, :length], None, state[:, row : row + 1])
        assert_same([outputs[0], after[:, 0]], [expected[0][row, :length], expected[1][:, row]], atol=1e-12)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("backend", ["loop", "scan"])
@pytest.mark.parametrize("cell", CELLS)
def test_pieces_with_carried_state_equal_the_whole(cell: str, backend: Any, residual: bool) -> None:
    net, x = make(cell, SIGNED | {"residual": residual}, num_layers=2, backend=backend), torch.randn(B, T, D)
    whole, after = net(x)
    state, pieces = None, []
    for piece in x.split([1, 7, 3], dim=1):
        outputs, state = net(piece, state=state)
        pieces.append(outputs)
    assert state is not None
    assert_same([torch.cat(pieces, 1), state], [whole, after], atol=1e-12)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_two_steps_by_the_papers_equations(cell: str, signed: bool) -> None:
    net = make(cell, {"negative_eigenvalues": signed, "num_heads": 1, "num_householder": 2})
    unit: Any = net.layers[0].cells[0]  # type: ignore[index, union-attr]
    x, h = torch.randn(1, 2, D), torch.randn(1, 1, net.state_size)
    outputs, state = net(x, state=h)
    h, expected = h[0, 0], []

    def dense(layer: nn.Linear, x_t: Tensor) -> Tensor:
        return layer.weight @ x_t + (0 if layer.bias is None else layer.bias)

    def stretch(a: Tensor) -> Tensor:
        return 2 * a - 1 if signed else a

    for x_t in x[0]:
        if cell == "mingru":
            z = sigmoid(dense(unit.gate, x_t))
            h = stretch(1 - z) * h + z * dense(unit.candidate, x_t)
            expected.append(h)
        elif cell == "minlstm":
            f, i = sigmoid(dense(unit.forget, x_t)), sigmoid(dense(unit.input, x_t))
            h = stretch(f / (f + i)) * h + i / (f + i) * dense(unit.candidate, x_t)
            expected.append(h)
        elif cell == "diagonal":
            delta = (1 + dense(unit.step_size, x_t).exp()).log()
            h = stretch((-delta * unit.log_decay.exp()).exp()) * h + delta * dense(unit.write, x_t)
            expected.append(dense(unit.output, x_t) * h)
        else:
            s, sums = h.view(H, H), dense(unit.beta, x_t)
            for j in range(2):
                k = dense(unit.key, x_t)[j * H : (j + 1) * H]
                k = k * sigmoid(k)
                k = k / k.square().sum().sqrt()
                beta = (2 if signed else 1) * sigmoid(sums[j])
                v = dense(unit.value, x_t)[j * H : (j + 1) * H]
                s = s @ (torch.eye(H) - beta * torch.outer(k, k)) + beta * torch.outer(v, k)
            q = dense(unit.query, x_t)
            q = q * sigmoid(q)
            read = s @ (q / q.square().sum().sqrt())
            expected.append(unit.out.weight @ (read / (read.square().mean() + 1e-6).sqrt()))
            h = s.flatten()
    assert_same([outputs[0], state[0, 0]], [torch.stack(expected), h], atol=1e-12)


def test_gates_that_are_both_shut_still_have_the_sum_one() -> None:
    net = make("minlstm")
    unit: Any = net.layers[0].cells[0]  # type: ignore[index, union-attr]
    for gate in (unit.forget, unit.input):
        nn.init.constant_(gate.bias, -800.0)  # σ is 0 there
        nn.init.zeros_(gate.weight)
    a, b = unit.coefficients(torch.randn(5, 2, D))
    assert a.eq(0.5).all()
    assert b.isfinite().all()


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_signed_cell_set_by_hand_counts_parity_without_end(cell: str) -> None:
    """A one turns the state around, h -> c - h, and a zero keeps it: exactly, so that 100,000 steps change nothing."""
    net = make(cell, {"negative_eigenvalues": True})
    unit: Any = net.layers[0].cells[0]  # type: ignore[index, union-attr]
    gates = [(unit.gate, 1)] if cell == "mingru" else [(unit.forget, -1), (unit.input, 1)]
    with torch.no_grad():
        for gate, sign in gates:
            gate.weight.fill_(80 * sign)
            gate.bias.fill_(-40 * sign)
        unit.candidate.weight.zero_()
        unit.candidate.bias.fill_(1.0)
        bits = torch.randint(2, (1, 100_000, 1))
        states, _ = net(bits.double().expand(-1, -1, D) / D)
    torch.testing.assert_close(states[0, :, 0], (bits.cumsum(1) % 2)[0, :, 0].double(), rtol=0, atol=1e-9)


def test_starting_values_of_the_diagonal_cell_are_mambas() -> None:
    net = build_recurrent(D, RecurrentConfig("diagonal", 64))
    unit: Any = net.layers[0].cells[0]  # type: ignore[index, union-attr]
    steps = [math.log1p(math.exp(value)) for value in unit.step_size.bias.tolist()]
    assert 1e-3 <= min(steps) < 5e-3 < 2e-2 < max(steps) <= 1e-1 + 1e-9
    assert unit.log_decay.eq(0).all()


@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_autocast(cell: str) -> None:
    net = make(cell, SIGNED | {"residual": True}, num_layers=2).float()
    x = torch.randn(B, T, D, dtype=torch.float32)
    expected, _ = net(x, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = net(x, LENGTHS)
        net(x, LENGTHS, state)[0].float().square().sum().backward()
    assert (outputs.float() - expected).abs().mean() < 0.05 * expected.abs().mean()
    assert state.dtype == torch.float32
    assert (state - net(x, LENGTHS)[1]).abs().mean() < 0.02 * state.abs().mean()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("cell", CELLS)
def test_weights_in_bfloat16(cell: str) -> None:
    net = make(cell, SIGNED | {"residual": True}, num_layers=2).float()
    x = torch.randn(B, T, D, dtype=torch.float32)
    expected, _ = net(x, LENGTHS)
    half = copy.deepcopy(net).bfloat16()
    outputs, state = half(x.bfloat16(), LENGTHS)
    assert outputs.dtype == state.dtype == torch.bfloat16
    assert (outputs.float() - expected).abs().mean() < 0.05 * expected.abs().mean()
    outputs.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in half.parameters())


@pytest.mark.parametrize("residual", [False, True])
def test_dropout_while_training_alone(residual: bool) -> None:
    net, x = make("mingru", {"residual": residual}, num_layers=2, dropout=0.5), torch.randn(B, T, D)
    same = make("mingru", {"residual": residual}, num_layers=2)
    same.load_state_dict(net.state_dict())
    assert (net(x)[0] - same(x)[0]).abs().max() > 1e-3
    assert_same([net.eval()(x)[0]], [same(x)[0]], atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "fused"}, "RecurrentConfig.backend fused has no mingru: choose scan or loop"),
        (
            {"cell": "lstm", "backend": "scan"},
            "RecurrentConfig.backend scan is for mingru, minlstm, diagonal, deltanet",
        ),
        ({"layer_norm": True}, "RecurrentConfig.layer_norm is not for cell mingru: leave it at False"),
        ({"forget_bias": 1.0}, "RecurrentConfig.forget_bias is not for cell mingru: leave it at None"),
        ({"cell": "deltanet", "linear": {"num_heads": 3}}, "LinearConfig.num_heads 3 must divide hidden_size 4"),
        ({"linear": {"num_householder": 0}}, "LinearConfig.num_householder must be at least 1, not 0"),
        (
            {"bidirectional": True, "linear": {"residual": True}},
            "LinearConfig.residual goes with one direction: set bidirectional to false",
        ),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        group_from(RecurrentConfig, {"cell": "mingru", "hidden_size": H} | arguments)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": torch.zeros(B, 0, D)}, "x must be (B, T, 3) with T at least 1, not (4, 0, 3)"),
        ({"lengths": torch.tensor([3, 0, 1, 5])}, "lengths must be from 1 to T = 11, not [3, 0, 1, 5]"),
        ({"state": torch.zeros(1, B, H + 1)}, "state must be (1, 4, 4), not (1, 4, 5)"),
        ({"state": (torch.zeros(1, B, H), torch.zeros(1, B, H))}, "state of cell 'mingru' must be one tensor, not a"),
    ],
)
def test_bad_inputs_are_named(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        make("mingru")(**{"x": torch.zeros(B, T, D)} | inputs)
    assert str(error.value).startswith(message)


def test_the_other_cells_keep_their_net() -> None:
    assert isinstance(build_recurrent(D, RecurrentConfig("gru", H)), Recurrent)
    with pytest.raises(ValueError, match="build_recurrent"):
        Recurrent(D, cell="mingru", hidden_size=H)
