"""Every system at its smallest, with data whose batches hold different numbers of targets."""

from collections.abc import Callable
from typing import Any

import torch
from helpers.toy_questions import QuestionData, Sentences, sentences
from torch import Tensor
from torch.utils.data import Dataset
from transformers import BertConfig

from datamodules import (
    ChoraleFramesDataModule,
    ForecastDataModule,
    FormalLanguageDataModule,
    ParityDataModule,
    SequenceDataModule,
    TabularDataModule,
)
from datamodules.series.generated import GeneratedSeries
from datamodules.series.windows import TimeSplit
from datamodules.tabular.shapes import ShapeConfig
from datamodules.tagging.rows import SentenceRows
from datamodules.tokenizers import TaggingTokenizer, WordPieceTokenizer
from seq_modules import (
    Forecaster,
    FormalLanguageModule,
    GPTLanguageModel,
    LSTMFrameDecoder,
    MLPClassifier,
    ParityModule,
    PretrainedClassifier,
    PretrainedTagger,
    RNNLanguageModel,
    RNNMusicDecoder,
    Seq2SeqRNN,
    Seq2SeqTransformer,
    SequenceModule,
    TextClassifier,
    TokenTagger,
    TransformerFrameDecoder,
    TransformerMusicDecoder,
)
from seq_modules.nets.forecast.forecast_net import ForecastNetConfig
from seq_modules.nets.forecast.patch_transformer import PatchConfig
from seq_modules.nets.music.frame_backbones import FrameTransformerConfig
from seq_modules.nets.music.frame_net import FrameConfig
from seq_modules.nets.pretrained.encoder import PretrainedEncoderConfig
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.symbol_net import SymbolNetConfig
from seq_modules.nets.text.tagger_net import WordEncoderConfig
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.nets.text.token_embedding import EmbeddingConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.nets.text.word_characters import CharacterConfig
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.labels import IGNORED

ROWS = 22  # of an epoch: with batches of 4 a window of two is left with one, and that has two rows
VOCAB, NOTES, STEPS = 13, [9, 5], 12
BERT = BertConfig(
    vocab_size=QuestionData().vocab_size, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=24, max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


class Sequences(Dataset):
    """Rows of ids (T,) or events (T, F) that repeat themselves, each with labels up to a length of its own."""

    def __init__(self, sizes: list[int]) -> None:
        generator = torch.Generator().manual_seed(len(sizes))
        period = torch.arange(STEPS + 1) % torch.randint(2, 5, (ROWS, 1), generator=generator)
        ids = torch.stack([(period * (f + 2) + 1) % size for f, size in enumerate(sizes)], dim=-1)
        self.ids = ids if len(sizes) > 1 else ids[..., 0]
        self.lengths = torch.randint(2, STEPS + 1, (ROWS,), generator=generator)

    def __len__(self) -> int:
        return ROWS

    def __getitems__(self, rows: list[int]) -> dict[str, Tensor]:
        ids, labels = self.ids[rows][:, :-1], self.ids[rows][:, 1:].clone()
        labels[torch.arange(STEPS) >= self.lengths[rows][:, None]] = IGNORED
        return {"input_ids": ids, "labels": labels, "index": torch.tensor(rows)}


class Data(SequenceDataModule):
    """Such rows as training and validation data."""

    def __init__(self, sizes: list[int], batch_size: int) -> None:
        super().__init__(batch_size, seed=0)
        self.train_set = self.val_set = Sequences(sizes)


class Reversed(Dataset):
    """Sources of random ids and of different lengths, each to be written backwards; 3 ends both, 2 begins a target."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.randint(1, STEPS, (ROWS, 1), generator=generator)
        self.ids = torch.randint(4, VOCAB, (ROWS, STEPS), generator=generator)

    def __len__(self) -> int:
        return ROWS

    def __getitems__(self, rows: list[int]) -> dict[str, Tensor]:
        lengths, places = self.lengths[rows], torch.arange(STEPS)
        source = self.ids[rows].masked_fill(places == lengths, 3).masked_fill(places > lengths, 0)
        target = source.gather(1, torch.where(places < lengths, lengths - 1 - places, places))
        begun = torch.cat((torch.full_like(lengths, 2), target[:, :-1]), dim=1)
        labels = target.masked_fill(places > lengths, IGNORED)
        index = torch.tensor(rows)
        return {
            "source_ids": source, "source_mask": places <= lengths, "target_ids": begun, "labels": labels,
            "index": index,
        }  # fmt: skip


class Pairs(SequenceDataModule):
    """Such rows as training and validation data."""

    def __init__(self, batch_size: int) -> None:
        super().__init__(batch_size, seed=0)
        self.train_set = self.val_set = Reversed()


def gpt(**settings: Any) -> GPTConfig:
    return GPTConfig(**{"d_model": 16, "num_layers": 2, "num_heads": 2, "max_seq_len": STEPS, **settings})


class PartlyLabelled(Sentences):
    """Labelled sentences, of which every third has lost its label."""

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        batch = super().__getitems__(indices)
        batch["labels"][batch["index"] % 3 == 0] = IGNORED
        return batch


def classes(batch_size: int) -> QuestionData:
    data = QuestionData(batch_size)
    data.train_set = PartlyLabelled(sentences(), data.tokenizer)
    return data


LABELS = ["B-X", "I-X", "O"]
SPOKEN = [[f"word{n * n * row % 9}" for n in range(1, 2 + row * row % 7)] for row in range(ROWS)]  # of 1 to 7 words
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "word", *(f"##{n}" for n in range(9))]
WORDS = TaggingTokenizer.learn(SPOKEN)
SUBWORDS = TaggingTokenizer.learn(SPOKEN, pieces=WordPieceTokenizer("\n".join(PIECES)))


class Tagged(SequenceDataModule):
    """Sentences of made-up words. A word with an odd number begins a span, which the next word continues."""

    def __init__(self, tokenizer: TaggingTokenizer, batch_size: int) -> None:
        super().__init__(batch_size, seed=0)
        self.tokenizer, labels = tokenizer, []
        for words in SPOKEN:
            labels.append([0 if int(word[-1]) % 2 else 2 for word in words])
            for place in range(1, len(words), 2):
                labels[-1][place] = 1 if labels[-1][place - 1] == 0 else 2
        self.train_set = self.val_set = SentenceRows(SPOKEN, labels, tokenizer)


def frames(batch_size: int) -> ChoraleFramesDataModule:
    return ChoraleFramesDataModule(batch_size=batch_size, seed=0, retrieved=0, seq_len=24)


def series(batch_size: int) -> ForecastDataModule:
    """ROWS training windows of 12 and 3 steps, in which every fifth value or so was filled in."""
    data = ForecastDataModule(
        generated=GeneratedSeries(num_series=2, num_rows=60, seasons=[4]), lookback=STEPS, horizon=3, season=4,
        split=TimeSplit(rows=[STEPS + 3 + ROWS - 1, 10, 10]), batch_size=batch_size, seed=0,
    )  # fmt: skip
    data.series.observed[:] = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)).numpy() < 0.8
    return data


def token_tagger(optim: OptimConfig) -> TokenTagger:
    net = WordEncoderConfig(
        "recurrent", 12, EmbeddingConfig(), CharacterConfig("cnn", 6, 8),
        RecurrentConfig(hidden_size=8, bidirectional=True),
    )  # fmt: skip
    module = TokenTagger(WORDS.vocab_size, WORDS.num_characters, LABELS, net, crf=True, optim=optim)
    module.tokenizer = WORDS  # by which unknown words are known
    return module


# Each takes settings of the optimiser; nothing is dropped out.
MODULES: dict[str, Callable[[OptimConfig], SequenceModule]] = {
    "parity": lambda optim: ParityModule(RecurrentConfig(hidden_size=8), supervision="full", optim=optim),
    "gpt": lambda optim: GPTLanguageModel(VOCAB, gpt(), optim=optim),
    "rnn": lambda optim: RNNLanguageModel(VOCAB, RNNConfig(16, rnn=RecurrentConfig(hidden_size=16)), optim=optim),
    "classifier": lambda optim: TextClassifier(
        QuestionData().vocab_size, 3,
        net=TextEncoderConfig("transformer", d_model=16, transformer=TransformerEncoderConfig(1, 2, dropout=0.0)),
        optim=optim,
    ),
    "pretrained classifier": lambda optim: PretrainedClassifier(
        QuestionData().vocab_size, 3, net=PretrainedEncoderConfig(encoder_config=BERT.to_dict(), dropout=0.0),
        optim=optim,
    ),
    "tagger": token_tagger,
    "pretrained tagger": lambda optim: PretrainedTagger(
        SUBWORDS.vocab_size, SUBWORDS.num_characters, LABELS,
        PretrainedEncoderConfig(encoder_config={**BERT.to_dict(), "vocab_size": SUBWORDS.vocab_size}, dropout=0.0),
        optim=optim,
    ),
    "music": lambda optim: RNNMusicDecoder(
        NOTES, net=RNNConfig(16, dropout=0.0, rnn=RecurrentConfig(hidden_size=16)), optim=optim
    ),
    "music transformer": lambda optim: TransformerMusicDecoder(NOTES, net=gpt(tie_weights=False), optim=optim),
    "frames": lambda optim: LSTMFrameDecoder(
        90, 4, RecurrentConfig(hidden_size=16), FrameConfig(16, 0.0, 0.0, retrieval=False), optim
    ),
    "frame transformer": lambda optim: TransformerFrameDecoder(
        90, 4, FrameTransformerConfig(16, 1, 2, dropout=0.0), FrameConfig(16, 0.0, 0.0, retrieval=False),
        optim,
    ),
    "seq2seq transformer": lambda optim: Seq2SeqTransformer(
        VOCAB, VOCAB, Seq2SeqTransformerConfig(16, 1, 1, 2, dropout=0.0), optim=optim
    ),
    "seq2seq rnn": lambda optim: Seq2SeqRNN(
        VOCAB, VOCAB, Seq2SeqRNNConfig(16, dropout=0.0, rnn=RecurrentConfig("gru", 16, bidirectional=True)), optim=optim
    ),
    "forecaster": lambda optim: Forecaster(
        series(1).statistics, STEPS, 3, "pinball",  # type: ignore[arg-type]
        net=ForecastNetConfig(
            "transformer", instance_norm="affine", patches=PatchConfig(4, 2, 16),
            transformer=TransformerEncoderConfig(1, 2, dropout=0.0),
        ),
        optim=optim,
    ),
    "formal language": lambda optim: FormalLanguageModule(
        3, 5, net=SymbolNetConfig(rnn=RecurrentConfig("deltanet", 8)), supervision="full", optim=optim
    ),
    "perceptron": lambda optim: MLPClassifier(["x", "y"], ["inner", "outer"], optim=optim),
}  # fmt: skip
DATA: dict[str, Callable[[int], SequenceDataModule]] = {
    "parity": lambda batch_size: ParityDataModule(batch_size=batch_size, train_size=ROWS, val_size=8, seed=0),
    "gpt": lambda batch_size: Data([VOCAB], batch_size),
    "rnn": lambda batch_size: Data([VOCAB], batch_size),
    "classifier": classes,
    "pretrained classifier": classes,
    "tagger": lambda batch_size: Tagged(WORDS, batch_size),
    "pretrained tagger": lambda batch_size: Tagged(SUBWORDS, batch_size),
    "music": lambda batch_size: Data(NOTES, batch_size),
    "music transformer": lambda batch_size: Data(NOTES, batch_size),
    "frames": frames,
    "frame transformer": frames,
    "seq2seq transformer": Pairs,
    "seq2seq rnn": Pairs,
    "forecaster": series,
    "formal language": lambda batch_size: FormalLanguageDataModule(
        "cycle_navigation", batch_size, max_length=STEPS, train_size=ROWS, val_size=8, seed=0
    ),
    "perceptron": lambda batch_size: TabularDataModule(points=ShapeConfig(size=34), batch_size=batch_size, seed=0),
}


def system(name: str, **optim: Any) -> SequenceModule:
    """A system, always with the same first weights; ``optim`` are fields of OptimConfig."""
    torch.manual_seed(0)
    return MODULES[name](OptimConfig(**{"learning_rate": 1e-3, **optim}))
