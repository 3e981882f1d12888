"""Translation: transformers' greedy and beam search on Marian's weights, the naive twin, and what a row depends on."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import MarianConfig, MarianMTModel

from seq_modules.generation import Decoding
from seq_modules.generation.beam import Hypothesis
from seq_modules.generation.sampling import sample, uniforms
from seq_modules.generation.seq2seq import max_new_tokens, replace_unknown, translate
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq import EncoderDecoderRNN
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seq_modules.nets.transformer.transformers_weights import from_marian
from seqlight.core.labels import BOS, EOS, PAD, UNK

V, WIDTH, NEW = 14, 16, 8
SOURCES = [[4, 5, 6, 7, 8, EOS], [9, EOS], [10, 4, 4, EOS], [11, 12, 13, EOS], [5, 6, EOS]]

# Of the random weights: the source, the position and the tokens before have a say each.
SCALES = {"bias": 0.1, "self_attn": 0.2, "encoder_attn": 0.4, "fc": 0.4, "embed": 1.0, "shared": 1.0, "lm_head": 0.5}


def pair_of_nets(seed: int, eos_bonus: float) -> tuple[EncoderDecoderTransformer, MarianMTModel]:
    """A Marian with random weights, in which an end is likelier the higher the bonus; and our net with its weights."""
    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=V, d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=40,
        activation_function="relu", scale_embedding=True, pad_token_id=PAD, eos_token_id=EOS,
        decoder_start_token_id=BOS, forced_eos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    peer = MarianMTModel(config).double().eval()
    for name, weight in peer.named_parameters():
        if "layer_norm" not in name:
            nn.init.normal_(weight, std=next(std for part, std in SCALES.items() if part in name))
    last = peer.model.decoder.layers[-1].final_layer_norm
    last.weight.data[0], last.bias.data[0] = 0.0, 1.0  # the head's first column is then a bias of the logits
    peer.lm_head.weight.data[:, 0] = 0
    peer.lm_head.weight.data[EOS, 0] = eos_bonus
    shape = Seq2SeqTransformerConfig(
        WIDTH, 2, 2, 2, 24, max_seq_len=40, positions="learned", norm_first=False, share_embeddings="none"
    )
    net = EncoderDecoderTransformer(V, V, shape).double().eval()
    net.load_state_dict(from_marian(peer.state_dict()))
    return net, peer


def by_transformers(peer: MarianMTModel, sources: list[list[int]], decoding: Decoding) -> list[list[Hypothesis]]:
    """Their hypotheses; for greedy decoding, without scores."""
    width = max(map(len, sources))
    ids = torch.tensor([[*source, *[PAD] * (width - len(source))] for source in sources])
    of_beams = {"length_penalty": decoding.length_penalty, "early_stopping": decoding.early_stopping}
    result: Any = peer.generate(
        ids,
        attention_mask=(ids != PAD).long(),
        num_beams=decoding.beams,
        do_sample=False,
        max_new_tokens=decoding.max_new_tokens,
        num_return_sequences=decoding.n_best,
        repetition_penalty=decoding.repetition_penalty,
        suppress_tokens=[PAD, BOS],
        return_dict_in_generate=True,
        output_scores=True,
        **(of_beams if decoding.beams > 1 else {}),
    )
    rows = result.sequences[:, 1:].tolist()
    scores = result.sequences_scores.tolist() if decoding.beams > 1 else [0.0] * len(rows)
    found = []
    for row, score in zip(rows, scores, strict=True):
        new = row[: row.index(EOS) + 1] if EOS in row else row[: decoding.max_new_tokens]
        found.append(Hypothesis(new, score, EOS in row))
    return [found[at : at + decoding.n_best] for at in range(0, len(found), decoding.n_best)]


def check_equal(ours: list[list[Hypothesis]], theirs: list[list[Hypothesis]], scores: bool = True) -> None:
    assert [[(one.ids, one.ended) for one in row] for row in ours] == [
        [(one.ids, one.ended) for one in row] for row in theirs
    ]
    if scores:
        own, other = ([one.score for row in found for one in row] for found in (ours, theirs))
        assert own == pytest.approx(other, rel=1e-5, abs=1e-6)  # theirs are float32


SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"beams": 1, "n_best": 1},
    "greedy_repetition": {"beams": 1, "n_best": 1, "repetition_penalty": 1.5},
    "plain": {},
    "early": {"early_stopping": True},
    "sum": {"length_penalty": 0.0},
    "long": {"length_penalty": 1.7},
    "short_early": {"length_penalty": -0.5, "early_stopping": True},
    "wide": {"beams": 7, "n_best": 7, "length_penalty": 0.6},
    "repetition": {"repetition_penalty": 1.4},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_translations_and_scores_are_transformers(name: str) -> None:
    decoding = Decoding(**{"max_new_tokens": NEW, "beams": 5, "n_best": 5} | SETTINGS[name])
    ends, early = set(), 0
    for seed, bonus in itertools.product(range(3), (0.0, 2.0, 3.5)):
        net, peer = pair_of_nets(seed, bonus)
        found = translate(net, SOURCES, decoding)
        check_equal(found, by_transformers(peer, SOURCES, decoding), scores=decoding.beams > 1)
        ends |= {one.ended for row in found for one in row}
        early += any(len(one.ids) < NEW for row in found for one in row)
    assert ends == {True, False}
    assert early


def recurrent(attention: Any, cell: Any = "gru", seed: int = 0, **options: Any) -> EncoderDecoderRNN:
    torch.manual_seed(seed)
    layers = RecurrentConfig(cell, hidden_size=WIDTH, num_layers=2, bidirectional=True)
    net = EncoderDecoderRNN(V, V, Seq2SeqRNNConfig(d_model=WIDTH, attention=attention, rnn=layers, **options)).double()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.5)
    return net.eval()


NETS = {
    "transformer": lambda: pair_of_nets(0, 1.5)[0],
    "rnn": lambda: recurrent("none"),
    "attention": lambda: recurrent("additive", "lstm", seed=1, input_feeding=True),
    "ensemble": lambda: Ensemble([pair_of_nets(0, 1.5)[0], pair_of_nets(1, 1.5)[0]]),
    "mixed_ensemble": lambda: Ensemble([pair_of_nets(0, 1.5)[0], recurrent("dot")]),
}
DECODINGS = {
    "greedy": Decoding(12),
    "sampled": Decoding(12, temperature=1.2, top_p=0.95, seed=3),
    "penalty": Decoding(12, repetition_penalty=1.5, max_source_ratio=0.5),
    "beams": Decoding(12, beams=4, n_best=4),
    "limited_beams": Decoding(12, beams=3, n_best=2, early_stopping=True, max_source_ratio=0.1),
}


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS)
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_cached_equals_naive(make, decoding) -> None:
    net = make()
    cached = translate(net, SOURCES, decoding)
    check_equal(cached, translate(net, SOURCES, decoding, cached=False))
    assert len({str(row[0].ids) for row in cached}) > 1


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS)
def test_a_source_does_not_depend_on_its_batch(decoding) -> None:
    net, numbers = pair_of_nets(2, 1.5)[0], [7, 3, 0, 12, 5]
    together = translate(net, SOURCES, decoding, sample_ids=numbers)
    alone = [translate(net, [one], decoding, sample_ids=[n])[0] for one, n in zip(SOURCES, numbers, strict=True)]
    check_equal(together, alone)
    check_equal(together, translate(net, SOURCES, decoding, sample_ids=numbers, batch_size=2))
    check_equal(together, translate(net, SOURCES[::-1], decoding, sample_ids=numbers[::-1])[::-1])


@pytest.mark.parametrize("name", ["greedy", "sampled", "beams"])
def test_sources_whose_translation_has_ended_leave_the_batch(name: str) -> None:
    net, decoding, sizes = pair_of_nets(0, 2.0)[0], DECODINGS[name], list[int]()
    decode_step = net.decode_step

    def step(ids: Tensor, state: Any) -> Any:
        sizes.append(len(ids))
        return decode_step(ids, state)

    net.decode_step = step  # type: ignore[method-assign]
    lengths = [len(found[0].ids) for found in translate(net, SOURCES, decoding)]
    assert len(set(lengths)) > 1
    if decoding.beams == 1:
        assert sizes == [sum(length > done for length in lengths) for done in range(1, max(lengths))]
    else:
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > sizes[-1]


def scored_by_hand(net: nn.Module, source: list[int], ids: list[int], length_penalty: float) -> float:
    """The score of a translation, by one pass."""
    mask = torch.ones(1, len(source), dtype=torch.bool)
    log_probs = net(torch.tensor([source]), mask, torch.tensor([[BOS, *ids[:-1]]]))[0].log_softmax(-1)
    return float(log_probs[torch.arange(len(ids)), torch.tensor(ids)].sum() / len(ids) ** length_penalty)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
@torch.no_grad()
def test_scores_are_those_of_one_pass(make) -> None:
    net = make().eval()
    for decoding in (
        Decoding(9, length_penalty=0.7),
        Decoding(9, temperature=2.0, length_penalty=0.0),
        Decoding(9, beams=3, n_best=3, length_penalty=0.5),
    ):
        for source, found in zip(SOURCES, translate(net, SOURCES, decoding), strict=True):
            assert [one.score for one in found] == pytest.approx(
                [scored_by_hand(net, source, one.ids, decoding.length_penalty) for one in found]
            )
            assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@torch.no_grad()
def test_sampling_equals_a_loop_written_by_hand() -> None:
    net, source, decoding = pair_of_nets(1, 0.0)[0], SOURCES[0], Decoding(10, temperature=1.3, top_k=6, seed=4)
    mask, target, draw = torch.ones(1, len(source), dtype=torch.bool), [BOS], uniforms(4, 9)
    while len(target) < 11 and target[-1] != EOS:
        logits = net(torch.tensor([source]), mask, torch.tensor([target]))[:, -1]
        logits[:, [PAD, BOS]] = -torch.inf
        target.append(int(sample(logits, decoding, torch.tensor([next(draw)], dtype=torch.float64))))
    assert translate(net, [source], decoding, sample_ids=[9])[0][0].ids == target[1:]
    assert len(target) > 4
    assert translate(net, [source] * 2, decoding)[0] != translate(net, [source] * 2, decoding)[1]


@torch.no_grad()
def test_an_ensemble_averages_probabilities() -> None:
    nets = [pair_of_nets(seed, 1.0)[0] for seed in range(3)]
    mask, source, begin = torch.ones(1, 6, dtype=torch.bool), torch.tensor([SOURCES[0]]), torch.tensor([[BOS]])
    (found,) = translate(Ensemble(nets), [SOURCES[0]], Decoding(1, beams=4, n_best=4))
    mean = sum(net(source, mask, begin)[0, -1].softmax(-1) for net in nets) / 3
    best = mean.index_fill(0, torch.tensor([PAD, BOS]), 0).topk(4)
    assert [one.ids for one in found] == [[token] for token in best.indices.tolist()]
    assert [one.score for one in found] == pytest.approx(best.values.log().tolist())


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS)
@torch.no_grad()
def test_padding_and_the_beginning_are_never_generated(decoding) -> None:
    net = pair_of_nets(0, -2.0)[0]
    for name, weight in net.named_parameters():
        if name == "head.weight":
            weight.data[[PAD, BOS], 0] = 9.0  # the likeliest tokens at every step
    source_mask = torch.ones(1, len(SOURCES[0]), dtype=torch.bool)
    wanted = net(torch.tensor([SOURCES[0]]), source_mask, torch.tensor([[BOS]]))[0, -1].topk(2).indices
    assert set(wanted.tolist()) == {PAD, BOS}
    for cached in (True, False):
        found = translate(net, SOURCES, decoding, cached=cached)
        assert not {PAD, BOS} & {token for row in found for one in row for token in one.ids}
        assert all(one.ids for row in found for one in row)
    free = translate(net, SOURCES, decoding, suppressed=())
    assert {PAD, BOS} & {token for row in free for one in row for token in one.ids}


def test_the_longest_length_is_a_function_of_the_source() -> None:
    assert max_new_tokens(Decoding(200), 7) == 200
    assert max_new_tokens(Decoding(200, max_source_ratio=1.5), 7) == 20
    assert max_new_tokens(Decoding(15, max_source_ratio=1.5), 7) == 15
    assert max_new_tokens(Decoding(200, max_source_ratio=1.5), 7, longest=12) == 12
    net = pair_of_nets(0, -50.0)[0]  # never ends by itself
    for beams in (1, 3):
        found = translate(net, SOURCES, Decoding(200, beams=beams, max_source_ratio=0.5))
        assert [len(row[0].ids) for row in found] == [13, 11, 12, 12, 11]
        assert not any(row[0].ended for row in found)
        found = translate(net, SOURCES, Decoding(200, beams=beams))
        assert [len(row[0].ids) for row in found] == [40] * 5  # the net's max_seq_len


def test_no_end_of_sequence_token_gives_the_longest_length() -> None:
    net = pair_of_nets(0, 3.0)[0]
    for beams in (1, 4):
        found = translate(net, SOURCES, Decoding(NEW, beams=beams), eos_id=None)
        assert [len(row[0].ids) for row in found] == [NEW] * 5
        assert any(EOS in row[0].ids[:-1] for row in found)


class Copier(nn.Module):
    """Attends to the source backwards: target position t to source position S - 1 - t."""

    def __init__(self, attention: bool = True) -> None:
        super().__init__()
        self.attention = attention

    def cross_attention(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor | None:
        assert source_mask.all()
        self.target = target_ids.tolist()
        weights = torch.eye(source_ids.shape[1]).flip(0)[: target_ids.shape[1]]
        return torch.stack([weights, weights * 0.5 + 0.1])[None, None] if self.attention else None


def test_unknown_words_are_copied_from_the_place_attended_to_most() -> None:
    net, source, words = Copier(), [4, UNK, 5, UNK, EOS], ["der", "Zwerg", "und", "Rübezahl"]
    tokens = ["a", "<unk>", "b", "<unk>"]
    assert replace_unknown(net, source, words, [6, UNK, 7, UNK, EOS], tokens) == ["a", "Rübezahl", "b", "Zwerg"]
    assert net.target == [[BOS, 6, UNK, 7]]
    assert replace_unknown(net, source, words, [UNK], ["<unk>"])[0] in words  # the end of the sequence is no word
    assert replace_unknown(Copier(attention=False), source, words, [6, UNK, EOS], ["a", "<unk>"]) == ["a", "<unk>"]
    assert replace_unknown(net, [EOS], [], [UNK, EOS], ["<unk>"]) == ["<unk>"]


def test_unknown_words_with_real_attention() -> None:
    net, source = pair_of_nets(0, 0.0)[0], SOURCES[0]
    words, ids = ["w4", "w5", "w6", "w7", "w8"], [6, UNK, 7, UNK, UNK, EOS]
    found = replace_unknown(net, source, words, ids, ["a", "?", "b", "?", "?"])
    mask, target = torch.ones(1, 6, dtype=torch.bool), torch.tensor([[BOS, 6, UNK, 7, UNK]])
    best = net.cross_attention(torch.tensor([source]), mask, target)[0].mean((0, 1))[:, :5].argmax(-1)
    assert found == ["a", words[best[1]], "b", words[best[3]], words[best[4]]]


def test_modes_come_back_and_bad_input_is_refused() -> None:
    net = pair_of_nets(0, 0.0)[0].train()
    assert translate(net, [], Decoding()) == []
    translate(net, SOURCES, Decoding(2))
    assert net.training
    with pytest.raises(ValueError, match=r"^sources\[1\] is empty"):
        translate(net, [[4], []], Decoding())
    with pytest.raises(ValueError, match=r"^sources\[0\] has 41 tokens, more than the net reads \(max_seq_len 40"):
        translate(net, [[4] * 41], Decoding())
    with pytest.raises(ValueError, match=r"^sample_ids must number every source: 1 numbers for 2"):
        translate(net, [[4], [5]], Decoding(), sample_ids=[0])
    net.target_embedding.weight.data.fill_(torch.nan)
    for beams in (1, 2):
        with pytest.raises(ValueError, match=r"^net: its logits are not numbers"):
            translate(net, [[4]], Decoding(beams=beams))
