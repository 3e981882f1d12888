"""Nets over events with their context: causal, the same step by step, key by key, and longer than their context."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seq_modules.generation import Decoding
from seq_modules.generation.fields import generate_events
from seq_modules.generation.rules import Rules
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.music.event_embedding import EventEmbedding, pack
from seq_modules.nets.music.event_heads import NoteConfig
from seq_modules.nets.music.event_net import EventNet, EventSteps
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPT, GPTConfig

SIZES, FIRST, WIDTH, CONTEXT = [14, 4], 3, 8, 12
TICKS = [0, 6, 12, 24]
KINDS = ("gpt", "lstm")
PARTS = [(False, 0), (True, 0), (False, 3), (True, 3)]


def events(batch: int, steps: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    pitches = torch.randint(2, 9, (batch, steps), generator=generator)
    found = torch.stack((pitches, torch.randint(1, 3, (batch, steps), generator=generator)), dim=-1)
    found[:, 0] = 0
    return found


def backbone(kind: str, embedding: EventEmbedding) -> nn.Module:
    parts = {"embedding": embedding, "head": nn.Identity()}
    if kind == "gpt":
        shape = {"d_model": WIDTH, "num_layers": 2, "num_heads": 2, "max_seq_len": CONTEXT}
        return GPT(embedding.num_embeddings, GPTConfig(**shape, positions="rotary", tie_weights=False), **parts)
    return RNNNet(embedding.num_embeddings, RNNConfig(WIDTH, rnn=RecurrentConfig("lstm", WIDTH)), **parts)


def make(kind: str, relative: bool, retrieved: int, members: int = 1) -> EventNet:
    torch.manual_seed(0)
    config = NoteConfig("chained", relative, retrieved)
    pitches = (FIRST, SIZES[0] - 1)
    net = EventNet(partial(backbone, kind), SIZES, WIDTH, WIDTH, config, members, pitches, TICKS)
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.5)
    return net.double().eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("relative", "retrieved"), PARTS)
@pytest.mark.parametrize("members", [1, 2])
def test_cached_equals_naive_far_beyond_the_context(kind: str, relative: bool, retrieved: int, members: int) -> None:
    net = make(kind, relative, retrieved, members)
    these = events(3, 30).tolist()
    prompts = [[tuple(event) for event in row[:length]] for row, length in zip(these, (3, 30, 17), strict=True)]
    rules = Rules(SIZES, 0, 1, may_end=False)
    cached = generate_events(EventSteps(net), net, prompts, Decoding(40), rules)
    assert cached == generate_events(EventSteps(net), net, prompts, Decoding(40), rules, cached=False)
    assert len({event for row in cached for event in row}) > 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("relative", "retrieved"), PARTS)
def test_state_and_whole_sequence_agree(kind: str, relative: bool, retrieved: int) -> None:
    net = make(kind, relative, retrieved, 2)
    these = events(2, 40)
    ids = pack(these, SIZES)
    whole = net(ids, these)
    states, cache = net.prefill(ids[:, :20], torch.tensor([20, 11]))
    rows, at = torch.arange(2), torch.tensor([19, 10])
    for _ in range(15):
        for field, theirs in enumerate(whole):
            chosen = list(these[rows, at, :field].unbind(-1))
            assert_close(net.field(states, chosen), theirs[rows, at])
        at = at + 1
        states, cache = net.decode_step(ids[rows, at], cache)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_has_no_influence_before_it(kind: str) -> None:
    net = make(kind, True, 3)
    these = events(1, 10)
    other = these.clone()
    other[:, 6] = torch.tensor([11, 3])
    for before, after in zip(net(pack(these, SIZES), these), net(pack(other, SIZES), these), strict=True):
        assert torch.equal(before[:, :6], after[:, :6])
        assert not torch.equal(before[:, 6:], after[:, 6:])


def test_heads_and_intervals_know_no_key() -> None:
    """Without embeddings of pitches and their own logits, a tune moved up has its distribution moved up."""
    net = make("lstm", True, 3)
    with torch.no_grad():
        net.each[0].backbone.embedding.weight[3 : SIZES[0]] = 0
        net.each[0].head.field_heads[0].weight.zero_()
        net.each[0].head.field_heads[0].bias.zero_()
    low = events(1, 30)
    high = low.clone()
    high[..., 0] += 3 * (low[..., 0] >= FIRST)
    pitch, moved = (net(pack(these, SIZES))[0][0, 5:] for these in (low, high))
    assert_close(pitch[:, FIRST:10], moved[:, FIRST + 3 : 13])
    assert_close(pitch[:, :FIRST], moved[:, :FIRST])  # rests and the end are as likely


def test_one_member_is_trained_at_a_time_and_all_are_averaged_afterwards() -> None:
    net = make("lstm", True, 3, members=3)
    these = events(2, 9)
    ids = pack(these, SIZES)
    states = net.states(ids)
    assert len(states.outputs) == 3
    alone = [member.head(x, states.features, these) for member, x in zip(net.each, states.outputs, strict=True)]
    for field, ours in enumerate(net(ids, these)):
        assert_close(ours.softmax(-1), torch.stack([logits[field].softmax(-1) for logits in alone]).mean(0))
    net.train()
    assert isinstance(net.members, Ensemble)
    net.members.active = 1
    for ours, theirs in zip(net(ids, these), alone[1], strict=True):
        assert_close(ours, theirs)
    sum(z.sum() for z in net(ids)).backward()
    trained = {name.split(".")[2] for name, weight in net.named_parameters() if weight.grad is not None}
    assert trained == {"1"}


def test_every_member_starts_as_it_would_alone_and_heads_are_drawn_after_all_backbones() -> None:
    torch.manual_seed(3)
    alone = EventNet(partial(backbone, "lstm"), SIZES, WIDTH, WIDTH)
    torch.manual_seed(3)
    both = EventNet(partial(backbone, "lstm"), SIZES, WIDTH, WIDTH, ensemble_size=2)
    first = dict(both.each[0].backbone.named_parameters())
    assert all(torch.equal(weight, first[name]) for name, weight in alone.each[0].backbone.named_parameters())


def test_bad_values_are_refused() -> None:
    def net(config: NoteConfig = NoteConfig(), **more: Any) -> EventNet:
        return EventNet(partial(backbone, "lstm"), SIZES, WIDTH, WIDTH, config, **more)

    with pytest.raises(ValueError, match=r"^ensemble_size must be at least 1, not 0"):
        net(ensemble_size=0)
    with pytest.raises(ValueError, match=r"^notes.retrieved must be at least 0, not -1"):
        NoteConfig(retrieved=-1)
    with pytest.raises(ValueError, match=r"^notes.heads must be one of 'chained', 'independent', not 'both'"):
        NoteConfig("both")  # type: ignore[arg-type]
    for ticks in (None, [0, 6]):
        with pytest.raises(ValueError, match=r"^ticks must be 4 numbers"):
            net(NoteConfig(relative=True), pitch_ids=(3, 13), ticks=ticks)
    with pytest.raises(ValueError, match=r"^pitch_ids must be the smallest and the greatest id"):
        net(NoteConfig(retrieved=3))
    for config, name in ((NoteConfig(relative=True), "relative"), (NoteConfig(retrieved=2), "retrieved")):
        with pytest.raises(ValueError, match=rf"^notes.{name} is for notes, not for tokens"):
            EventNet(partial(backbone, "lstm"), [9], WIDTH, WIDTH, config)
