"""A net over frames: its sets' probabilities add up to 1, nothing depends on later frames, copies are added."""

from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq_modules.nets.music.frame_backbones import FrameTransformerConfig, RecurrentBackbone, TransformerBackbone
from seq_modules.nets.music.frame_net import FrameConfig, FrameNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig

P, S = 5, 3
END, START, V = P, P + 1, P + 2
BACKBONES = ("recurrent", "transformer")


def make(backbone: str = "recurrent", retrieval: bool = True, width: int = 8) -> FrameNet:
    torch.manual_seed(0)
    over_time: RecurrentBackbone | TransformerBackbone = RecurrentBackbone(RecurrentConfig("lstm", width, 2))
    if backbone == "transformer":
        over_time = TransformerBackbone(FrameTransformerConfig(width, 2, 2, max_seq_len=32, dropout=0.0))
    net = FrameNet(V, S, over_time, FrameConfig(width, 0.0, 0.0, retrieval))
    for parameter in net.parameters():  # zeros at the start would hide a mistake
        torch.nn.init.normal_(parameter, std=0.7)
    return net.double().eval()


def all_sets() -> Tensor:
    """Every set of at most S of P ids, filled up with END."""
    found = [ids for size in range(S + 1) for ids in combinations(range(P), size)]
    return torch.tensor([[*ids, *[END] * (S - len(ids))] for ids in found])


def log_prob(logits: Tensor, frames: Tensor) -> Tensor:
    """(N,) of logits (N, S, P + 1): to the first END and with it."""
    each = logits.log_softmax(-1).gather(-1, frames[..., None]).squeeze(-1)
    ended = (frames == END).cumsum(1) > 1
    return each.masked_fill(ended, 0.0).sum(1)


def retrieved_for(count: int) -> dict[str, Tensor]:
    """Two retrieved frames, and one that is none, for each of some frames."""
    retrieved = torch.tensor([[0, 3, END], [2, END, END], [END, END, END]])
    lengths = torch.tensor([[5, 2], [31, 0], [0, 0]])
    return {"retrieved": retrieved.expand(count, 3, S), "lengths": lengths.expand(count, 3, 2)}


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("retrieval", [False, True])
@pytest.mark.parametrize("before", [[START] * 3, [END] * 3, [0, 2, 4], [1, END, END]])
def test_probabilities_of_all_sets_add_up_to_one(backbone: str, retrieval: bool, before: list[int]) -> None:
    net = make(backbone)
    frames = all_sets()
    assert len(frames) == 1 + 5 + 10 + 10
    given = torch.tensor(before).expand(len(frames), S)
    state = net(given[:1, None], torch.tensor([3]))[:, 0].expand(len(frames), -1)
    logits = net.within(state, given, frames, **(retrieved_for(len(frames)) if retrieval else {}))
    probs = log_prob(logits, frames).exp()
    assert probs.min() > 0  # silence and full frames too
    assert probs.sum().item() == pytest.approx(1, abs=1e-9)


def test_what_may_not_follow_has_no_probability_at_all() -> None:
    net = make()
    frames = all_sets()
    logits = net.within(torch.zeros(len(frames), 8).double(), frames, frames)
    for frame, slots in zip(frames.tolist(), logits, strict=True):
        for slot in range(S):
            last = frame[slot - 1] if slot else -1
            allowed = (slots[slot] > -torch.inf).nonzero().flatten().tolist()
            assert allowed == [*range(last + 1, P), END]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_nothing_depends_on_later_frames(backbone: str) -> None:
    net = make(backbone)
    frames = all_sets()[torch.randint(26, (2, 9), generator=torch.Generator().manual_seed(1))]
    position = torch.tensor([0, 5])
    state = net(frames, position)
    changed = frames.clone()
    changed[:, 5:] = all_sets()[3]
    torch.testing.assert_close(net(changed, position)[:, :5], state[:, :5])
    assert not torch.allclose(net(changed, position)[:, 5], state[:, 5])
    frame = torch.tensor([[0, 2, 4]])
    one = net.within(state[:1, 0], frames[:1, 0], frame, **retrieved_for(1))
    for slot in range(S):
        other = frame.clone()
        other[:, slot:] = END
        logits = net.within(state[:1, 0], frames[:1, 0], other, **retrieved_for(1))
        torch.testing.assert_close(logits[:, : slot + 1], one[:, : slot + 1])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_steps_with_a_state_are_the_whole_sequence(backbone: str) -> None:
    net = make(backbone)
    frames = all_sets()[torch.randint(26, (2, 9), generator=torch.Generator().manual_seed(1))]
    whole = net(frames, torch.tensor([0, 0]))
    state, parts = None, []
    for at in range(9):
        x = net.embed(frames[:, at : at + 1], torch.full((2,), at))
        part, state = net.backbone.decode_step(x, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_distances_have_the_same_weights_wherever_on_the_scale() -> None:
    within = make().within
    x = torch.randn(1, S, 8, generator=torch.Generator().manual_seed(0)).double()
    low = within.from_distances(x, torch.tensor([[0, 1, 2]]), torch.tensor([[START, 0, 1]]))
    high = within.from_distances(x, torch.tensor([[2, 3, 4]]), torch.tensor([[START, 2, 3]]))
    torch.testing.assert_close(low[..., : P - 2], high[..., 2:P])
    assert (low[..., P] == 0).all()
    silent = within.from_distances(x, torch.tensor([[END, START, END]]), torch.tensor([[START] * 3]))
    assert (silent == 0).all()


def test_the_copy_head_adds_to_the_next_id_of_each_retrieved_frame_alone() -> None:
    net = make()
    within = net.within
    frame = torch.tensor([[0, 2, 4]])
    last = torch.tensor([[START, 0, 2]])
    x = torch.zeros(1, S, 8).double()
    logits = torch.zeros(1, S, P + 1).double()
    found = within.with_copies(logits, x, last, frame, **retrieved_for(1))[0]
    # [0, 3]: then 0, 3, 3. [2]: then 2, 2, and nothing behind 2.
    assert [(slot > 1e-9).nonzero().flatten().tolist() for slot in found] == [[0, 2], [2, 3], [3, END]]
    none = {"retrieved": retrieved_for(1)["retrieved"], "lengths": torch.zeros(1, 3, 2, dtype=torch.long)}
    assert_close(within.with_copies(logits, x, last, frame, **none), logits)


def test_arguments_out_of_range_are_named() -> None:
    for wrong in ({"d_frame": 0}, {"input_dropout": 1.0}, {"frame_dropout": -0.1}, {"retrieval_dropout": 1.1}):
        with pytest.raises(ValueError, match=rf"^frames.{next(iter(wrong))} must be"):
            FrameConfig(**wrong)  # type: ignore[arg-type]
    backbone = RecurrentBackbone(RecurrentConfig("lstm", 8))
    with pytest.raises(ValueError, match=r"^frame_size must be"):
        FrameNet(V, 0, backbone)
    with pytest.raises(ValueError, match=r"^vocab_size must be"):
        FrameNet(2, S, backbone)
    with pytest.raises(ValueError, match=r"^net.bidirectional must be false"):
        RecurrentBackbone(RecurrentConfig("lstm", 8, bidirectional=True))
    with pytest.raises(ValueError, match=r"^net.num_heads 3 must divide"):
        FrameTransformerConfig(8, 1, 3)
    with pytest.raises(ValueError, match=r"^net.max_seq_len 16 is too short for 17"):
        TransformerBackbone(FrameTransformerConfig(8, 1, 2, max_seq_len=16))(torch.zeros(1, 17, 8))
