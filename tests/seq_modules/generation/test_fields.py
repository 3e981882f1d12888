"""Events from prompts: cached against naive, well-formed whatever the logits are, sampled by seed and row."""

import pytest
import torch
from torch import Tensor, nn

from seq_modules.generation import Decoding
from seq_modules.generation.fields import generate_events
from seq_modules.generation.rules import Rules
from seq_modules.generation.sampling import sample, uniforms
from seq_modules.nets.music.event_embedding import EventEmbedding, pack
from seq_modules.nets.music.event_net import EventNet, EventSteps
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPT, GPTConfig

START, END = 0, 1
SIZES = [6, 9, 5]
PROMPTS = [
    [(START, 0, 0)],
    [(START, 0, 0), (3, 4, 2), (2, 8, 1), (4, 1, 3), (5, 2, 2)],
    [(START, 0, 0), (2, 2, 2)],
]
SETTINGS = {
    "greedy": Decoding(30, temperature=0),
    "plain": Decoding(30),
    "all": Decoding(30, 1.3, 0.8, 4, 0.9, 0.01, seed=4),
    "penalty": Decoding(30, repetition_penalty=1.5, temperature=0),
}


class Says(nn.Module):
    """A net that knows nothing but the step it is at, and heads that then say what they are told to."""

    def __init__(self, logits: list[Tensor]) -> None:
        super().__init__()
        self.logits, self.vocab_sizes = logits, [len(z) for z in logits]
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: Tensor) -> Tensor:
        return input_ids.new_zeros(*input_ids.shape, 1, dtype=torch.float32)

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, None]:
        return torch.zeros(len(input_ids), 1), None

    def decode_step(self, ids: Tensor, state: None) -> tuple[Tensor, None]:
        return torch.zeros(len(ids), 1), None

    def window(self, ids: list[int]) -> list[int]:
        return ids

    def field(self, x: Tensor, chosen: list[Tensor]) -> Tensor:
        return self.logits[len(chosen)].repeat(len(x), 1)

    def pack(self, events: Tensor) -> Tensor:
        return pack(events, self.vocab_sizes)


@pytest.fixture(params=["lstm", "gru", "gpt"])
def nets(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """A net of packed events, and its heads."""
    torch.manual_seed(0)

    def backbone(embedding: EventEmbedding) -> nn.Module:
        if request.param == "gpt":  # a context far shorter than what is generated
            shape = {"max_seq_len": 8, "positions": "rotary", "dropout": 0.3, "tie_weights": False}
            gpt = GPT(20, GPTConfig(8, 2, 2, **shape), embedding=embedding, head=nn.Identity())
            nn.init.normal_(gpt.token_embedding.weight)
            return gpt
        layers = RecurrentConfig(request.param, hidden_size=8, num_layers=2, dropout=0.3)
        net = RNNNet(20, RNNConfig(8, dropout=0.3, rnn=layers), embedding=embedding, head=nn.Identity())
        for weight in net.layers.parameters():
            nn.init.normal_(weight)
        return net

    net = EventNet(backbone, SIZES, d_model=8, width=8)
    for output in net.members.head.field_heads:
        nn.init.normal_(output.weight, std=2.0)  # or greedy repeats one event for ever, whatever it reads
    return EventSteps(net.double()), net


def rules(**changes: object) -> Rules:
    return Rules(SIZES, START, END, **{"may_end": False, **changes})


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("together", [None, 2])
def test_cached_equals_naive(nets, name: str, together: int | None) -> None:
    same = {"decoding": SETTINGS[name], "rules": rules(together=together)}
    cached = generate_events(*nets, PROMPTS, **same)
    assert cached == generate_events(*nets, PROMPTS, **same, cached=False)
    assert [len(row) for row in cached] == [30] * 3
    assert len(set(map(tuple, cached))) > 1
    assert len({event for row in cached for event in row}) > 2


@pytest.mark.parametrize("name", SETTINGS)
def test_loop_equals_one_written_by_hand(nets, name: str) -> None:
    net, heads = (part.eval() for part in nets)
    decoding, text, draw = SETTINGS[name], list(PROMPTS[1]), uniforms(SETTINGS[name].seed, 9)
    for _ in range(decoding.max_new_tokens):
        ids = pack(torch.tensor([text]), SIZES)
        x, event = net(torch.tensor([net.window(ids[0].tolist())]))[:, -1], []
        for field, size in enumerate(SIZES):
            logits = heads.field(x, [torch.tensor([id_]) for id_ in event])
            logits[:, [START, END] if field == 0 else [0]] = -torch.inf
            seen = torch.zeros(1, size, dtype=torch.bool)
            seen[0, [earlier[field] for earlier in text]] = True
            uniform = torch.tensor([0.0 if decoding.greedy else next(draw)], dtype=torch.float64)
            event.append(int(sample(logits, decoding, uniform, seen)))
        text.append(tuple(event))
    assert generate_events(net, heads, [PROMPTS[1]], decoding, rules(), sample_ids=[9]) == [text[len(PROMPTS[1]) :]]


def test_seed_and_row_decide_and_the_batch_does_not(nets) -> None:
    together = generate_events(*nets, PROMPTS, Decoding(20), rules(), sample_ids=[4, 5, 6])
    torch.rand(3)  # the global generator has no say
    before = torch.get_rng_state()
    alone = [
        generate_events(*nets, [prompt], Decoding(20), rules(), sample_ids=[row])[0]
        for prompt, row in zip(PROMPTS, (4, 5, 6), strict=True)
    ]
    assert together == alone
    assert together != generate_events(*nets, PROMPTS, Decoding(20, seed=1), rules(), sample_ids=[4, 5, 6])
    first, second = generate_events(*nets, PROMPTS[:1] * 2, Decoding(20), rules())
    assert first != second
    assert torch.equal(before, torch.get_rng_state())


def test_more_events_than_are_drawn_at_once() -> None:
    flat = Says([torch.zeros(size) for size in SIZES])
    (long,) = generate_events(flat, flat, [PROMPTS[0]], Decoding(600), rules())
    assert len(long) == 600
    assert long[:100] == generate_events(flat, flat, [PROMPTS[0]], Decoding(100), rules())[0]
    assert long[256:300] != long[:44]


@pytest.mark.parametrize("temperature", [0, 1, 5])
def test_whatever_the_net_says_events_are_well_formed(temperature: float) -> None:
    wild = [torch.zeros(size) for size in SIZES]
    wild[0][START], wild[0][END], wild[1][0], wild[2][0] = 9.0, 1.0, 9.0, 9.0  # START and "nothing" above all
    net = Says(wild)
    rows = generate_events(net, net, PROMPTS[:1] * 60, Decoding(20, temperature=temperature), Rules(SIZES, START, END))
    for row in rows:
        assert row[0][0] != END  # there is at least one event
        for event in row[:-1]:
            assert event[0] not in (START, END)
            assert 0 not in event[1:]
        assert row[-1] == (END, 0, 0) if row[-1][0] == END else len(row) == 20
    assert any(row[-1][0] == END for row in rows)
    if temperature:
        assert {event[1] for row in rows for event in row} == set(range(9))  # 0 beside END alone
    without = generate_events(net, net, PROMPTS[:1] * 9, Decoding(20, temperature=temperature), rules())
    assert all(len(row) == 20 and END not in {event[0] for event in row} for row in without)


def test_only_what_is_allowed_is_chosen() -> None:
    flat = Says([torch.zeros(size) for size in SIZES])
    allowed = [[True] * 6, [3 <= pitch <= 5 for pitch in range(9)], [True, True, False, False, True]]
    rows = generate_events(flat, flat, PROMPTS[:1] * 30, Decoding(20), rules(allowed=allowed))
    assert {event[1] for row in rows for event in row} == {3, 4, 5}
    assert {event[2] for row in rows for event in row} == {1, 4}
    for field, none in ((0, [True, True, *[False] * 4]), (1, [True] + [False] * 8)):
        with pytest.raises(ValueError, match=f"^allowed: field {field}"):
            Rules(SIZES, START, END, [none if at == field else [True] * size for at, size in enumerate(SIZES)])


def test_events_of_one_time_do_not_descend_and_may_be_equal() -> None:
    flat = Says([torch.tensor([0.0, 0, 4, 0, 0, 0]), torch.zeros(9), torch.zeros(5)])  # mostly 2, the same time
    prompt = [(START, 0, 0), (3, 7, 1)]
    rows = generate_events(flat, flat, [prompt] * 50, Decoding(20), rules(together=2))
    pairs = [pair for row in rows for pair in zip([prompt[-1], *row], row, strict=False)]
    assert all(event[1:] >= before[1:] for before, event in pairs if event[0] == 2)
    assert any(event[1] < before[1] for before, event in pairs if event[0] != 2)
    assert any(event[1] == before[1] and event[2] > before[2] for before, event in pairs if event[0] == 2)
    assert any(event[1:] == before[1:] for before, event in pairs if event[0] == 2)
    assert any(event[1] > before[1] and event[2] < before[2] for before, event in pairs if event[0] == 2)
    assert any(event[0] == 2 for _, event in pairs)
    # What was given may lie above all that is allowed: then nothing can stand at its time.
    low = [[True] * 6, [pitch < 4 for pitch in range(9)], [True] * 5]
    rows = generate_events(flat, flat, [prompt] * 50, Decoding(1), rules(together=2, allowed=low))
    assert {row[0][0] for row in rows} <= {3, 4, 5}
    only = [[at == 2 for at in range(6)], low[1], low[2]]
    assert generate_events(flat, flat, [prompt], Decoding(5), rules(together=2, allowed=only)) == [[(END, 0, 0)]]


def test_a_unison_needs_a_duration_that_may_follow() -> None:
    """Of the highest pitch only a note that lasts as long or longer may come at the same time, if one is allowed."""
    flat = Says([torch.zeros(6), torch.zeros(9), torch.zeros(5)])
    chord = [[at == 2 for at in range(6)], [True] * 9]
    for durations, found in (([1, 2, 3], {(2, 8, 3)}), ([1, 2], {(END, 0, 0)}), ([1, 4], {(2, 8, 4)})):
        allowed = [*chord, [at in durations for at in range(5)]]
        rows = generate_events(
            flat, flat, [[(START, 0, 0), (3, 8, 3)]] * 9, Decoding(1), rules(together=2, allowed=allowed)
        )
        assert {row[0] for row in rows} == found


@pytest.mark.parametrize("cached", [True, False])
def test_a_row_ends_with_its_end_event_and_the_others_go_on(nets, cached: bool) -> None:
    may_end = [generate_events(*nets, PROMPTS, Decoding(30, seed=seed), rules(may_end=True)) for seed in range(5)]
    assert any(len({len(row) for row in rows}) > 1 and rows[0][-1][0] == END for rows in may_end)
    for seed, rows in enumerate(may_end):
        assert rows == generate_events(*nets, PROMPTS, Decoding(30, seed=seed), rules(may_end=True), cached=cached)
        assert all(event[0] != END for row in rows for event in row[:-1])
        assert all(len(row) == 30 or row[-1] == (END, 0, 0) for row in rows)


@pytest.mark.parametrize("cached", [True, False])
def test_a_stopped_row_is_left_alone_and_the_others_go_on(nets, cached: bool) -> None:
    free, asked = generate_events(*nets, PROMPTS, Decoding(20), rules()), []

    def stop(prompt_index: int, events: list) -> bool:
        asked.append(prompt_index)
        assert events == free[prompt_index][: len(events)]
        return len(events) == 2 + 3 * prompt_index

    ends = generate_events(*nets, PROMPTS, Decoding(20), rules(), cached=cached, stop=stop)
    assert ends == [row[: 2 + 3 * prompt_index] for prompt_index, row in enumerate(free)]
    assert asked == [prompt_index for step in range(8) for prompt_index in range(3) if step < 2 + 3 * prompt_index]


def test_modes_come_back(nets) -> None:
    net, heads = nets
    heads.eval()
    generate_events(net, heads, PROMPTS, Decoding(2), rules())
    assert net.training
    assert not heads.training


def test_bad_input_is_refused(nets) -> None:
    net, heads = nets
    assert generate_events(net, heads, [], Decoding(), rules()) == []
    with pytest.raises(ValueError, match=r"^prompts: number 1 is empty"):
        generate_events(net, heads, [PROMPTS[0], []], Decoding(), rules())
    with pytest.raises(ValueError, match=r"^sample_ids must number every prompt: 1 numbers for 3"):
        generate_events(net, heads, PROMPTS, Decoding(), rules(), sample_ids=[0])
    with pytest.raises(ValueError, match=r"^decoding\.beams 5 is not for music; leave it out$"):
        generate_events(net, heads, PROMPTS, Decoding(beams=5), rules())
    with pytest.raises(ValueError, match=r"^decoding\.num_speculative_tokens 5 is not for music; leave it out$"):
        generate_events(net, heads, PROMPTS, Decoding(num_speculative_tokens=5), rules())
    heads.members.head.field_heads[1].bias.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"^net: its logits are not numbers"):
        generate_events(net, heads, PROMPTS, Decoding(), rules())
