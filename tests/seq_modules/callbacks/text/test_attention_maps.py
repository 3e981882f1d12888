"""AttentionMaps: one callback for language models, classifiers and translators."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.toy_questions import QuestionData
from helpers.toy_translation import SOURCES, Attending, AttendingEverywhere, ToyTranslator, loader
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from matplotlib.figure import Figure

from datamodules.tokenizers.byte import ByteTokenizer
from seq_modules import GPTLanguageModel, RNNLanguageModel, TextClassifier
from seq_modules.callbacks import AttentionMaps
from seq_modules.callbacks.text.attention_examples import AttentionPart
from seq_modules.callbacks.text.attention_maps import draw
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.nets.transformer.gpt import GPTConfig


def language_model(recurrent: bool = False) -> LightningModule:
    rnn, gpt = RNNConfig(8, rnn=RecurrentConfig(hidden_size=8)), GPTConfig(16, 1, 2, max_seq_len=16, dropout=0.0)
    module = RNNLanguageModel(256, rnn) if recurrent else GPTLanguageModel(256, gpt)
    module.tokenizer = ByteTokenizer()
    return module


def classifier(encoder: Any = "embeddings", pooling: Any = "attention") -> LightningModule:
    data = QuestionData()
    net = TextEncoderConfig(encoder, pooling, d_model=8, transformer=TransformerEncoderConfig(num_heads=2))
    module = TextClassifier(data.vocab_size, 3, net=net, ensemble_size=2)
    module.tokenizer = data.tokenizer
    return module


def pictures(folder: Path, module: LightningModule, *texts: str) -> set[str]:
    callback = AttentionMaps(list(texts))
    callback.on_test_end(quiet_trainer(folder, callback), module)
    return {path.name for path in folder.glob("plots/*.png")}


def test_each_system_has_its_maps(tmp_path: Path) -> None:
    assert pictures(tmp_path / "gpt", language_model(), "so it is") == {"attention.png", "positions.png"}
    assert pictures(tmp_path / "classifier", classifier(), "who is it") == {"attention.png"}
    both = {"attention_self.png", "attention_pooling.png"}
    assert pictures(tmp_path / "self", classifier("transformer"), "who is it") == both
    assert pictures(tmp_path / "max", classifier("transformer", "max"), "who is it") == {"attention.png"}
    assert pictures(tmp_path / "bag", classifier("embeddings", "max"), "who is it") == set()
    assert pictures(tmp_path / "rnn", ToyTranslator(Attending(1, 1)), "Ein Hund läuft .") == {"attention.png"}
    everywhere = pictures(tmp_path / "transformer", ToyTranslator(AttendingEverywhere(1, 2)), "Ein Hund .")
    assert everywhere == {"attention_cross.png", "attention_encoder.png", "attention_decoder.png"}
    assert pictures(tmp_path / "none", language_model(recurrent=True), "so it is") == set()


def test_a_panel_has_the_weights_of_its_layer_and_head() -> None:
    weights = torch.rand(2, 3, 2, 4)
    figure = draw(AttentionPart("cross", ["a", "b"], ["w", "x y", "$", "z"], weights))
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == [f"layer {i}, head {j}" for i in (1, 2) for j in (1, 2, 3)]
    for axis, expected in zip(panels, weights.flatten(0, 1), strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)
    labels = [label.get_text() for label in panels[3].get_xticklabels()]
    assert labels == ["w", "x␣y", "$", "z"]
    assert [label.get_text() for label in panels[3].get_yticklabels()] == ["a", "b"]


def test_several_sentences_are_numbered(tmp_path: Path) -> None:
    made = pictures(tmp_path, ToyTranslator(AttendingEverywhere(1, 1)), "Ein Hund .", "Ein Hund läuft .", " ")
    assert made == {f"attention_{part}_{n}.png" for part in ("cross", "encoder", "decoder") for n in (1, 2)}


def test_a_translator_reads_the_first_source_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[AttentionPart] = []

    def kept(part: AttentionPart) -> Figure:
        drawn.append(part)
        return draw(part)

    monkeypatch.setattr("seq_modules.callbacks.text.attention_maps.draw", kept)
    quiet_trainer(tmp_path, AttentionMaps()).test(ToyTranslator(Attending(1, 1)), loader(), verbose=False)
    assert [part.keys for part in drawn] == [[*SOURCES[0].split(), "</s>"]]


def test_refuses() -> None:
    with pytest.raises(ValueError, match="max_tokens must be at least 2"):
        AttentionMaps(max_tokens=1)
    with pytest.raises(ValueError, match="count must be at least 1"):
        AttentionMaps(count=0)
