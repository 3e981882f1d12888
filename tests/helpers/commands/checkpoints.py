"""A run's checkpoint of each kind of system, untrained and at its smallest, written without a training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from helpers.parity_nets import two_units

from datamodules import (
    ChoraleFramesDataModule,
    CorpusDataModule,
    ForecastDataModule,
    FormalLanguageDataModule,
    MidiDataModule,
    ParityDataModule,
    QuestionsDataModule,
    ReviewsDataModule,
    SequenceDataModule,
    StringsDataModule,
    TabularDataModule,
    TaggingDataModule,
)
from datamodules.music.midi_config import SourceConfig
from datamodules.series.generated import GeneratedSeries
from datamodules.tabular.shapes import ShapeConfig
from datamodules.tokenizers import CharTokenizer, TaggingTokenizer, WordTokenizer
from seq_modules import (
    Forecaster,
    FormalLanguageModule,
    GPTLanguageModel,
    LSTMFrameDecoder,
    MLPClassifier,
    NgramClassifier,
    RNNMusicDecoder,
    Seq2SeqTransformer,
    SequenceModule,
    TextClassifier,
    TokenTagger,
)
from seq_modules.nets.forecast.forecast_net import ForecastNetConfig
from seq_modules.nets.music.frame_net import FrameConfig
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.symbol_net import SymbolNetConfig
from seq_modules.nets.text.tagger_net import WordEncoderConfig
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.nets.text.word_characters import CharacterConfig
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seqlight.command.parser import LINKED
from seqlight.core.hyperparameters import class_path
from seqlight.core.signatures import parameters_of
from seqlight.run_files.atomic_checkpoint import write_checkpoint

ALPHABET = " .,!?abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LABELS = ["B-PLACE", "I-PLACE", "O"]
SMALL = RecurrentConfig(hidden_size=8)


def text() -> tuple[SequenceDataModule, SequenceModule]:
    data = CorpusDataModule()
    data.tokenizer = CharTokenizer(ALPHABET)
    net = GPTConfig(d_model=16, num_layers=2, num_heads=2, max_seq_len=32)
    return data, module_for(data, GPTLanguageModel, net=net)


def questions() -> tuple[SequenceDataModule, SequenceModule]:
    data = QuestionsDataModule()
    data.tokenizer = WordTokenizer.train(QuestionsDataModule.EXAMPLES, 100)
    net = TextEncoderConfig(pooling="attention", attention_size=4, d_model=8, rnn=SMALL)
    module = module_for(data, TextClassifier, net=net)
    module.class_names = list(data.class_names)
    return data, module


def reviews() -> tuple[SequenceDataModule, SequenceModule]:
    data = ReviewsDataModule()
    data.tokenizer = WordTokenizer.train(ReviewsDataModule.EXAMPLES, 100)
    module = module_for(data, NgramClassifier)
    module.class_names = list(data.class_names)
    rows = [torch.tensor([data.tokenizer.encode(text)]) for text in ReviewsDataModule.EXAMPLES]
    module.net.count(
        {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([label])}
        for ids, label in zip(rows, (1, 0, 1), strict=True)
    )
    module.hparams["num_ngrams"] = len(module.net.keys) - 1
    return data, module


def parity() -> tuple[SequenceDataModule, SequenceModule]:
    return ParityDataModule(), two_units("rnn")


def formal() -> tuple[SequenceDataModule, SequenceModule]:
    data = FormalLanguageDataModule("modular_arithmetic")
    return data, module_for(data, FormalLanguageModule, net=SymbolNetConfig(rnn=SMALL))


def translation() -> tuple[SequenceDataModule, SequenceModule]:
    data = StringsDataModule("reverse")
    net = Seq2SeqTransformerConfig(d_model=8, encoder_layers=1, decoder_layers=1, num_heads=2, d_ff=8)
    return data, module_for(data, Seq2SeqTransformer, net=net)


def tagging() -> tuple[SequenceDataModule, SequenceModule]:
    data = TaggingDataModule(classes=LABELS)
    data.tokenizer = TaggingTokenizer.learn([["Nobody", "saw", "the", "light", "."], ["New", "York", "is", "big", "!"]])
    net = WordEncoderConfig(d_model=8, characters=CharacterConfig("cnn", 4, 4), rnn=SMALL)
    return data, module_for(data, TokenTagger, net=net)


def music() -> tuple[SequenceDataModule, SequenceModule]:
    data = MidiDataModule(source=SourceConfig(num_etudes=12))
    return data, module_for(data, RNNMusicDecoder, net=RNNConfig(8, rnn=SMALL))


def frames() -> tuple[SequenceDataModule, SequenceModule]:
    data = ChoraleFramesDataModule(retrieved=0)
    return data, module_for(data, LSTMFrameDecoder, net=SMALL, frames=FrameConfig(8, retrieval=False))


def forecast() -> tuple[SequenceDataModule, SequenceModule]:
    data = ForecastDataModule(generated=GeneratedSeries(num_series=2, num_rows=120), lookback=24, horizon=6)
    return data, module_for(data, Forecaster, loss="pinball", net=ForecastNetConfig("nlinear"))


def points() -> tuple[SequenceDataModule, SequenceModule]:
    data = TabularDataModule(points=ShapeConfig(size=60))
    return data, module_for(data, MLPClassifier)


SYSTEMS: dict[str, Callable[[], tuple[SequenceDataModule, SequenceModule]]] = {
    made.__name__: made
    for made in (text, questions, reviews, parity, formal, translation, tagging, music, frames, forecast, points)
}


def module_for(data: SequenceDataModule, kind: Callable[..., Any], **settings: Any) -> Any:
    """A module of some data, always with the same weights; it takes from the data what a command would."""
    torch.manual_seed(0)
    taken = parameters_of(kind)  # type: ignore[arg-type]
    linked = {name: getattr(data, name) for name in LINKED if name in taken and hasattr(data, name)}
    return kind(**linked, **settings)


def write_run(name: str, root: Path) -> Path:
    """Writes the best checkpoint of a run of a system; its path below ``root``."""
    data, module = SYSTEMS[name]()
    module.tokenizer = getattr(data, "tokenizer", None)
    content: dict[str, Any] = {
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "datamodule_hyper_parameters": {**data.hparams, "_class_path": class_path(type(data))},
        type(data).__qualname__: data.state_dict(),
    }
    module.on_save_checkpoint(content)
    path = root / name / "2026-01-01_00-00-00/checkpoints/best.ckpt"
    write_checkpoint(content, path)
    return path
