"""Heads: against plain sums written out, what each field may depend on, distances, what is recalled, averaged nets."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from seq_modules.nets.music.event_context import PROFILE, Known, Recalled
from seq_modules.nets.music.event_heads import EventHead, EventHeads

SIZES, FIRST = [5, 7, 3], 2
SHAPE = (2, 4)


def events(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(size, shape, generator=generator) for size in SIZES], dim=-1)


def changed(these: Tensor, step: int, field: int) -> Tensor:
    other = these.clone()
    other[:, step, field] = (other[:, step, field] + 1) % SIZES[field]
    return other


def known(members: int = 1, first: int = 0) -> Known:
    """Outputs of nets; last pitches, of which one is missing; two recalled events a step, of which one is nothing."""
    generator = torch.Generator().manual_seed(1)
    outputs = tuple(torch.randn(*SHAPE, 6, generator=generator, dtype=torch.float64) for _ in range(members))
    recalled = torch.stack([torch.randint(size, (*SHAPE, 2), generator=generator) for size in SIZES], dim=-1)
    runs = torch.randint(1, 32, (*SHAPE, 2, 2), generator=generator)
    recalled[0, 1, 1], runs[0, 1, 1] = 0, 0
    anchor = torch.randint(FIRST, 7, SHAPE, generator=generator)
    anchor[1, 2] = -1
    lags = torch.randint(16, (*SHAPE, 2), generator=generator)
    profile = torch.rand(*SHAPE, PROFILE, generator=generator, dtype=torch.float64)
    return Known(outputs, first, anchor, profile, Recalled(recalled, runs, lags))


def full(kind: str = "chained", members: int = 1) -> EventHeads:
    torch.manual_seed(0)
    return EventHeads(SIZES, 6, kind, relative=True, recall=True, members=members, pitch_ids=(FIRST, 5)).double()


def loss_by_hand(head: EventHead, x: Tensor, these: Tensor, chained: bool) -> Tensor:
    """-Σ log p of the events (B, T, F) one by one, each field's logits written out."""
    total = torch.zeros((), dtype=x.dtype)
    for b, t in itertools.product(range(x.shape[0]), range(x.shape[1])):
        for field in range(len(SIZES)):
            h = x[b, t]
            if chained and field > 0:
                tables = head.earlier.weight.split(SIZES[:-1])
                told = sum(tables[g][these[b, t, g]] for g in range(field))
                mix = head.mixes[field - 1]
                z = mix.weight @ torch.cat([h, told]) + mix.bias
                h = h + z * (1 + torch.erf(z / 2**0.5)) / 2
            out = head.outputs[field]
            z = out.weight @ h + out.bias
            total = total + z.exp().sum().log() - z[these[b, t, field]]
    return total


@pytest.mark.parametrize("kind", ["chained", "independent"])
def test_loss_and_gradients_equal_those_written_out(kind: str) -> None:
    torch.manual_seed(0)
    heads = EventHeads(SIZES, 6, kind).double()
    x, these = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True), events(2, 4)
    logits = heads(Known((x,)), these)
    loss = sum(F.cross_entropy(z.flatten(0, 1), these[..., f].flatten(), reduction="sum") for f, z in enumerate(logits))
    expected = loss_by_hand(heads.members[0], x, these, kind == "chained")
    assert_close(loss, expected)
    weights = [x, *heads.parameters()]
    for ours, theirs in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        assert_close(ours, theirs)
        assert ours.abs().sum() > 0


@pytest.mark.parametrize("kind", ["chained", "independent"])
def test_probabilities_of_all_events_sum_to_one(kind: str) -> None:
    torch.manual_seed(0)
    heads = EventHeads(SIZES, 6, kind).double()
    every = torch.tensor(list(itertools.product(*map(range, SIZES))))
    logits = heads(Known((torch.randn(6, dtype=torch.float64).expand(len(every), 6),)), every)
    log_p = sum(F.log_softmax(z, -1).gather(1, every[:, f : f + 1]) for f, z in enumerate(logits))
    assert log_p.exp().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(("kind", "told"), [("chained", True), ("independent", False)])
def test_a_field_knows_those_before_it_and_no_other(kind: str, told: bool) -> None:
    torch.manual_seed(0)
    heads, x, these = EventHeads(SIZES, 6, kind), torch.randn(1, 4, 6), events(1, 4)
    for field in range(3):
        other = heads(Known((x,)), changed(these, 2, field))
        for at, (before, after) in enumerate(zip(heads(Known((x,)), these), other, strict=True)):
            differs = (before != after).any(-1)[0]
            assert differs.tolist() == [False, False, told and at > field, False]


def test_left_alone_each_field_is_told_the_likeliest_before_it() -> None:
    torch.manual_seed(0)
    heads, x = EventHeads(SIZES, 6), torch.randn(2, 3, 6)
    logits = heads(Known((x,)))
    likeliest = torch.stack([z.argmax(-1) for z in logits], dim=-1)
    for ours, theirs in zip(logits, heads(Known((x,)), likeliest), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["chained", "independent"])
def test_scale_distances_and_what_is_recalled_add_what_they_should(kind: str) -> None:
    heads, these, told = full(kind), events(*SHAPE), known()
    plain = EventHeads(SIZES, 6, kind).double()
    plain.load_state_dict(heads.state_dict(), strict=False)
    head = heads.members[0]
    x = told.outputs[0] + told.profile @ head.scale.weight.T
    for field, (ours, base) in enumerate(zip(heads(told, these), plain(Known((x,)), these), strict=True)):
        expected = base.clone()
        for b, t in itertools.product(*map(range, SHAPE)):
            h = x[b, t]
            if kind == "chained" and field:
                e = head.earlier.of(these[b, t, :field])
                h = h + F.gelu(head.mixes[field - 1](torch.cat([h, e])))
            if field == 1 and told.anchor[b, t] >= 0:
                weights = head.distances.weight @ h + head.distances.bias
                for pitch in range(FIRST, 6):
                    expected[b, t, pitch] += weights[pitch - told.anchor[b, t] + 7]
            pointer = head.pointers[field]
            for m in range(2):
                event, runs, lag = (part[b, t, m] for part in told.recalled)
                if not runs.any():
                    continue
                z = pointer.runs[0].weight[runs[0]] + pointer.runs[1].weight[runs[1]] + pointer.lags.weight[lag]
                if kind == "chained" and field:
                    z = z + pointer.agrees.weight[int(event[:field].tolist() == these[b, t, :field].tolist())]
                expected[b, t, event[field]] += pointer.score(z + pointer.known(h)).item()
        assert_close(ours, expected)


def test_every_weight_of_full_heads_learns() -> None:
    heads, these = full(), events(*SHAPE)
    logits = heads(known(), these)
    sum(F.cross_entropy(z.flatten(0, 1), these[..., f].flatten()) for f, z in enumerate(logits)).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in heads.parameters())


def test_an_index_picks_all_that_is_known() -> None:
    heads, these, told = full(), events(*SHAPE), known()
    for whole, part in zip(heads(told, these), heads(told[1, 2:], these[1, 2:]), strict=True):
        assert_close(whole[1, 2:], part)


def test_several_nets_average_their_probabilities() -> None:
    heads, these, told = full(members=3), events(*SHAPE), known(3)
    alone = [heads(Known((x,), k, told.anchor, told.profile, told.recalled), these) for k, x in enumerate(told.outputs)]
    assert not torch.allclose(alone[0][0], alone[1][0])
    for field, ours in enumerate(heads(told, these)):
        mean = torch.stack([logits[field].softmax(-1) for logits in alone]).mean(0)
        assert_close(ours.softmax(-1), mean)


def test_unknown_heads_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^heads"):
        EventHeads([3, 4], 4, "both")
