"""The recurrent encoder-decoder against cells in a loop, a row at a time; its steps against the whole target."""

import itertools
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from seq_modules.nets.rnn.attention import Attention
from seq_modules.nets.rnn.linear.config import LinearCell
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq import EncoderDecoderRNN
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig

B, S, T, D, H, A, V = 3, 6, 9, 10, 8, 5, 17
LENGTHS = torch.tensor([6, 3, 1])
MASK = torch.arange(S) < LENGTHS[:, None]
KINDS = list(itertools.product(("gru", "lstm"), ("additive", "dot", "none"), (False, True), (True, False)))
LINEAR = [  # DeltaNet's last state is a matrix, which no step can be fed
    (cell, attention, feeding, False)
    for cell, attention, feeding in itertools.product(get_args(LinearCell), ("additive", "none"), (False, True))
    if (cell, attention, feeding) != ("deltanet", "none", True)
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def make(
    cell: Any = "gru", attention: Any = "additive", feeding: bool = False, bidirectional: bool = True, **options: Any
) -> EncoderDecoderRNN:
    rnn = RecurrentConfig(cell, options.pop("hidden_size", H), num_layers=2, bidirectional=bidirectional)
    config = Seq2SeqRNNConfig(D, attention, A, feeding, rnn=rnn, **{"dropout": 0.0, **options})
    net = EncoderDecoderRNN(V, V, config).double().eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return net


def inputs(steps: int = T) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randint(4, V, (B, S)).masked_fill(~MASK, 0), MASK, torch.randint(4, V, (B, steps))


State = list[Tensor]  # h, and the LSTM's c


def cell_step(rnn: Recurrent, index: int, x: Tensor, state: State) -> State:
    """One step of torch's cell, (D,) and states (H,)."""
    rows = [part[None] for part in state]
    if rnn.cell == "gru":
        return [torch.gru_cell(x[None], rows[0], *rnn.weights(index))[0]]
    return [part[0] for part in torch.lstm_cell(x[None], rows, *rnn.weights(index))]


def by_hand(net: EncoderDecoderRNN, source: list[int], target: list[int]) -> Tensor:
    """Logits (T, V) of one row: the papers' equations, a step at a time."""
    rnn, directions = net.config.rnn, 2 if net.config.rnn.bidirectional else 1
    parts = 2 if rnn.cell == "lstm" else 1
    zeros = [torch.zeros(H, dtype=torch.float64) for _ in range(parts)]
    states = [net.source_embedding.weight[i] for i in source]
    first: list[State] = []
    for layer in range(2):
        outputs, ends = [], []
        for direction in range(directions):
            state, found = zeros, []
            for x in reversed(states) if direction else states:
                state = cell_step(net.encoder, layer * directions + direction, x, state)
                found.append(state[0])
            outputs.append(found[::-1] if direction else found)
            ends.append(state)
        states = [torch.cat(each) for each in zip(*outputs, strict=True)]
        if net.bridge is None:
            first.append(ends[0])
        else:
            made = [net.bridge[part * 2 + layer](torch.cat([end[part] for end in ends])) for part in range(parts)]
            first.append([made[0].tanh(), *made[1:]])
    memory = torch.stack(states)  # (S, M)
    input_feed = first[-1][0] if net.attention is None else torch.zeros(H, dtype=torch.float64)
    hidden, logits = first, []
    for token in target:
        x = net.target_embedding.weight[token]
        if net.config.input_feeding:
            x = torch.cat((x, input_feed))
        for layer in range(2):
            hidden[layer] = cell_step(net.decoder, layer, x, hidden[layer])
            x = hidden[layer][0]
        if net.attention is not None:
            scores = []
            for one in memory:
                key = net.attention.key.weight @ one
                if net.attention.v is None:
                    scores.append(x @ key)
                else:
                    assert net.attention.query is not None
                    scores.append(net.attention.v @ torch.tanh(net.attention.query(x) + key))
            context = torch.stack(scores).softmax(0) @ memory
            x = torch.tanh(net.combine.weight @ torch.cat((context, x)))
            input_feed = x
        logits.append(net.head.weight @ x)
    return torch.stack(logits)


@pytest.mark.parametrize(("cell", "attention", "feeding", "bidirectional"), KINDS)
def test_logits_and_gradients_equal_cells_in_a_loop(
    cell: str, attention: str, feeding: bool, bidirectional: bool
) -> None:
    net, (source_ids, mask, target_ids) = make(cell, attention, feeding, bidirectional), inputs()
    rows = zip(source_ids.tolist(), LENGTHS.tolist(), target_ids.tolist(), strict=True)
    expected = torch.stack([by_hand(net, source[:length], target) for source, length, target in rows])
    logits = net(source_ids, mask, target_ids)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    ahead = torch.randn_like(logits)
    ours, theirs = (torch.autograd.grad(found, list(net.parameters()), ahead) for found in (logits, expected))
    for (name, _), one, other in zip(net.named_parameters(), ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11, msg=name)


@pytest.mark.parametrize(("cell", "attention", "feeding", "bidirectional"), [*KINDS, *LINEAR])
def test_steps_equal_the_whole_target_for_reordered_beams_too(
    cell: str, attention: str, feeding: bool, bidirectional: bool
) -> None:
    net, (source_ids, mask, _) = make(cell, attention, feeding, bidirectional), inputs()
    written = torch.randint(4, V, (B, 2)).repeat_interleave(2, 0)
    rows = torch.arange(B).repeat_interleave(2)
    logits, state = net.prefill(source_ids, mask, written[::2])
    torch.testing.assert_close(logits, net(source_ids, mask, written[::2])[:, -1], rtol=1e-11, atol=1e-11)
    state = net.reorder(state, rows)
    for step in range(10):
        new = torch.randint(4, V, rows.shape)
        logits, state = net.decode_step(new, state)
        written = torch.cat((written, new[:, None]), dim=1)
        expected = net(source_ids[rows], mask[rows], written)[:, -1]
        torch.testing.assert_close(logits, expected, rtol=1e-11, atol=1e-11)
        if step < 4:
            parents = torch.tensor([1, 0, 2, 2, 5, 4])
        elif step == 4:  # the second source has ended
            parents = torch.tensor([0, 1, 5, 4])
        else:  # rows in any order
            parents = torch.tensor([2, 0, 3, 2])
        state, written, rows = net.reorder(state, parents), written[parents], rows[parents]
        if step < 4:
            assert len(state.encoded.mask) == B  # beams share what is kept of their source


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
def test_padding_and_neighbours_change_nothing(attention: str, feeding: bool) -> None:
    net, (source_ids, mask, target_ids) = make(attention=attention, feeding=feeding), inputs()
    whole = net(source_ids, mask, target_ids)
    for row, length in enumerate(LENGTHS.tolist()):
        one, steps = slice(row, row + 1), row + 2
        alone = net(source_ids[one, :length], mask[one, :length], target_ids[one, :steps])
        torch.testing.assert_close(whole[one, :steps], alone, rtol=0, atol=1e-12)
    assert torch.equal(net(source_ids.masked_fill(~mask, 9), mask, target_ids), whole)


def test_a_step_depends_on_no_later_one() -> None:
    net, (source_ids, mask, target_ids) = make(), inputs()
    changed = target_ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % V
    before, after = net(source_ids, mask, target_ids), net(source_ids, mask, changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5] != after[:, 5]).any(1).all()


def test_without_attention_the_last_state_is_all_that_is_read() -> None:
    net, (source_ids, mask, target_ids) = make(attention="none"), inputs()
    encoded = net.encode(source_ids, mask)
    blind = net.start(encoded._replace(states=torch.full_like(encoded.states, math.nan)))
    assert torch.equal(net.logits(net.decode(target_ids, blind).outputs), net(source_ids, mask, target_ids))
    assert net.cross_attention(source_ids, mask, target_ids) is None


@pytest.mark.parametrize("feeding", [False, True])
def test_attention_weights_are_those_of_the_output(feeding: bool) -> None:
    net, (source_ids, mask, target_ids) = make(feeding=feeding), inputs()
    weights = net.cross_attention(source_ids, mask, target_ids)
    assert weights is not None
    assert weights.shape == (B, 1, 1, T, S)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 1, 1, T, dtype=torch.float64))
    assert (weights[1, ..., 3:] == 0).all()
    encoded = net.encode(source_ids, mask)
    # With the source's states replaced by their means under the weights, any attention gives the same output.
    decoded = net.decode(target_ids[:, :1], net.start(encoded))
    context = weights[:, 0, 0, :1] @ encoded.states
    flat = net.decode(target_ids[:, :1], net.start(encoded._replace(states=context.expand(-1, S, -1))))
    torch.testing.assert_close(flat.outputs, decoded.outputs, rtol=0, atol=1e-12)


def test_the_scores_are_those_of_the_papers() -> None:
    states, memory = torch.randn(1, 2, H), torch.randn(1, 4, 3)
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    dot, additive = Attention("dot", H, 3, A), Attention("additive", H, 3, A)
    assert additive.query is not None
    assert additive.v is not None
    for t in range(2):
        scores = torch.stack([states[0, t] @ dot.key.weight @ memory[0, s] for s in range(4)])
        found = dot(states, dot.key(memory), everywhere)[0, t]
        torch.testing.assert_close(found, scores.softmax(0))
        hidden = [additive.query(states[0, t]) + additive.key.weight @ memory[0, s] for s in range(4)]
        scores = torch.stack([torch.tanh(h) @ additive.v for h in hidden])
        torch.testing.assert_close(additive(states, additive.key(memory), everywhere)[0, t], scores.softmax(0))


@pytest.mark.parametrize(("shared", "tables"), [("none", 3), ("decoder", 2), ("all", 1)])
def test_embeddings_are_shared_as_said(shared: Any, tables: int) -> None:
    net = make(share_embeddings=shared, hidden_size=D)
    assert len({net.source_embedding.weight, net.target_embedding.weight, net.head.weight}) == tables


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^net.share_embeddings decoder needs net.d_model \(10\) and .* \(8\)"):
        make(share_embeddings="decoder")
    with pytest.raises(ValueError, match=r"^net.share_embeddings all needs one vocabulary"):
        EncoderDecoderRNN(9, 8, Seq2SeqRNNConfig(D, share_embeddings="all", rnn=RecurrentConfig("gru", D)))
    with pytest.raises(ValueError, match=r"^net.attention must be one of"):
        make(attention="location")
    with pytest.raises(ValueError, match=r"^net.input_feeding without attention .* deltanet is a matrix"):
        make("deltanet", "none", feeding=True, bidirectional=False)


def test_dropout_is_for_training_alone() -> None:
    net, (source_ids, mask, target_ids) = make(dropout=0.3), inputs()
    other = make()
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(source_ids, mask, target_ids), other(source_ids, mask, target_ids))
    net.train()
    assert (net(source_ids, mask, target_ids) != net(source_ids, mask, target_ids)).any()


@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
def test_half_precision_is_near_and_logits_are_float32(attention: str) -> None:
    net, (source_ids, mask, target_ids) = make(attention=attention).float(), inputs()
    expected = net(source_ids, mask, target_ids)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(source_ids, mask, target_ids)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.06)
    logits = net.bfloat16()(source_ids, mask, target_ids)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.1)
