"""Speculative decoding: the model's distribution to the last string, and the same tokens as without."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from datamodules.tokenizers.byte import ByteTokenizer
from seq_modules.generation import Decoding, generate
from seq_modules.generation.sampling import warped
from seq_modules.generation.speculative import decoding as module
from seq_modules.generation.speculative.decoding import generate_speculatively
from seq_modules.generation.speculative.drafter import NgramDrafter, common_followers
from seq_modules.generation.texts import followers_in
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.rnn.language_net import RNNNet
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig, NgramConfig

V, S = 11, 16
A = 3  # tokens of a net whose strings are all enumerated
PROMPTS = [[1], [2, 3, 4, 2, 3, 4, 2, 3], [5] * (S + 3), list(range(V)) * 3]


def make(vocab_size: int = V, seed: int = 0, scale: float = 0.5) -> GPT:
    torch.manual_seed(seed)
    extras = ExtrasConfig(qk_norm=True, value_embeddings=True, residual_mix=True)
    ngrams = NgramConfig([2, 3], buckets=64, dim=4)
    net = GPT(vocab_size, GPTConfig(16, 2, 2, S, positions="rotary", ngrams=ngrams, extras=extras)).double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=scale)
    return net


class Guesses(NgramDrafter):
    """Proposes the tokens of a row's string, some of them on purpose wrong.

    Args:
        strings: The new tokens of each row.
        wrong: Positions in a string whose guess is wrong.
        most: Row i has at most this many guesses, less i mod 3.
    """

    def __init__(self, strings: Sequence[Sequence[int]], wrong: Sequence[int], most: int) -> None:
        super().__init__()
        self.strings, self.wrong, self.most = strings, wrong, most

    def draft(self, row: int, ids: Sequence[int], count: int) -> list[int]:
        begin = len(ids) - 1  # the prompt has one token
        right = self.strings[row][begin : begin + max(0, min(count, self.most - row % 3))]
        return [(token + (begin + at in self.wrong)) % A for at, token in enumerate(right)]


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(3, temperature=0.7),
        Decoding(3, top_k=2),
        Decoding(3, top_p=0.8),
        Decoding(3, 1.4, 1.3, 2, 0.99, 0.01),
    ],
    ids=["temperature", "top_k", "top_p", "all"],
)
def test_strings_of_three_have_exactly_the_models_probabilities(decoding: Decoding, monkeypatch) -> None:
    """The random numbers that give a string fill a box, of which the volume is the model's probability of the string.

    The box's sides are the intervals of the distribution function that belong to the string's tokens. With any guesses
    its corners must give the string, and then all of it does, for a larger number never chooses an earlier token.
    """
    net, prompt = make(A, scale=0.3), 1
    every = list(product(range(A), repeat=3))
    logits = net(torch.tensor([[prompt, *string[:2]] for string in every])).detach()  # (27, 3, A)
    corners, strings, volume = list[tuple[float, ...]](), list[tuple[int, ...]](), 0.0
    for string, steps in zip(every, logits, strict=True):
        sides, size = [], 1.0
        for at, token in enumerate(string):
            seen = torch.zeros(A, dtype=torch.bool)
            seen[[prompt, *string[:at]]] = True
            penalty = decoding.repetition_penalty
            penalised = torch.where(steps[at] < 0, steps[at] * penalty, steps[at] / penalty)
            probs = warped(torch.where(seen, penalised, steps[at])[None], decoding).softmax(-1)[0]
            low, high = ([0.0, *probs.cumsum(0).tolist()])[token : token + 2]
            sides.append((low + 1e-9 * (high - low), high - 1e-9 * (high - low)))
            size *= high - low
        volume += size
        if size:
            corners += product(*sides)
            strings += [string] * 8
    assert volume == pytest.approx(1, abs=1e-12)
    assert len(strings) >= 8 * 8
    monkeypatch.setattr(module, "uniforms", lambda _, row: iter(corners[row]))
    for wrong, most in (((), 0), ((), 4), ((1,), 4), ((2,), 4), ((1, 2), 3)):
        drafter = Guesses(strings, wrong, most)
        settings = replace(decoding, num_speculative_tokens=4)
        found = generate_speculatively(net, [[prompt]] * len(strings), settings, range(len(strings)), drafter)
        assert list(map(tuple, found)) == strings, (wrong, most)


SETTINGS = {
    "greedy": Decoding(45, temperature=0),
    "plain": Decoding(45),
    "all": Decoding(45, 1.3, 0.8, 8, 0.9, 0.01, seed=4),
    "penalty": Decoding(45, repetition_penalty=1.5, temperature=0),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("count", [1, 3, 20])
def test_tokens_are_those_without_guesses(name: str, count: int) -> None:
    """Past the context, where the windows of the rows move on at different times."""
    net, decoding = make(), SETTINGS[name]
    plain = generate(net, PROMPTS, decoding)
    speculative = replace(decoding, num_speculative_tokens=count)
    assert generate(net, PROMPTS, speculative) == plain
    followers = common_followers(torch.tensor([token for row in plain for token in [*row, *row]]))
    assert generate(net, PROMPTS, speculative, followers=followers) == plain
    assert generate(net, PROMPTS[1:2], speculative, sample_ids=[1]) == plain[1:2]


def test_an_ensemble_gives_the_tokens_without_guesses() -> None:
    ensemble, decoding = Ensemble([make(seed=1), make(seed=2)]), Decoding(30)
    found = generate(ensemble, PROMPTS, replace(decoding, num_speculative_tokens=3))
    assert found == generate(ensemble, PROMPTS, decoding)


def test_rows_end_and_tell_their_tokens_as_without_guesses() -> None:
    net, told, asked = make(), [list[int]() for _ in PROMPTS], [list[int]() for _ in PROMPTS]
    decoding = Decoding(40, temperature=0.5)
    free = generate(net, PROMPTS, decoding)
    eos = free[3][10]

    def stop(prompt_index: int, ids: list[int]) -> bool:
        assert ids == free[prompt_index][: len(ids)] == told[prompt_index]
        asked[prompt_index].append(len(ids))
        return len(ids) == 2 + 7 * prompt_index

    settings = replace(decoding, num_speculative_tokens=4)
    found = generate(net, PROMPTS, settings, stop=stop, on_token=lambda row, token: told[row].append(token), eos_id=eos)
    ends = [
        min([2 + 7 * prompt_index, *[at + 1 for at, token in enumerate(row) if token == eos]])
        for prompt_index, row in enumerate(free)
    ]
    assert found == told == [row[:end] for row, end in zip(free, ends, strict=True)]
    assert asked == [
        [length for length in range(1, end + 1) if row[length - 1] != eos] for row, end in zip(free, ends, strict=True)
    ]


def test_right_guesses_save_steps(monkeypatch) -> None:
    net, steps = make(), list[Tensor]()
    extend = net.extend
    monkeypatch.setattr(net, "extend", lambda ids, *rest: (steps.append(ids), extend(ids, *rest))[1])
    plain = generate(net, PROMPTS[:1], Decoding(40, temperature=0))
    followers = common_followers(torch.tensor([*PROMPTS[0], *plain[0]] * 2))
    settings = Decoding(40, temperature=0, num_speculative_tokens=4)
    assert generate(net, PROMPTS[:1], settings, followers=followers) == plain[:1]
    assert 8 <= len(steps) <= 20
    assert max(ids.shape[1] for ids in steps) == 5


def test_a_text_is_read_for_its_ngrams(tmp_path) -> None:
    path = tmp_path / "draft.txt"
    path.write_text("aba" * 4, encoding="utf-16")
    assert followers_in(str(path), ByteTokenizer()) == common_followers(torch.tensor(list(b"aba" * 4)))
    path.write_bytes(b"\xff\x80")
    with pytest.raises(ValueError, match=r"^decoding\.draft_text .*draft\.txt: byte 0 is not UTF-8"):
        followers_in(str(path), ByteTokenizer())
    with pytest.raises(ValueError, match=r"^decoding\.draft_text none\.txt: No such file or directory; give a file of"):
        followers_in("none.txt", ByteTokenizer())


def test_where_it_does_not_apply_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^num_speculative_tokens must be at least 0"):
        Decoding(num_speculative_tokens=-1)
    with pytest.raises(ValueError, match=r"^num_speculative_tokens 4 is not for beam search \(beams 2\)"):
        Decoding(beams=2, num_speculative_tokens=4)
    with pytest.raises(
        ValueError, match=r"^draft_text a\.txt is for speculative decoding; give num_speculative_tokens"
    ):
        Decoding(draft_text="a.txt")
    with pytest.raises(ValueError, match=r"^decoding\.num_speculative_tokens 4 is for Transformers, and RNNNet cannot"):
        generate(RNNNet(V), [[1]], Decoding(num_speculative_tokens=4))
    net = make()
    net.norm.register_forward_hook(lambda *_: _[-1] * torch.nan)
    with pytest.raises(ValueError, match=r"^net: its logits are not numbers"):
        generate(net, [[1]], Decoding(num_speculative_tokens=4))
