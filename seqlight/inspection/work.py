"""How much work a batch is, in the unit of each kind of system, and its generation."""

from typing import Any

from torch import Tensor

from seq_modules import (
    Forecaster,
    FormalLanguageModule,
    FrameDecoder,
    LanguageModel,
    MLPClassifier,
    MusicDecoder,
    ParityModule,
    Seq2SeqModule,
    SequenceModule,
)
from seq_modules.generation.decode import generate
from seq_modules.generation.decoding_config import Decoding
from seq_modules.systems.classifier import Classifier
from seq_modules.systems.token_tagger import Tagger
from seqlight.core.labels import EOS, IGNORED

PROMPT = 16  # tokens of each row that a language model continues


def rows_of(batch: dict[str, Any]) -> int:
    """Rows of a batch, by its first tensor."""
    return next(len(value) for value in batch.values() if isinstance(value, Tensor) and value.dim())


def unit_of(module: SequenceModule) -> str:
    """What a system's work is counted in, in the plural."""
    match module:
        case LanguageModel():
            return "tokens"
        case Seq2SeqModule():
            return "target tokens"
        case MusicDecoder():
            return "tokens" if len(module.vocab_sizes) == 1 else "notes"
        case FrameDecoder():
            return "frames"
        case ParityModule():
            return "bits"
        case FormalLanguageModule():
            return "symbols"
        case Classifier():
            return "texts"
        case Tagger():
            return "words"
        case Forecaster():
            return "values"
        case MLPClassifier():
            return "points"
    return "rows"


def amount(module: SequenceModule, batch: dict[str, Any]) -> int:
    """How many of its units a batch of training is, padding left out: for a decoder, the targets of its loss."""
    match module:
        case LanguageModel() | Seq2SeqModule():
            return int((batch["labels"] != IGNORED).sum())
        case MusicDecoder() | FrameDecoder():
            return int((batch["labels"][:, :, 0] != IGNORED).sum())
        case ParityModule() | FormalLanguageModule():
            return int(batch["attention_mask"].sum())
        case Tagger():
            return int(batch["word_mask"].sum())
        case Forecaster():
            return int(batch["observed"].sum())
    return rows_of(batch)


def generates(module: SequenceModule) -> bool:
    """Whether a system decodes."""
    return isinstance(module, LanguageModel | Seq2SeqModule | MusicDecoder | FrameDecoder)


def generate_once(module: SequenceModule, batch: dict[str, Any], decoding: Decoding) -> int:
    """Generates a row for each row of a batch of training; how many of its units are new.

    A language model continues the first :data:`PROMPT` tokens of each row; sequence to sequence translates each source;
    a music model begins as many pieces.
    """
    rows = rows_of(batch)
    match module:
        case LanguageModel():
            return sum(map(len, generate(module.net, batch["input_ids"][:, :PROMPT].tolist(), decoding)))
        case Seq2SeqModule():
            lengths = batch["source_mask"].sum(1).tolist()
            ids = [row[:length] for row, length in zip(batch["source_ids"].tolist(), lengths, strict=True)]
            found = module.translate(ids, [""] * rows, list(range(rows)), decoding)
            return sum(len(hypotheses[0].ids) - (hypotheses[0].ids[-1] == EOS) for hypotheses in found)
        case MusicDecoder() | FrameDecoder():
            return sum(map(len, module.sample(rows, decoding)))
    raise TypeError(f"{type(module).__name__} does not decode")
