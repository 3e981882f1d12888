"""Heads: against plain sums written out, what each field may depend on, distances, what is copied."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from seq_modules.nets.music.event_context import PROFILE, EventFeatures
from seq_modules.nets.music.event_heads import EventHead, NoteConfig
from seq_modules.nets.retrieval import Retrieved

SIZES, FIRST = [5, 7, 3], 2
SHAPE = (2, 4)
NONE = EventFeatures()


def events(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(size, shape, generator=generator) for size in SIZES], dim=-1)


def changed(these: Tensor, step: int, field: int) -> Tensor:
    other = these.clone()
    other[:, step, field] = (other[:, step, field] + 1) % SIZES[field]
    return other


def given() -> tuple[Tensor, EventFeatures]:
    """A net's output; last pitches, of which one is missing; two retrieved events a step, of which one is nothing."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*SHAPE, 6, generator=generator, dtype=torch.float64)
    retrieved = torch.stack([torch.randint(size, (*SHAPE, 2), generator=generator) for size in SIZES], dim=-1)
    lengths = torch.randint(1, 32, (*SHAPE, 2, 2), generator=generator)
    retrieved[0, 1, 1], lengths[0, 1, 1] = 0, 0
    anchor = torch.randint(FIRST, 7, SHAPE, generator=generator)
    anchor[1, 2] = -1
    lags, repeats = (torch.randint(size, (*SHAPE, 2), generator=generator) for size in (16, 8))
    profile = torch.rand(*SHAPE, PROFILE, generator=generator, dtype=torch.float64)
    return x, EventFeatures(anchor, profile, Retrieved(retrieved, lengths, lags, repeats))


def plain(kind: str = "chained") -> EventHead:
    torch.manual_seed(0)
    return EventHead(SIZES, 6, NoteConfig(kind))  # type: ignore[arg-type]


def full(kind: str = "chained") -> EventHead:
    torch.manual_seed(0)
    return EventHead(SIZES, 6, NoteConfig(kind, True, 2), pitch_ids=(FIRST, 5)).double()  # type: ignore[arg-type]


def loss_by_hand(head: EventHead, x: Tensor, these: Tensor, chained: bool) -> Tensor:
    """-Σ log p of the events (B, T, F) one by one, each field's logits written out."""
    total = torch.zeros((), dtype=x.dtype)
    for b, t in itertools.product(range(x.shape[0]), range(x.shape[1])):
        for field in range(len(SIZES)):
            h = x[b, t]
            if chained and field > 0:
                tables = head.previous_fields_embedding.weight.split(SIZES[:-1])
                told = sum(tables[g][these[b, t, g]] for g in range(field))
                mix = head.condition_layers[field - 1]
                z = mix.weight @ torch.cat([h, told]) + mix.bias
                h = h + z * (1 + torch.erf(z / 2**0.5)) / 2
            out = head.field_heads[field]
            z = out.weight @ h + out.bias
            total = total + z.exp().sum().log() - z[these[b, t, field]]
    return total


@pytest.mark.parametrize("kind", ["chained", "independent"])
def test_loss_and_gradients_equal_those_written_out(kind: str) -> None:
    head = plain(kind).double()
    x, these = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True), events(2, 4)
    logits = head(x, NONE, these)
    loss = sum(F.cross_entropy(z.flatten(0, 1), these[..., f].flatten(), reduction="sum") for f, z in enumerate(logits))
    expected = loss_by_hand(head, x, these, kind == "chained")
    assert_close(loss, expected)
    weights = [x, *head.parameters()]
    for ours, theirs in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        assert_close(ours, theirs)
        assert ours.abs().sum() > 0


@pytest.mark.parametrize("kind", ["chained", "independent"])
def test_probabilities_of_all_events_sum_to_one(kind: str) -> None:
    head = plain(kind).double()
    every = torch.tensor(list(itertools.product(*map(range, SIZES))))
    logits = head(torch.randn(6, dtype=torch.float64).expand(len(every), 6), NONE, every)
    log_p = sum(F.log_softmax(z, -1).gather(1, every[:, f : f + 1]) for f, z in enumerate(logits))
    assert log_p.exp().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(("kind", "told"), [("chained", True), ("independent", False)])
def test_a_field_knows_those_before_it_and_no_other(kind: str, told: bool) -> None:
    head, x, these = plain(kind), torch.randn(1, 4, 6), events(1, 4)
    for field in range(3):
        other = head(x, NONE, changed(these, 2, field))
        for at, (before, after) in enumerate(zip(head(x, NONE, these), other, strict=True)):
            differs = (before != after).any(-1)[0]
            assert differs.tolist() == [False, False, told and at > field, False]


def test_without_events_each_field_sees_the_likeliest_before_it() -> None:
    head, x = plain(), torch.randn(2, 3, 6)
    logits = head(x, NONE)
    likeliest = torch.stack([z.argmax(-1) for z in logits], dim=-1)
    for ours, theirs in zip(logits, head(x, NONE, likeliest), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["chained", "independent"])
def test_scale_distances_and_copies_add_what_they_should(kind: str) -> None:
    head, these, (output, features) = full(kind), events(*SHAPE), given()
    base_head = plain(kind).double()
    base_head.load_state_dict(head.state_dict(), strict=False)
    x = output + features.profile @ head.profile_projection.weight.T
    for field, (ours, base) in enumerate(zip(head(output, features, these), base_head(x, NONE, these), strict=True)):
        expected = base.clone()
        for b, t in itertools.product(*map(range, SHAPE)):
            h = x[b, t]
            if kind == "chained" and field:
                e = head.previous_fields_embedding.of(these[b, t, :field])
                h = h + F.gelu(head.condition_layers[field - 1](torch.cat([h, e])))
            if field == 1 and features.anchor[b, t] >= 0:
                weights = head.distances.weight @ h + head.distances.bias
                for pitch in range(FIRST, 6):
                    expected[b, t, pitch] += weights[pitch - features.anchor[b, t] + 7]
            copies = head.copy_heads[field]
            for m in range(2):
                event, lengths, lag, repeats = (part[b, t, m] for part in features.retrieved)
                if not lengths.any():
                    continue
                tables = (*copies.lengths, *copies.categories[:2])
                z = sum(table.weight[at] for table, at in zip(tables, (*lengths, lag, repeats), strict=True))
                if kind == "chained" and field:
                    z = z + copies.categories[2].weight[int(event[:field].tolist() == these[b, t, :field].tolist())]
                logit = copies.logit(z + copies.query_projection(h)).squeeze()
                expected[b, t, event[field]] = torch.logaddexp(expected[b, t, event[field]], logit)
        assert_close(ours, expected)


def test_every_weight_of_a_full_head_learns() -> None:
    head, these = full(), events(*SHAPE)
    logits = head(*given(), these)
    sum(F.cross_entropy(z.flatten(0, 1), these[..., f].flatten()) for f, z in enumerate(logits)).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in head.parameters())


def test_an_index_picks_all_features() -> None:
    head, these, (x, features) = full(), events(*SHAPE), given()
    part = head(x[1, 2:], features.select((1, slice(2, None))), these[1, 2:])
    for whole, ours in zip(head(x, features, these), part, strict=True):
        assert_close(whole[1, 2:], ours)
