"""The recurrent nets against torch.nn, against each other, and against what must hold of any of them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq_modules.nets.rnn import bptt, cells
from seq_modules.nets.rnn.recurrent import Recurrent

B, T, D, H = 5, 7, 3, 4
LENGTHS = [3, 7, 1, 5, 6]
BACKENDS = ["loop", "bptt", "fused", "numpy"]
CELLS = ["rnn", "lstm", "gru"]
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
#: Every net there is: (backend, cell, nonlinearity, layer_norm)
KINDS = [
    *((backend, cell, "tanh", False) for backend in BACKENDS for cell in CELLS),
    *((backend, "rnn", "relu", False) for backend in BACKENDS),
    *((backend, "rnn", "sigmoid", False) for backend in ("loop", "bptt", "numpy")),
    *(("loop", cell, "tanh", True) for cell in CELLS),
]


@pytest.fixture(autouse=True)
def _float64() -> Any:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make(kind: tuple[str, str, str, bool], **options: Any) -> Recurrent:
    backend, cell, nonlinearity, layer_norm = kind
    chosen: Any = {"backend": backend, "cell": cell, "nonlinearity": nonlinearity, "layer_norm": layer_norm}
    net = Recurrent(D, hidden_size=H, **chosen, **options)
    for parameter in net.parameters():  # norms start as identities, which would hide a missing gain
        nn.init.uniform_(parameter, -0.8, 0.8)
    return net


def random_state(net: Recurrent, batch: int = B) -> Any:
    h, c = torch.randn(2, net.num_layers * net.num_directions, batch, net.hidden_size)
    return (h, c) if net.cell == "lstm" else h


def parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def results(run: Any, module: nn.Module, x: Tensor, state: Any) -> list[Tensor]:
    """Outputs, state, and the gradients of a random weighting of them by x, the state and the parameters."""
    x = x.clone().requires_grad_()
    if state is not None:
        state = tuple(part.clone().requires_grad_() for part in parts(state))
        leaves = [x, *state, *module.parameters()]
        state = state if len(state) == 2 else state[0]
    else:
        leaves = [x, *module.parameters()]
    outputs, after = run(x, state)
    values = [outputs, *parts(after)]
    generator = torch.Generator().manual_seed(1)
    loss = torch.stack([(value * torch.randn(value.shape, generator=generator)).sum() for value in values]).sum()
    return [*values, *torch.autograd.grad(loss, leaves)]


def assert_same(ours: list[Tensor], theirs: list[Tensor], atol: float = 1e-10) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("with_state", [False, True], ids=["zeros", "state"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize(
    ("cell", "nonlinearity"), [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
)
def test_backends_equal_torch_nn_in_outputs_and_gradients(
    cell: str, nonlinearity: str, num_layers: int, bidirectional: bool, with_lengths: bool, with_state: bool
) -> None:
    options = {"nonlinearity": nonlinearity} if cell == "rnn" else {}
    theirs = TORCH[cell](D, H, num_layers, batch_first=True, bidirectional=bidirectional, **options)
    x = torch.randn(B, T, D)
    lengths = torch.tensor(LENGTHS) if with_lengths else None

    def run_torch(x: Tensor, state: Any) -> Any:
        if lengths is None:
            return theirs(x, state)
        outputs, after = theirs(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
        return pad_packed_sequence(outputs, batch_first=True, total_length=T)[0], after

    state, expected = None, None
    for backend in BACKENDS:
        ours = make((backend, cell, nonlinearity, False), num_layers=num_layers, bidirectional=bidirectional)
        ours.load_state_dict(theirs.state_dict())
        if expected is None:
            state = random_state(ours) if with_state else None
            expected = results(run_torch, theirs, x, state)
        assert_same(results(lambda x, state, net=ours: net(x, lengths, state), ours, x, state), expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [3, 3, 2, 1] + [1] * 20], ids=["full", "ragged"])
@pytest.mark.parametrize(
    "kind", [("rnn", "tanh"), ("rnn", "sigmoid"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
)
def test_hand_written_gradients_equal_the_plain_loop(kind: Any, sizes: list[int], reverse: bool) -> None:
    cell, nonlinearity = kind
    blocks = cells.BLOCKS[cell] * H
    shapes = [(sum(sizes), D), (blocks, D), (blocks, H), (blocks,), (blocks,), *[(3, H)] * (1 + (cell == "lstm"))]
    leaves = [torch.randn(shape).requires_grad_() for shape in shapes]
    found = []
    for scan in (cells.scan, bptt.scan):
        rows, weights, states = leaves[0], cells.Weights(*leaves[1:5]), tuple(leaves[5:])
        outputs, after = scan(cell, rows, sizes, weights, states, reverse, nonlinearity)
        loss = torch.stack([(value.sin() * (1 + k)).sum() for k, value in enumerate((outputs, *after))]).sum()
        first = torch.autograd.grad(loss, leaves, retain_graph=True)
        again = torch.autograd.grad(loss, leaves)  # what backward works on must still be there
        assert_same(list(first), list(again), atol=0)
        found.append([outputs, *after, *first])
    assert_same(found[0], found[1], atol=1e-11)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] != "fused"], ids=str)
def test_gradcheck(kind: Any) -> None:
    net = make(kind, num_layers=2, bidirectional=True)
    inputs = (torch.randn(B, T, D, requires_grad=True), *parts(random_state(net)))
    for part in inputs[1:]:
        part.requires_grad_()
    lengths = torch.tensor(LENGTHS)

    def run(x: Tensor, *state: Tensor) -> Any:
        outputs, after = net(x, lengths, state if len(state) == 2 else state[0])
        return outputs, *parts(after)

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_chunks_with_carried_state_equal_the_whole(kind: Any) -> None:
    net, x = make(kind, num_layers=2), torch.randn(B, T, D)
    whole, after = net(x)
    state, chunks = None, []
    for chunk in x.split([1, 4, 2], dim=1):
        outputs, state = net(chunk, state=state)
        chunks.append(outputs)
    assert_same([torch.cat(chunks, 1), *parts(state)], [whole, *parts(after)], atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_padding_changes_nothing(kind: Any, bidirectional: bool) -> None:
    net, x = make(kind, num_layers=2, bidirectional=bidirectional), torch.randn(B, T, D)
    lengths, state = torch.tensor(LENGTHS), random_state(net)
    padding = torch.arange(T) >= lengths[:, None]
    expected = results(lambda x, state: net(x, lengths, state), net, x, state)
    assert expected[0][padding].eq(0).all()
    x_grad = 1 + len(parts(state))
    assert expected[x_grad][padding].eq(0).all()

    garbage = x.clone()
    garbage[padding] = torch.tensor([1e300, float("nan"), float("-inf")])
    assert_same(results(lambda x, state: net(x, lengths, state), net, garbage, state), expected, atol=0)

    longer = torch.cat([x, torch.randn(B, 9, D)], 1)
    outputs, after = net(longer, lengths, state)
    assert_same([outputs[:, :T], *parts(after)], expected[:x_grad], atol=0)
    assert outputs[:, T:].eq(0).all()

    for row, length in enumerate(LENGTHS):  # alone and unpadded
        alone = tuple(part[:, row : row + 1] for part in parts(state))
        outputs, after = net(x[row : row + 1, :length], state=alone if len(alone) == 2 else alone[0])
        rows = [expected[0][row : row + 1, :length], *(part[:, row : row + 1] for part in expected[1:x_grad])]
        assert_same([outputs, *parts(after)], rows, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_output_depends_on_a_later_input(kind: Any) -> None:
    net, x = make(kind, num_layers=2), torch.randn(B, T, D, requires_grad=True)
    outputs, _ = net(x)
    (gradient,) = torch.autograd.grad(outputs[:, 3].sum(), x)
    assert gradient[:, 4:].eq(0).all()
    assert gradient[:, :4].ne(0).any(2).all() or kind[2] == "relu"
    changed = torch.cat([x[:, :4], torch.randn(B, T - 4, D)], 1)
    assert_same([net(changed)[0][:, :4]], [outputs[:, :4]], atol=1e-14)


def test_sigmoid_rnn_by_hand() -> None:
    net: Any = make(("bptt", "rnn", "sigmoid", False))
    x = torch.randn(1, 2, D)
    first = 1 / (1 + torch.exp(-(net.weight_ih_l0 @ x[0, 0] + net.bias_ih_l0 + net.bias_hh_l0)))
    sums = net.weight_ih_l0 @ x[0, 1] + net.weight_hh_l0 @ first + net.bias_ih_l0 + net.bias_hh_l0
    assert_same([net(x)[0][0]], [torch.stack([first, 1 / (1 + torch.exp(-sums))])], atol=1e-14)


def standardised(a: Tensor) -> Tensor:
    return (a - a.mean()) / (a.var(correction=0) + 1e-5).sqrt()


@pytest.mark.parametrize("cell", CELLS)
def test_layer_norm_by_hand(cell: str) -> None:
    """One step from a given state, by the paper's equations."""
    net: Any = make(("loop", cell, "tanh", True))
    x, state = torch.randn(1, 1, D), random_state(net, 1)
    h = parts(state)[0][0, 0]
    wx, wh = net.weight_ih_l0 @ x[0, 0], net.weight_hh_l0 @ h
    norms = net.norms[0]
    gains, input_gains = [norm.weight for norm in norms.state], [norm.weight for norm in norms.input]
    if cell == "rnn":
        expected = (standardised(wx + wh) * gains[0] + net.bias_ih_l0 + net.bias_hh_l0).tanh()
    elif cell == "lstm":
        sums = standardised(wh) * gains[0] + standardised(wx) * input_gains[0] + net.bias_ih_l0 + net.bias_hh_l0
        i, f, g, o = sums.chunk(4)
        c = f.sigmoid() * state[1][0, 0] + i.sigmoid() * g.tanh()
        expected = o.sigmoid() * (standardised(c) * norms.cell.weight + norms.cell.bias).tanh()
    else:
        gates = standardised(wh[: 2 * H]) * gains[0] + standardised(wx[: 2 * H]) * input_gains[0]
        r, z = (gates + (net.bias_ih_l0 + net.bias_hh_l0)[: 2 * H]).sigmoid().chunk(2)
        n = standardised(wx[2 * H :]) * input_gains[1] + net.bias_ih_l0[2 * H :]
        n = (n + r * (standardised(wh[2 * H :]) * gains[1] + net.bias_hh_l0[2 * H :])).tanh()
        expected = (1 - z) * n + z * h
    assert_same([net(x, state=state)[0][0, 0]], [expected], atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_state_dicts_move_between_backends_and_torch_nn(cell: str) -> None:
    theirs = TORCH[cell](D, H, 2, bidirectional=True)
    for backend in BACKENDS:
        ours = make((backend, cell, "tanh", False), num_layers=2, bidirectional=True)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bfloat16_autocast(kind: Any) -> None:
    net = make(kind, num_layers=2, bidirectional=True).float()
    x, lengths = torch.randn(B, T, D, dtype=torch.float32), torch.tensor(LENGTHS)
    expected, _ = net(x, lengths)
    for dtype in (torch.float32, torch.bfloat16):  # from an embedding, from a linear layer
        with torch.autocast("cpu", torch.bfloat16):
            outputs, state = net(x.to(dtype), lengths)
            again, _ = net(x.to(dtype), lengths, state)
            again.float().square().sum().backward()
        assert (outputs - expected).abs().max() < 0.03 * max(1, expected.abs().max())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_between_layers_while_training_alone(backend: str) -> None:
    net, x = make((backend, "lstm", "tanh", False), num_layers=2, dropout=0.5), torch.randn(B, T, D)
    same = make((backend, "lstm", "tanh", False), num_layers=2)
    same.load_state_dict(net.state_dict())
    assert (net(x)[0] - same(x)[0]).abs().max() > 1e-3
    assert_same([net(x)[1][0][0]], [same(x)[1][0][0]], atol=0)  # the first layer is as it was
    assert_same([net.eval()(x)[0]], [same(x)[0]], atol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_starting_values(cell: str) -> None:
    def blocks(init: str) -> Any:
        net = Recurrent(D, hidden_size=H, cell=cell, num_layers=2, recurrent_init=init)  # type: ignore[arg-type]
        return [net.weights(index) for index in range(2)]

    for weights in blocks("uniform"):
        assert all(0.3 < parameter.abs().max() <= H**-0.5 for parameter in weights)
    for weights in blocks("orthogonal"):
        for block in weights.w_hh.split(H):
            assert_same([block @ block.T], [torch.eye(H)], atol=1e-12)
        assert weights.b_hh.ne(0).any()
    for weights in blocks("identity"):
        assert_same([weights.w_hh], [torch.eye(H).repeat(cells.BLOCKS[cell], 1)], atol=0)
        assert not weights.b_ih.any()
        assert not weights.b_hh.any()


@pytest.mark.parametrize("init", ["uniform", "identity"])
def test_forget_bias_is_the_total_of_both_biases(init: Any) -> None:
    net = Recurrent(D, hidden_size=H, forget_bias=1.5, bidirectional=True, recurrent_init=init)
    for index in range(2):
        total = net.weights(index).b_ih + net.weights(index).b_hh
        assert total[H : 2 * H].eq(1.5).all()
        assert total[:H].ne(1.5).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 0}, "RecurrentConfig.hidden_size must be at least 1, not 0"),
        ({"input_size": -1}, "input_size must be at least 1, not -1"),
        ({"num_layers": 0}, "RecurrentConfig.num_layers must be at least 1, not 0"),
        ({"dropout": 2}, "RecurrentConfig.dropout must be at least 0 and below 1, not 2"),
        (
            {"cell": "mlp"},
            "RecurrentConfig.cell must be one of 'rnn', 'lstm', 'gru', 'mingru', "
            "'minlstm', 'diagonal', 'deltanet', not 'mlp'",
        ),
        (
            {"backend": "cuda"},
            "RecurrentConfig.backend must be one of 'auto', 'loop', 'bptt', 'fused', 'numpy', 'scan', not 'cuda'",
        ),
        (
            {"recurrent_init": "zeros"},
            "RecurrentConfig.recurrent_init must be one of 'uniform', 'orthogonal', 'identity', not",
        ),
        ({"nonlinearity": "elu"}, "RecurrentConfig.nonlinearity must be one of 'tanh', 'sigmoid', 'relu', not 'elu'"),
        ({"nonlinearity": "relu"}, "RecurrentConfig.nonlinearity relu is for cell rnn alone; lstm takes tanh"),
        (
            {"cell": "gru", "forget_bias": 1.0},
            "RecurrentConfig.forget_bias 1.0 is for cell lstm alone; gru has no forget gate",
        ),
        (
            {"layer_norm": True, "backend": "numpy"},
            "RecurrentConfig.layer_norm is not in backend numpy: choose backend loop",
        ),
        (
            {"cell": "rnn", "nonlinearity": "sigmoid", "backend": "fused"},
            "RecurrentConfig.nonlinearity sigmoid is not in backend fused: choose loop, bptt or numpy",
        ),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        Recurrent(**{"input_size": D, "hidden_size": H} | arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": torch.zeros(B, T, D + 1)}, "x must be (B, T, 3) with T at least 1, not (5, 7, 4)"),
        ({"x": torch.zeros(B, 0, D)}, "x must be (B, T, 3) with T at least 1, not (5, 0, 3)"),
        ({"lengths": torch.tensor([3, 0, 1, 5, 7])}, "lengths must be from 1 to T = 7, not [3, 0, 1, 5, 7]"),
        ({"lengths": torch.tensor([3, 8, 1, 5, 7])}, "lengths must be from 1 to T = 7, not [3, 8, 1, 5, 7]"),
        ({"lengths": torch.tensor([3])}, "lengths must be (5,) integers, not (1,) torch.int64"),
        ({"lengths": torch.ones(B, dtype=torch.float64)}, "lengths must be (5,) integers, not (5,) torch.float64"),
        ({"state": torch.zeros(1, B, H)}, "state of cell 'lstm' must be a pair (h, c), not a Tensor"),
        ({"state": (torch.zeros(1, B, H), torch.zeros(2, B, H))}, "state must be (1, 5, 4), not (2, 5, 4)"),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_inputs_are_named(backend: str, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        make((backend, "lstm", "tanh", False))(**{"x": torch.zeros(B, T, D)} | inputs)
    assert str(error.value) == message


def test_a_compiled_net_leaves_it_as_it_is() -> None:
    """Dynamo makes something else of packed rows than PyTorch."""
    net = nn.ModuleDict({"rnn": make(("fused", "gru", "tanh", False)), "head": nn.Linear(H, 2)})
    graphs = []

    def run(x: Tensor, lengths: Tensor) -> Tensor:
        return net["head"](net["rnn"](2 * x, lengths)[0])

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    x, lengths = torch.randn(B, T, D), torch.tensor(LENGTHS)
    assert torch.equal(torch.compile(run, backend=backend)(x, lengths), run(x, lengths))
    assert len(graphs) == 2  # before it, and behind it
