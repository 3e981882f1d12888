"""Nets over events with their past: causal, the same step by step, key by key, and longer than their context."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seq_modules.generation import Decoding
from seq_modules.generation.fields import Rules, generate_events
from seq_modules.nets.music.event_embedding import EventEmbedding, pack
from seq_modules.nets.music.event_heads import EventHeads
from seq_modules.nets.music.event_net import EventNet, reading_sizes
from seq_modules.nets.rnn.language_net import RNNNet
from seq_modules.nets.transformer.gpt import GPT

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


def make(kind: str, relative: bool, recalled: int, members: int = 1) -> tuple[EventNet, EventHeads]:
    torch.manual_seed(0)

    def body() -> nn.Module:
        embedding = EventEmbedding(reading_sizes(SIZES, relative), WIDTH)
        parts = {"embedding": embedding, "head": nn.Identity()}
        rows = embedding.num_embeddings
        if kind == "gpt":
            return GPT(rows, WIDTH, 2, 2, max_seq_len=CONTEXT, positions="rotary", tie_weights=False, **parts)
        return RNNNet(rows, WIDTH, WIDTH, cell=kind, **parts)

    net = EventNet([body() for _ in range(members)], SIZES, relative, recalled, (FIRST, SIZES[0] - 1), TICKS)
    heads = EventHeads(SIZES, WIDTH, "chained", relative, recalled > 0, members, (FIRST, SIZES[0] - 1))
    for part in (net, heads):
        for weight in part.parameters():
            nn.init.normal_(weight, std=0.5)
    return net.double().eval(), heads.double().eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("relative", "recalled"), PARTS)
@pytest.mark.parametrize("members", [1, 2])
def test_cached_equals_naive_far_beyond_the_context(kind: str, relative: bool, recalled: int, members: int) -> None:
    net, heads = make(kind, relative, recalled, members)
    these = events(3, 30).tolist()
    prompts = [[tuple(event) for event in row[:length]] for row, length in zip(these, (3, 30, 17), strict=True)]
    rules = Rules(SIZES, 0, 1, may_end=False)
    cached = generate_events(net, heads, prompts, Decoding(40), rules)
    assert cached == generate_events(net, heads, prompts, Decoding(40), rules, cached=False)
    assert len({event for row in cached for event in row}) > 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("relative", "recalled"), PARTS)
def test_state_and_whole_sequence_agree(kind: str, relative: bool, recalled: int) -> None:
    net, heads = make(kind, relative, recalled, 2)
    these = events(2, 40)
    ids = pack(these, SIZES)
    whole = heads(net(ids), these)
    known, state = net.prefill(ids[:, :20], torch.tensor([20, 11]))
    rows, at = torch.arange(2), torch.tensor([19, 10])
    for _ in range(15):
        for ours, theirs in zip(heads(known, these[rows, at]), whole, strict=True):
            assert_close(ours, theirs[rows, at])
        at = at + 1
        known, state = net.decode_step(ids[rows, at], state)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_has_no_influence_before_it(kind: str) -> None:
    net, heads = make(kind, True, 3)
    these = events(1, 10)
    other = these.clone()
    other[:, 6] = torch.tensor([11, 3])
    for before, after in zip(heads(net(pack(these, SIZES)), these), heads(net(pack(other, SIZES)), these), strict=True):
        assert torch.equal(before[:, :6], after[:, :6])
        assert not torch.equal(before[:, 6:], after[:, 6:])


def test_heads_and_intervals_know_no_key() -> None:
    """Without embeddings of pitches and their own logits, a tune moved up has its distribution moved up."""
    net, heads = make("lstm", True, 3)
    with torch.no_grad():
        net.members[0].embedding.weight[3 : SIZES[0]] = 0
        heads.members[0].outputs[0].weight.zero_()
        heads.members[0].outputs[0].bias.zero_()
    low = events(1, 30)
    high = low.clone()
    high[..., 0] += 3 * (low[..., 0] >= FIRST)
    pitch, moved = (heads(net(pack(these, SIZES)))[0][0, 5:] for these in (low, high))
    assert_close(pitch[:, FIRST:10], moved[:, FIRST + 3 : 13])
    assert_close(pitch[:, :FIRST], moved[:, :FIRST])  # rests and the end are as likely


def test_one_net_is_trained_at_a_time_and_all_are_asked_afterwards() -> None:
    net, heads = make("lstm", True, 3, members=3)
    ids = pack(events(2, 9), SIZES)
    assert len(net(ids).outputs) == 3
    net.train()
    net.turn = 1
    known = net(ids)
    assert known.first == 1
    sum(z.sum() for z in heads(known)).backward()
    trained = {name.split(".")[1] for part in (net, heads) for name, w in part.named_parameters() if w.grad is not None}
    assert trained == {"1"}


def test_bad_values_are_refused() -> None:
    net, _ = make("lstm", False, 0)
    with pytest.raises(ValueError, match=r"^members"):
        EventNet([], SIZES)
    with pytest.raises(ValueError, match=r"^recalled must be at least 0, not -1"):
        EventNet(list(net.members), SIZES, recalled=-1)
    for ticks in (None, [0, 6]):
        with pytest.raises(ValueError, match=r"^ticks must be 4 numbers"):
            EventNet(list(net.members), SIZES, True, 0, (3, 13), ticks)
    with pytest.raises(ValueError, match=r"^pitch_ids must be the smallest and the greatest id"):
        EventNet(list(net.members), SIZES, recalled=3)
