"""A text is scored before it is learned from, and learning helps."""

import copy
import string

import numpy as np
import pytest
import torch

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.adaptation.adapted_generation import generate_adapted
from seq_modules.adaptation.adaptive_model import AdaptiveModel
from seq_modules.generation.decode import generate
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seqlight.core.errors import UserError

PIECES = [*string.ascii_lowercase[:8], " ", "\n"]
BOTH = Adaptation(enabled=True, learning_rate=0.01, segment=5)
GREEDY = Decoding(max_new_tokens=12, temperature=0)


@pytest.fixture
def net() -> GPT:
    torch.manual_seed(0)
    return GPT(len(PIECES), GPTConfig(d_model=8, num_layers=1, num_heads=2, max_seq_len=16)).eval()


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, len(PIECES), 90)


def read(net: torch.nn.Module, ids: np.ndarray, adaptation: Adaptation = BOTH) -> np.ndarray:
    model = AdaptiveModel(net, PIECES, adaptation, training=np.arange(len(PIECES)).repeat(2))
    with model.reading():
        return model.read(ids)


@pytest.mark.parametrize("position", [1, 45, 46, 48, 89])
def test_a_token_changes_no_score_before_it(net: GPT, ids: np.ndarray, position: int) -> None:
    before = read(net, ids)
    ids[position] = (ids[position] + 1) % len(PIECES)
    after = read(net, ids)
    assert (after[: position - 1] == before[: position - 1]).all()
    assert after[position - 1] != before[position - 1]  # its own
    assert (after[position:] != before[position:]).any() or position == 89


def test_every_token_is_scored_once_by_a_distribution(net: GPT, ids: np.ndarray) -> None:
    model = AdaptiveModel(net, PIECES, BOTH)
    with model.reading():
        assert len(model.read(ids)) == 89
        after = model.after(ids)
    np.testing.assert_allclose(np.exp(after).sum(), 1, rtol=1e-5)
    for token in (0, 7):  # what is said of the next token is how it is scored, where a segment ends with the text
        longer = np.append(ids[:86], token)
        ahead = AdaptiveModel(net, PIECES, BOTH)
        with ahead.reading():
            ahead.read(ids[:86])
            expected = ahead.after(ids[:86])[token]
        again = AdaptiveModel(net, PIECES, BOTH)
        with again.reading():
            np.testing.assert_allclose(again.read(longer)[-1], expected, rtol=1e-4)


def test_without_anything_that_learns_the_net_alone_scores(net: GPT, ids: np.ndarray) -> None:
    scores = read(net, ids, Adaptation(learning_rate=0, counts=False, segment=1))
    for position in (1, 20, 89):
        logits = net(torch.from_numpy(ids[max(0, position - 16) : position])[None])[0, -1]
        np.testing.assert_allclose(scores[position - 1], logits.log_softmax(-1)[ids[position]].detach(), rtol=1e-5)


@pytest.mark.parametrize("adaptation", [Adaptation(learning_rate=0), Adaptation(counts=False, learning_rate=0.02)])
def test_a_text_that_repeats_itself_gets_likelier(net: GPT, ids: np.ndarray, adaptation: Adaptation) -> None:
    scores = read(net, np.tile(ids[:30], 6), adaptation)
    assert scores[-30:].mean() > scores[:29].mean() + 0.2


def test_the_weights_stay_and_a_second_reading_is_the_same(net: GPT, ids: np.ndarray) -> None:
    before = copy.deepcopy(net.state_dict())
    first = read(net, ids)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert (read(net, ids) == first).all()


def test_an_ensemble_learns_as_a_whole(net: GPT, ids: np.ndarray) -> None:
    torch.manual_seed(1)
    other = GPT(len(PIECES), net.config)
    both = Ensemble([net, other])
    scores = read(both, ids, Adaptation(counts=False))
    assert not np.allclose(scores, read(both, ids, Adaptation(counts=False, learning_rate=0)))
    assert (scores == read(both, ids, Adaptation(counts=False))).all()


def test_a_prompt_is_learned_from_and_continued(net: GPT, ids: np.ndarray) -> None:
    prompts = [np.tile(np.arange(8), 12).tolist(), [3]]
    found = generate_adapted(net, prompts, GREEDY, BOTH, PIECES)
    assert found[0] == [token % 8 for token in range(12)]  # the counts have seen this often
    assert found[1] == generate(net, [[3]], GREEDY)[0]  # nothing to learn from: the net's own
    tokens: list[tuple[int, int]] = []
    stopped = generate_adapted(
        net, prompts, GREEDY, BOTH, PIECES,
        stop=lambda prompt_index, new: prompt_index == 0 and len(new) == 3,
        on_token=lambda *token: tokens.append(token),
    )  # fmt: skip
    assert stopped == [found[0][:3], found[1]]
    assert tokens == [(prompt_index, token) for prompt_index, new in enumerate(stopped) for token in new]
    with pytest.raises(UserError, match="beams"):
        generate_adapted(net, prompts, Decoding(beams=2), BOTH, PIECES)


@pytest.mark.parametrize("name", ["learning_rate", "segment", "mixing_rate"])
def test_values_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"adapt.{name}"):
        Adaptation(**{name: -1})
