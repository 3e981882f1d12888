"""Taggers: their loss, one batch learnt by heart, padding, subwords, legal spans, predictions, resuming."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from torch import Tensor
from transformers import BertConfig, BertModel

import seqlight
from datamodules import TaggingDataModule
from datamodules.tokenizers import TaggingTokenizer, WordPieceTokenizer
from seq_modules import PretrainedTagger, TokenTagger
from seq_modules.nets.pretrained.encoder import PretrainedEncoderConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.tagger_net import TagEncoder, WordEncoderConfig
from seq_modules.nets.text.token_embedding import EmbeddingConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.nets.text.word_characters import CharacterConfig, CharacterEncoder
from seq_modules.training.optim import OptimConfig
from seqlight.core.labels import IGNORED
from seqlight.core.spans import first_fault

SENTENCES = [
    ["she", "saw", "Rome", "again"],
    ["Rome"],
    ["saw", "the", "saw"],
    ["the", "Tiber", "in", "Rome", "saw", "it"],
]
TAGS = [["B-P", "O", "B-L", "O"], ["B-L"], ["O", "B-T", "I-T"], ["B-L", "I-L", "O", "B-L", "O", "O"]]
NAMES = ["B-L", "B-P", "B-T", "I-L", "I-T", "O"]
TOKENIZER = TaggingTokenizer.learn(SENTENCES)
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "she", "saw", "rome", "the", "ti", "##ber", "it", "in"]
SUBWORDS = TaggingTokenizer.learn(SENTENCES, pieces=WordPieceTokenizer("\n".join(PIECES)))
BERT = BertConfig(
    vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


def batch_of(tokenizer: TaggingTokenizer, rows: list[int]) -> dict[str, Any]:
    labels = [torch.tensor([NAMES.index(tag) for tag in TAGS[row]]) for row in rows]
    words = [SENTENCES[row] for row in rows]
    padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
    return {**tokenizer.batch(words), "labels": padded, "index": torch.tensor(rows), "words": words}


def make(encoder: TagEncoder = "recurrent", characters: CharacterEncoder = "cnn", **settings: Any) -> TokenTagger:
    torch.manual_seed(0)
    net = WordEncoderConfig(
        encoder, 12, EmbeddingConfig(), CharacterConfig(characters, 6, 8),
        RecurrentConfig(hidden_size=8, bidirectional=True), TransformerEncoderConfig(1, 2),
    )  # fmt: skip
    optim = OptimConfig(learning_rate=0.02)
    module = TokenTagger(TOKENIZER.vocab_size, TOKENIZER.num_characters, NAMES, net, optim=optim, **settings)
    module.tokenizer = TOKENIZER
    return module


def make_pretrained(**settings: Any) -> PretrainedTagger:
    torch.manual_seed(0)
    net = PretrainedEncoderConfig(encoder_config=BERT.to_dict(), dropout=0.0)
    optim = OptimConfig(learning_rate=0.01)
    module = PretrainedTagger(len(PIECES), SUBWORDS.num_characters, NAMES, net, optim=optim, **settings)
    module.tokenizer = SUBWORDS
    return module


def test_loss_is_the_negative_log_likelihood_of_the_words() -> None:
    module, batch = make().eval(), batch_of(TOKENIZER, [0, 1, 2])
    step = module.step(batch)
    log_probabilities = module(batch).log_softmax(-1)
    pairs = [(row, place) for row, tags in enumerate(TAGS[:3]) for place in range(len(tags))]
    expected = -sum(log_probabilities[row, t, NAMES.index(TAGS[row][t])] for row, t in pairs)
    torch.testing.assert_close(step.loss_sum, expected)
    assert step.num_targets == len(pairs)


def test_loss_of_a_crf_is_that_of_the_whole_sequence() -> None:
    module, batch = make(crf=True, constrained=False), batch_of(TOKENIZER, [2])
    crf, emissions = module.net.crf, module(batch)[0]
    assert crf is not None

    def score(labels: tuple[int, ...]) -> Tensor:
        inner = sum(emissions[t, label] for t, label in enumerate(labels))
        return (
            inner
            + crf.start[labels[0]]
            + crf.end[labels[-1]]
            + sum(crf.transitions[p] for p in itertools.pairwise(labels))
        )

    scores = {labels: score(labels) for labels in itertools.product(range(len(NAMES)), repeat=3)}
    true = tuple(NAMES.index(tag) for tag in TAGS[2])
    expected = torch.stack(list(scores.values())).logsumexp(0) - scores[true]
    torch.testing.assert_close(module.step(batch).loss_sum, expected)


@pytest.mark.parametrize(
    ("encoder", "characters", "crf"),
    [
        ("recurrent", "cnn", True),
        ("recurrent", "lstm", False),
        ("transformer", "cnn", False),
        ("embeddings", "none", True),
    ],
)
def test_one_batch_is_learnt_by_heart_and_padding_changes_nothing(
    encoder: TagEncoder, characters: CharacterEncoder, crf: bool
) -> None:
    module, batch = make(encoder, characters, crf=crf), batch_of(TOKENIZER, [0, 1, 2, 3])
    optimizer = module.make_optimizer()
    for _ in range(60):
        optimizer.zero_grad()
        step = module.step(batch)
        (step.loss_sum / step.num_targets).backward()
        optimizer.step()
    step = module.eval().step(batch)
    if encoder == "embeddings":  # which sees no other word: "saw" has three labels, and a CRF tells most of them
        assert step.loss_sum / step.num_targets < 0.5
    else:
        assert step.loss_sum / step.num_targets < 0.1
        assert module.tag(SENTENCES) == TAGS
    together = module(batch)
    for row, sentence in enumerate(SENTENCES):
        alone = module(batch_of(TOKENIZER, [row]))
        torch.testing.assert_close(alone[0], together[row, : len(sentence)], rtol=1e-5, atol=1e-5)


def test_a_word_of_a_pretrained_encoder_has_the_state_of_its_first_subword() -> None:
    module = make_pretrained().eval()
    batch = batch_of(SUBWORDS, [1, 3])
    theirs: Any = BertModel(BERT, add_pooling_layer=False).eval()
    theirs.load_state_dict(module.encoder.model.state_dict())
    ids = torch.tensor([[2, 8, 9, 10, 12, 7, 6, 11, 3]])  # [CLS] the ti ##ber in rome saw it [SEP]
    hidden = theirs(input_ids=ids).last_hidden_state[0]
    expected = module.net.head(hidden[[1, 2, 4, 5, 6, 7]])
    torch.testing.assert_close(module(batch)[1], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(module(batch_of(SUBWORDS, [3]))[0], expected, rtol=1e-5, atol=1e-5)


def test_a_pretrained_tagger_learns_one_batch_with_characters_and_crf() -> None:
    module = make_pretrained(
        characters=CharacterConfig("cnn", 6, 8), crf=True, head_learning_rate=0.02, layer_decay=0.5
    )
    optimizer, batch = module.make_optimizer(), batch_of(SUBWORDS, [0, 1, 2, 3])
    rates = {group["lr"] for group in optimizer.param_groups}
    assert rates == {0.02, 0.01, 0.005, 0.0025}  # heads, two layers, embeddings
    for _ in range(60):
        optimizer.zero_grad()
        step = module.step(batch)
        (step.loss_sum / step.num_targets).backward()
        optimizer.step()
    assert module.eval().tag(SENTENCES) == TAGS


def test_a_constrained_crf_predicts_sound_spans_whatever_its_weights() -> None:
    faults = 0
    for crf, constrained in ((True, True), (True, False)):
        module = make(crf=crf, constrained=constrained).eval()
        with torch.no_grad():
            module.net.head.weight.mul_(30)
        for seed in range(20):
            torch.manual_seed(seed)
            with torch.no_grad():
                module.net.head.bias.normal_(std=5)
            found = [first_fault(labels) for labels in module.tag(SENTENCES)]
            if constrained:
                assert found == [None] * len(SENTENCES)
            faults += sum(place is not None for place in found)
    assert faults > 0  # without constraints
    assert make(crf=True).net.crf.start_penalty.lt(0).tolist() == [False, False, False, True, True, False]  # type: ignore[union-attr]


def test_prediction_rows() -> None:
    module, batch = make(crf=True).eval(), batch_of(TOKENIZER, [2, 0])
    rows = module.predict_step(batch, 0)
    assert [row["index"] for row in rows] == [2, 0]
    assert [row["words"] for row in rows] == [SENTENCES[2], SENTENCES[0]]
    assert [row["labels"] for row in rows] == module.tag([SENTENCES[2], SENTENCES[0]])
    for row in rows:
        assert len(row["probabilities"]) == len(row["words"])
        assert all(0 < p <= 1 for p in row["probabilities"])
        for span in row["spans"]:
            assert span["text"] == " ".join(row["words"][span["first"] : span["last"] + 1])
    plain = TokenTagger(TOKENIZER.vocab_size, TOKENIZER.num_characters, ["N", "V"]).eval()
    (row,) = plain.predict_step({**TOKENIZER.batch([["saw"]]), "index": torch.tensor([0]), "words": [["saw"]]}, 0)
    assert "spans" not in row
    assert row["probabilities"][0] >= 0.5


def test_metrics_of_words_spans_and_unknown_words(monkeypatch: pytest.MonkeyPatch) -> None:
    module, batch = make().eval(), batch_of(TOKENIZER, [0, 3])
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)  # there is no Trainer
    batch["input_ids"][0, 2] = batch["input_ids"][1, 0] = TOKENIZER.special["unk"]
    step = module.step(batch)
    module.measure(module.val_metrics, step)
    preds, target = step.metric_inputs["preds"], batch["labels"]
    found = {name: metric.compute().item() for name, metric in module.val_metrics.items()}
    counted = target != IGNORED
    assert found["val/accuracy"] == pytest.approx((preds == target)[counted].float().mean().item())
    unknown = [preds[0, 2] == target[0, 2], preds[1, 0] == target[1, 0]]
    assert found["val/unknown_accuracy"] == pytest.approx(sum(map(float, unknown)) / 2)
    assert {"val/span_f1", "val/span_precision", "val/span_recall"} <= set(found)
    counts = module.confusion_counts()
    assert counts is not None
    assert counts.sum() == counted.sum()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"crf": True, "label_smoothing": 0.1}, "label_smoothing 0.1 is for single labels, not for a CRF"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"encoder": "cnn"}, "net.encoder must be one of 'recurrent', 'transformer', 'embeddings'"),
        ({"characters": "bytes"}, "CharacterConfig.encoder must be one of 'cnn', 'lstm', 'none'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**settings)


def test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class_names is not given"):
        TokenTagger(9, 9)
    with pytest.raises(ValueError, match="class_names must be at least two"):
        TokenTagger(9, 9, ["X"])
    with pytest.raises(ValueError, match=r"net\.pooling first is for texts"):
        PretrainedTagger(9, 9, NAMES, PretrainedEncoderConfig(encoder_config=BERT.to_dict(), pooling="first"))
    frozen = PretrainedEncoderConfig(encoder_config=BERT.to_dict(), tuning="frozen", standardize=True)
    with pytest.raises(ValueError, match=r"net\.standardize is for vectors of texts"):
        PretrainedTagger(9, 9, NAMES, frozen)
    data = TaggingDataModule(batch_size=400)
    sizes = data.vocab_size, data.num_characters, data.class_names
    trainer = quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0)
    config = {**BERT.to_dict(), "vocab_size": data.vocab_size}
    with pytest.raises(ValueError, match="tokenizer_path is not given; name the folder"):
        trainer.fit(PretrainedTagger(*sizes, PretrainedEncoderConfig(encoder_config=config)), data)
    data.tokenizer = SUBWORDS
    with pytest.raises(ValueError, match="TokenTagger reads words, not a pretrained tokenizer"):
        trainer.fit(TokenTagger(*sizes), data)


def test_a_checkpoint_is_enough_to_tag(tmp_path: Path) -> None:
    data = TaggingDataModule(batch_size=16, seed=0)
    net = WordEncoderConfig(d_model=8, rnn=RecurrentConfig(hidden_size=4), characters=CharacterConfig("lstm", 4, 4))
    module = TokenTagger(data.vocab_size, data.num_characters, data.class_names, net, crf=True)
    trainer = quiet_trainer(tmp_path, max_steps=2, limit_val_batches=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "tagger.ckpt")
    again = seqlight.load(tmp_path / "tagger.ckpt")
    assert again.tag(SENTENCES) == module.eval().tag(SENTENCES)
    assert again.class_names == data.class_names
