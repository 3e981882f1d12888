"""Beam search: transformers' hypotheses and scores on the same weights, and what it does at its limits."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from seq_modules.generation import Decoding, generate
from seq_modules.generation.beam import BeamScorer, Hypothesis, beam_search, best_candidates, largest
from seq_modules.generation.state import new_state
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.transformers_weights import from_gpt2

V, EOS, NEW = 13, 5, 9


class Chain(nn.Module):
    """Logits from the last id alone, given as a table of probabilities; its state is that id."""

    def __init__(self, table: list[list[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table, dtype=torch.float64).log())
        self.calls: list[int] = []

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.table[input_ids]

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        last = input_ids[torch.arange(len(lengths)), lengths - 1]
        return self.table[last], last

    def decode_step(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append(len(state))
        return self.table[ids], ids

    def window(self, ids: list[int]) -> list[int]:
        return ids

    def reorder(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]


def search(
    net: nn.Module,
    prompts: list[list[int]],
    decoding: Decoding,
    cached: bool = True,
    limits: list[int] | None = None,
    eos: int | None = EOS,
) -> list[list[Hypothesis]]:
    with torch.no_grad():
        return beam_search(new_state(net, prompts, cached), BeamScorer(prompts, decoding, limits, eos))


def pair_of_nets(seed: int, eos_bonus: float) -> tuple[GPT, GPT2LMHeadModel]:
    """A GPT-2 with random weights, in which an end is likelier the higher the bonus; and our net with its weights."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=V, n_positions=32, n_embd=16, n_layer=2, n_head=2, tie_word_embeddings=False, bos_token_id=None,
        eos_token_id=EOS, pad_token_id=0,
    )  # fmt: skip
    peer = GPT2LMHeadModel(config).double().eval()
    for name, weight in peer.named_parameters():
        if ".ln_" not in name:
            nn.init.normal_(weight, std=0.5)
    last = peer.transformer.ln_f
    last.weight.data[0], last.bias.data[0] = 0.0, 1.0  # the head's first column is then a bias of the logits
    peer.lm_head.weight.data[:, 0] = 0
    peer.lm_head.weight.data[EOS, 0] = eos_bonus
    net = GPT(V, GPTConfig(d_model=16, num_layers=2, num_heads=2, max_seq_len=32, tie_weights=False)).double().eval()
    net.load_state_dict(from_gpt2(peer.state_dict()))
    return net, peer


def by_transformers(peer: GPT2LMHeadModel, prompts: list[list[int]], decoding: Decoding) -> list[list[Hypothesis]]:
    """Their hypotheses, with ids up to the end-of-sequence token."""
    ids = torch.tensor(prompts)
    result = peer.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        num_beams=decoding.beams,
        do_sample=False,
        max_new_tokens=decoding.max_new_tokens,
        length_penalty=decoding.length_penalty,
        early_stopping=decoding.early_stopping,
        num_return_sequences=decoding.n_best,
        repetition_penalty=decoding.repetition_penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = []
    for row, score in zip(result.sequences[:, ids.shape[1] :].tolist(), result.sequences_scores.tolist(), strict=True):
        new = row[: row.index(EOS) + 1] if EOS in row else row[: decoding.max_new_tokens]
        found.append(Hypothesis(new, score, EOS in row))
    return [found[at : at + decoding.n_best] for at in range(0, len(found), decoding.n_best)]


def check_equal(ours: list[list[Hypothesis]], theirs: list[list[Hypothesis]]) -> None:
    assert [[(one.ids, one.ended) for one in row] for row in ours] == [
        [(one.ids, one.ended) for one in row] for row in theirs
    ]
    scores = [torch.tensor([one.score for row in found for one in row]) for found in (ours, theirs)]
    torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-6)  # theirs are float32


SETTINGS = {
    "plain": {},
    "early": {"early_stopping": True},
    "sum": {"length_penalty": 0.0},
    "sum_early": {"length_penalty": 0.0, "early_stopping": True},
    "long": {"length_penalty": 2.0},
    "short": {"length_penalty": -1.0},
    "short_early": {"length_penalty": -1.0, "early_stopping": True},
    "two": {"beams": 2, "n_best": 2},
    "wide": {"beams": 6, "n_best": 6, "length_penalty": 0.6},
    "repetition": {"repetition_penalty": 1.4},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_hypotheses_and_scores_are_transformers(name: str) -> None:
    prompts = [[1, 2, 3], [4, 4, 7], [8, 1, 12], [9, 10, 11]]
    decoding = Decoding(**{"max_new_tokens": NEW, "beams": 4, "n_best": 3} | SETTINGS[name])
    ends, early = set(), 0
    for seed, bonus in itertools.product(range(3), (0.0, 2.0, 4.0)):
        net, peer = pair_of_nets(seed, bonus)
        found = search(net, prompts, decoding)
        check_equal(found, by_transformers(peer, prompts, decoding))
        ends |= {one.ended for row in found for one in row}
        early += all(len(one.ids) < NEW for row in found for one in row)
    assert ends == {True, False}
    assert early  # in some trial every hypothesis ended before the longest length


@pytest.mark.parametrize("early_stopping", [False, True])
def test_sources_do_not_depend_on_their_neighbours(early_stopping: bool) -> None:
    net, _ = pair_of_nets(1, 2.0)
    prompts = [[1, 2, 3], [4], [8, 1], [9, 10, 11, 12], [4]]
    decoding = Decoding(NEW, beams=3, n_best=3, early_stopping=early_stopping)
    limits = [NEW, 3, NEW, 5, 1]
    together = search(net, prompts, decoding, limits=limits)
    alone = [search(net, [prompt], decoding, limits=[limit])[0] for prompt, limit in zip(prompts, limits, strict=True)]
    check_equal(together, alone)
    assert all(len(one.ids) <= limit for row, limit in zip(together, limits, strict=True) for one in row)
    assert any(len(one.ids) == 1 and not one.ended for one in together[4])


def language_nets() -> list[nn.Module]:
    torch.manual_seed(0)
    gpt, _ = pair_of_nets(0, 1.0)
    other, _ = pair_of_nets(3, 1.0)
    recurrent = [
        RNNNet(V, RNNConfig(6, rnn=RecurrentConfig(cell, hidden_size=16, num_layers=2))).double()
        for cell in ("lstm", "gru")
    ]
    for net in recurrent:
        nn.init.normal_(net.head.weight, std=2.0)
    small = GPT(V, GPTConfig(d_model=16, num_layers=2, num_heads=2, max_seq_len=6)).double()  # its window slides
    return [gpt, *recurrent, small, Ensemble([gpt, other])]


@pytest.mark.parametrize("number", range(5), ids=["gpt", "lstm", "gru", "sliding", "ensemble"])
def test_language_models_search_with_a_cache_and_without(number: int) -> None:
    net = language_nets()[number].eval()
    prompts = [[1], [2, 3, 4, 5], [7, 8, 0]]
    for beams in (2, 4):
        decoding = Decoding(12, beams=beams, n_best=beams, repetition_penalty=1.1)
        found = search(net, prompts, decoding)
        check_equal(found, search(net, prompts, decoding, cached=False))
        best = Decoding(12, beams=beams, repetition_penalty=1.1)
        assert generate(net, prompts, best, eos_id=EOS) == [row[0].ids for row in found]
        assert len(set(map(str, found))) == 3


def test_more_rows_than_are_decoded_as_they_are() -> None:
    """Eight rows and more have transposed weights; rows leave as their sources end."""
    net, peer = pair_of_nets(2, 3.0)
    prompts = [[1 + row, 2, 3] for row in range(6)]
    decoding = Decoding(NEW, beams=3, n_best=3)
    check_equal(search(net, prompts, decoding), by_transformers(peer, prompts, decoding))


def all_hypotheses(net: Chain, start: int, decoding: Decoding, eos: int) -> list[Hypothesis]:
    """Every sequence there is, the best first."""
    size, found = len(net.table), []
    for length in range(1, decoding.max_new_tokens + 1):
        for ids in itertools.product(range(size), repeat=length):
            ended = ids[-1] == eos
            if eos in ids[:-1] or not (ended or length == decoding.max_new_tokens):
                continue
            total = sum(net.table[a, b].item() for a, b in zip([start, *ids], ids, strict=False))
            found.append(Hypothesis(list(ids), total / length**decoding.length_penalty, ended))
    return sorted(found, key=lambda one: -one.score)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_wide_beams_find_the_best_of_all_sequences(length_penalty: float) -> None:
    torch.manual_seed(0)
    net = Chain(torch.rand(3, 3).softmax(-1).tolist())
    decoding = Decoding(4, beams=40, n_best=5, length_penalty=length_penalty)
    (found,) = search(net, [[0]], decoding, eos=2)
    expected = all_hypotheses(net, 0, decoding, 2)[:5]
    assert [one.ids for one in found] == [one.ids for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected])


def test_more_beams_than_continuations_give_as_many_hypotheses_as_there_are() -> None:
    net = Chain([[0.5, 0.2, 0.3]] * 3)
    (found,) = search(net, [[0]], Decoding(1, beams=5, n_best=5), eos=2)
    assert [(one.ids, one.ended) for one in found] == [([0], False), ([2], True), ([1], False)]
    assert [one.score for one in found] == pytest.approx([math.log(0.5), math.log(0.3), math.log(0.2)])


def test_a_token_that_is_ruled_out_is_in_no_hypothesis() -> None:
    net = Chain([[0.6, 0.4, 0.0]] * 3)
    (found,) = search(net, [[0]], Decoding(2, beams=8, n_best=8), eos=None)
    assert sorted(one.ids for one in found) == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_beam_finds_what_greedy_decoding_misses() -> None:
    net = Chain([[0.0, 0.6, 0.4, 0.0], [0.3, 0.3, 0.3, 0.1], [0.0, 0.0, 0.05, 0.95], [1.0, 0.0, 0.0, 0.0]])
    assert generate(net, [[0]], Decoding(2, temperature=0), eos_id=3) == [[1, 0]]
    assert generate(net, [[0]], Decoding(2, beams=2, length_penalty=0.0), eos_id=3) == [[2, 3]]


def test_scores_of_a_net_in_half_precision_are_summed_in_float32() -> None:
    net = Chain([[0.5, 0.25, 0.25]] * 3).bfloat16()
    (found,) = search(net, [[0]], Decoding(40, beams=2, length_penalty=0.0), eos=None)
    one = float(net.table[0].detach().float().log_softmax(-1)[0])
    assert found[0].score == pytest.approx(40 * one, rel=1e-5)  # bfloat16 has three digits


def test_equal_scores_are_ordered_by_their_ids() -> None:
    net = Chain([[0.25] * 4] * 4)
    (found,) = search(net, [[0]], Decoding(2, beams=3, n_best=3), eos=None)
    assert [one.ids for one in found] == [[0, 0], [0, 1], [0, 2]]


def test_the_net_reads_only_sources_whose_search_goes_on() -> None:
    # From 0 the end is nearly certain; from 1 it never comes.
    net = Chain([[0.05, 0.0, 0.9, 0.05], [0.0, 0.5, 0.0, 0.5], [0.25] * 4, [0.0, 0.5, 0.0, 0.5]])
    found = search(net, [[0], [1]], Decoding(6, beams=2, n_best=2, early_stopping=True), eos=2)
    assert [one.ids for one in found[0]] == [[2], [0, 2]]
    assert [len(one.ids) for one in found[1]] == [6, 6]
    assert net.calls == [4, 2, 2, 2, 2]


def test_stop_ends_a_hypothesis_and_tokens_are_told_at_the_end() -> None:
    net, _ = pair_of_nets(0, -9.0)
    decoding, told = Decoding(NEW, beams=3), []
    new = generate(
        net, [[1, 2, 3], [4, 4, 7]], decoding, stop=lambda prompt_index, ids: len(ids) == 2 + prompt_index,
        on_token=lambda prompt_index, token: told.append((prompt_index, token)),
    )  # fmt: skip
    assert [len(ids) for ids in new] == [2, 3]
    assert told == [(prompt_index, token) for prompt_index, ids in enumerate(new) for token in ids]
    assert new[0] == generate(net, [[1, 2, 3]], Decoding(2, beams=3))[0]


def test_stop_is_told_the_ids_of_each_hypothesis() -> None:
    net, seen = Chain([[0.5, 0.3, 0.2]] * 3), []
    generate(net, [[0]], Decoding(2, beams=2), stop=lambda _, ids: seen.append(tuple(ids)) is not None)
    assert sorted(seen) == [(0,), (0, 0), (0, 1), (0, 2), (1,), (1, 0), (2,)]


def test_bad_settings_are_refused() -> None:
    for options, message in (
        ({"n_best": 2}, r"^n_best is 2, more than there are beams \(1\)"),
        ({"beams": 3, "temperature": 0.7}, r"^temperature 0\.7 is for sampling, and beam search \(beams 3\)"),
        ({"beams": 3, "top_k": 5}, r"^top_k 5 is for sampling"),
        ({"beams": 0}, r"^beams must be at least 1, not 0"),
        ({"length_penalty": math.inf}, r"^length_penalty must be"),
    ):
        with pytest.raises(ValueError, match=message):
            Decoding(**options)
    net = Chain([[0.5, 0.5]] * 2)
    with pytest.raises(ValueError, match=r"^decoding\.n_best 2 is not for texts that are continued; leave it out$"):
        generate(net, [[0]], Decoding(3, beams=2, n_best=2))
    net.table.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"^net: its logits are not numbers"):
        generate(net, [[0]], Decoding(3, beams=2))


@pytest.mark.parametrize("columns", [10, 600, 5000, 5003])
@pytest.mark.parametrize("width", [1, 3])
def test_the_best_candidates_are_those_of_sorting_all(columns: int, width: int) -> None:
    torch.manual_seed(columns)
    scores = torch.randn(4, width).double()
    scores[2, 1:] = -torch.inf
    for log_probs in (torch.randn(4 * width, columns).double(), torch.randint(9, (4 * width, columns)).double()):
        for count in (1, 4, 10):
            totals, rows, tokens = best_candidates(log_probs, scores, count)
            ways = scores.view(-1, 1) + log_probs
            expected = ways.view(4, -1).sort(dim=-1, descending=True, stable=True).values[:, :count]
            assert torch.equal(totals, expected)
            assert torch.equal(ways[rows, tokens], expected)
            assert all(
                len(set(zip(*way, strict=True))) == count for way in zip(rows.tolist(), tokens.tolist(), strict=True)
            )
            assert torch.equal(rows // width, torch.arange(4)[:, None].expand(-1, count))


def test_of_equal_values_the_first_are_taken() -> None:
    values = torch.tensor([[1.0, 2, 1, 2, 1], [0, 0, 0, 0, 0], [5, 4, 3, 2, 1]])
    assert largest(values, 3)[1].tolist() == [[1, 3, 0], [0, 1, 2], [0, 1, 2]]
    assert largest(values, 9)[1].tolist() == [[1, 3, 0, 2, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    _, rows, tokens = best_candidates(torch.zeros(4, 5003), torch.zeros(2, 2), 3)
    assert tokens.tolist() == [[0, 1, 2]] * 2
    assert rows.tolist() == [[0] * 3, [2] * 3]
