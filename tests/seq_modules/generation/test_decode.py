"""Tokens from prompts: cached against naive, spelled words, and what a row's continuation depends on."""

import pytest
import torch
from torch import Tensor, nn

from seq_modules.generation import Decoding, generate
from seq_modules.generation.sampling import sample, uniforms
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig


class LastThree(nn.Module):
    """Logits from the last three ids alone: a trigram net with a window that slides, its state the ids themselves."""

    def __init__(self, vocab_size: int = 12) -> None:
        super().__init__()
        self.tables = nn.Parameter(2 * torch.randn(3, vocab_size, vocab_size, dtype=torch.float64))
        self.dropout = nn.Dropout(0.5)
        self.calls = 0

    def forward(self, input_ids: Tensor) -> Tensor:
        self.calls += 1
        shifted = [nn.functional.pad(self.tables[back][input_ids], (0, 0, back, 0)) for back in range(3)]
        return self.dropout(sum(x[:, : input_ids.shape[1]] for x in shifted))

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, list[list[int]]]:
        state = [row[:length][-3:] for row, length in zip(input_ids.tolist(), lengths.tolist(), strict=True)]
        return self(input_ids)[torch.arange(len(state)), lengths - 1], state

    def decode_step(self, ids: Tensor, state: list[list[int]]) -> tuple[Tensor, list[list[int]]]:
        state = [[*row, token][-3:] for row, token in zip(state, ids.tolist(), strict=True)]
        return torch.stack([self(torch.tensor([row]))[0, -1] for row in state]), state

    def window(self, ids: list[int]) -> list[int]:
        return ids[-3:]


class Speller(LastThree):
    """Follows each letter of a word without repeated letters by the next one: "^" begins, "$" ends, then "^" again.

    Any other letter is as likely as each other one.
    """

    def __init__(self, word: str, logit: float = 9.0) -> None:
        super().__init__(128)
        self.tables.data.zero_()
        for this, following in zip(f"^{word}$", f"{word}$^", strict=True):
            self.tables.data[0, ord(this), ord(following)] = logit


def spelled(net: nn.Module, prompts: list[str], decoding: Decoding, **more: object) -> list[str]:
    """Continuations of texts as texts."""
    rows = generate(net, [list(map(ord, prompt)) for prompt in prompts], decoding, **more)
    return ["".join(map(chr, row)) for row in rows]


PROMPTS = [[1], [2, 3, 4, 5, 6], [7, 8], [0, 0, 11]]
SETTINGS = {
    "greedy": Decoding(40, temperature=0),
    "plain": Decoding(40),
    "all": Decoding(40, 1.3, 0.8, 8, 0.9, 0.01, seed=4),
    "penalty": Decoding(40, repetition_penalty=1.5, temperature=0),
}


@pytest.fixture(params=["trigram", "lstm", "gru"])
def net(request) -> nn.Module:
    torch.manual_seed(0)
    if request.param == "trigram":
        return LastThree()
    layers = RecurrentConfig(request.param, hidden_size=16, num_layers=2, dropout=0.3)
    net = RNNNet(12, RNNConfig(6, dropout=0.3, rnn=layers)).double()
    nn.init.normal_(net.head.weight, std=2.0)  # or greedy repeats one token for ever, whatever it reads
    return net


@pytest.mark.parametrize("name", SETTINGS)
def test_cached_equals_naive(net, name) -> None:
    cached = generate(net, PROMPTS, SETTINGS[name])
    assert cached == generate(net, PROMPTS, SETTINGS[name], cached=False)
    assert [len(row) for row in cached] == [40] * 4
    assert len(set(map(tuple, cached))) > 1


@pytest.mark.parametrize("name", SETTINGS)
def test_loop_equals_one_written_by_hand(net, name) -> None:
    decoding = SETTINGS[name]
    prompt, draw = PROMPTS[1], uniforms(decoding.seed, 9)
    text = list(prompt)
    net.eval()
    for _ in range(decoding.max_new_tokens):
        seen = torch.zeros(1, 12, dtype=torch.bool)
        seen[0, text] = True
        uniform = torch.tensor([0.0 if decoding.greedy else next(draw)], dtype=torch.float64)
        text.append(int(sample(net(torch.tensor([text]))[:, -1], decoding, uniform, seen)))
    assert generate(net, [prompt], decoding, sample_ids=[9]) == [text[len(prompt) :]]


def test_a_row_does_not_depend_on_its_batch(net) -> None:
    together = generate(net, PROMPTS, Decoding(30), sample_ids=[4, 5, 6, 7])
    alone = [
        generate(net, [prompt], Decoding(30), sample_ids=[row])[0]
        for prompt, row in zip(PROMPTS, (4, 5, 6, 7), strict=True)
    ]
    backwards = generate(net, PROMPTS[::-1], Decoding(30), sample_ids=[7, 6, 5, 4])[::-1]
    assert together == alone == backwards


def test_seed_and_row_decide() -> None:
    torch.manual_seed(0)
    net = LastThree()
    first = generate(net, PROMPTS, Decoding(30, seed=1))
    torch.rand(3)  # the global generator has no say
    assert first == generate(net, PROMPTS, Decoding(30, seed=1))
    assert first != generate(net, PROMPTS, Decoding(30, seed=2))
    same_prompt = generate(net, [[1], [1]], Decoding(30))
    assert same_prompt[0] != same_prompt[1]


def test_the_global_generator_is_left_alone() -> None:
    net = LastThree()
    before = torch.get_rng_state()
    generate(net, PROMPTS, Decoding(5))
    assert torch.equal(before, torch.get_rng_state())


def test_more_steps_than_are_drawn_at_once() -> None:
    torch.manual_seed(0)
    net = LastThree()
    (long,) = generate(net, [[1]], Decoding(600))
    assert len(long) == 600
    assert long[:100] == generate(net, [[1]], Decoding(100))[0]
    assert long[256:300] != long[:44]


def test_greedy_spells() -> None:
    net = Speller("sampling")
    assert spelled(net, ["^", "^sam", "g"], Decoding(8, temperature=0)) == ["sampling", "pling$^s", "$^sampli"]


def test_top_k_of_one_spells_and_without_it_letters_are_wrong() -> None:
    net = Speller("sampling", logit=4.0)  # a wrong letter has 127 / (127 + e^4), about two thirds
    assert spelled(net, ["^"] * 3, Decoding(8, top_k=1)) == ["sampling"] * 3
    assert spelled(net, ["^"] * 3, Decoding(8, top_p=0.2)) == ["sampling"] * 3
    assert "sampling" not in spelled(net, ["^"] * 3, Decoding(8))


@pytest.mark.parametrize("cached", [True, False])
def test_a_row_ends_with_its_end_of_sequence_and_the_others_go_on(cached) -> None:
    net, spoken = Speller("sampling"), ["", "", ""]

    def speak(row: int, token: int) -> None:
        spoken[row] += chr(token)

    texts = spelled(
        net, ["^", "^sampl", "^sam"], Decoding(7, temperature=0), cached=cached, eos_id=ord("$"), on_token=speak
    )
    assert texts == spoken == ["samplin", "ing$", "pling$"]


def test_an_end_of_sequence_in_the_prompt_is_a_token_like_others() -> None:
    assert spelled(Speller("dog"), ["^dog$"], Decoding(9, temperature=0), eos_id=ord("$")) == ["^dog$"]


def test_stop_is_not_called_for_a_row_that_ended() -> None:
    calls = []
    spelled(
        Speller("dog"), ["^", "^do"], Decoding(9, temperature=0), eos_id=ord("$"),
        stop=lambda row, ids: calls.append((row, "".join(map(chr, ids)))) is not None,
    )  # fmt: skip
    assert calls == [(0, "d"), (1, "g"), (0, "do"), (0, "dog")]


@pytest.mark.parametrize("cached", [True, False])
def test_a_stopped_row_is_left_alone_and_the_others_go_on(cached) -> None:
    torch.manual_seed(0)
    net, told, asked = LastThree(), [], []
    free = generate(net, PROMPTS, Decoding(20))

    def stop(prompt_index: int, ids: list[int]) -> bool:
        asked.append(prompt_index)
        assert ids == free[prompt_index][: len(ids)]
        return len(ids) == 2 + 3 * prompt_index

    ends = generate(net, PROMPTS, Decoding(20), cached=cached, stop=stop, on_token=lambda *token: told.append(token))
    assert ends == [row[: 2 + 3 * prompt_index] for prompt_index, row in enumerate(free)]
    assert asked == [prompt_index for step in range(11) for prompt_index in range(4) if step < 2 + 3 * prompt_index]
    assert told == [
        (prompt_index, free[prompt_index][step])
        for step in range(11)
        for prompt_index in range(4)
        if step < 2 + 3 * prompt_index
    ]


def test_the_net_is_not_called_once_all_rows_are_over() -> None:
    net = LastThree()
    generate(net, [[1]], Decoding(50), stop=lambda _, ids: len(ids) == 3)
    assert net.calls == 3
    generate(net, [[1]], Decoding(4))
    assert net.calls == 7


def test_tokens_are_told_before_stop_is_asked() -> None:
    events = []
    generate(
        LastThree(),
        [[1], [2]],
        Decoding(2, temperature=0),
        stop=lambda prompt_index, _: events.append(("stop", prompt_index)) is not None,
        on_token=lambda prompt_index, _: events.append(("token", prompt_index)),
    )
    assert events == 2 * [("token", 0), ("token", 1), ("stop", 0), ("stop", 1)]


def test_modes_come_back_even_after_an_error() -> None:
    net = RNNNet(12, RNNConfig(4, dropout=0.5))
    net.head.eval()
    generate(net, [[1]], Decoding(2))
    assert net.training
    assert not net.head.training

    def burn(*_: object) -> None:
        assert not net.training
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(net, [[1]], Decoding(2), on_token=burn)
    assert net.training


def test_no_prompts_no_continuations() -> None:
    assert generate(LastThree(), [], Decoding()) == []


def test_bad_input_is_refused() -> None:
    net = LastThree()
    with pytest.raises(ValueError, match=r"^prompts: number 1 is empty"):
        generate(net, [[1], []], Decoding())
    with pytest.raises(ValueError, match=r"^sample_ids must number every prompt: 1 numbers for 2"):
        generate(net, [[1], [2]], Decoding(), sample_ids=[0])
    net.tables.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"^net: its logits are not numbers"):
        generate(net, [[1]], Decoding())
