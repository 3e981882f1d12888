"""What the callbacks and the command need of a system, of its net and of its data.

A callback asks ``isinstance(pl_module, Generates)`` and then calls the method. Every protocol can be checked at run
time; the check compares names and no signatures. Methods and plain attributes are found. Submodules and parameters are
not (Python 3.12 looks past ``nn.Module.__getattr__``), so no protocol names one; a system's net comes from
:func:`net_of`.

B batch, T time, V vocabulary, D width, L layers, H heads, C classes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.generation.decoding_config import Decoding
from seq_modules.training.metrics.translation import Score
from seqlight.core.series import SeriesStatistics
from seqlight.music.notes import Piece

__all__ = [
    "Adapts",
    "ChecksLengths",
    "Classifies",
    "ComposesMusic",
    "Forecasts",
    "Generates",
    "HasAttentionMaps",
    "HasCrossAttention",
    "HasDecoding",
    "HasFeatures",
    "HasNgrams",
    "HasPairAttention",
    "HasPieces",
    "HasScores",
    "HasSequences",
    "HasTestWindows",
    "HasTextAttention",
    "HasTexts",
    "HasTokenVectors",
    "HasTokenWeights",
    "HasTokenizer",
    "HasTrainLength",
    "Scores",
    "StreamsText",
    "Translates",
    "WritesMidi",
    "WritesPredictions",
    "net_of",
]


# Of a system.


@runtime_checkable
class HasTokenizer(Protocol):
    """A system whose data come through a tokenizer."""

    tokenizer: Any  # datamodules.tokenizers; None until data or a checkpoint bring it


@runtime_checkable
class HasFilePrints(Protocol):
    """Data that say in a few digits what their files hold."""

    def file_prints(self) -> dict[str, str]:
        """Digits for each option that names files, such as ``path``."""
        ...


@runtime_checkable
class ChecksLengths(Protocol):
    """Data that know where their rows come from, and refuse those that a net cannot read."""

    def check_longest(self, stage: str, longest: int) -> None:
        """Raises UserError, with the file and line, if a row of the stage has more than ``longest`` tokens."""
        ...


@runtime_checkable
class ResumesRows(Protocol):
    """Data that know their rows' position in an epoch, whatever the batch size was."""

    def resumed_batches(self) -> int | None:
        """Batches that are done of the epoch in which a checkpoint was saved; None if none was loaded."""
        ...


@runtime_checkable
class HasDecoding(Protocol):
    """A system that generates; the command sets its ``decoding`` from ``--decoding``."""

    decoding: Decoding


@runtime_checkable
class Adapts(Protocol):
    """A language model that can learn from the text that it reads; the command sets this from ``--adapt``."""

    adaptation: Adaptation


@runtime_checkable
class Generates(Protocol):
    """A language model that continues texts."""

    def generate(
        self, prompts: Sequence[str], decoding: Decoding | None = None, stop: list[str] | None = None
    ) -> list[str]:
        """Continuations of the prompts, none of which is empty.

        Args:
            prompts: Texts to continue.
            decoding: How tokens are chosen; by default the system's own ``decoding``.
            stop: A continuation ends before the first of these strings.
        """
        ...


@runtime_checkable
class StreamsText(Protocol):
    """A language model that reports its text during ``predict``."""

    on_text: Callable[[int, str], None] | None  # called with a row's number and its text so far; None: no reports


@runtime_checkable
class Scores(Protocol):
    """A language model that gives texts a probability."""

    def score(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """The log-probability of each text in nats, and its number of tokens. No text is empty."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A sequence-to-sequence system.

    Its ``test_step`` returns a batch's rows, which the callbacks of translation read: dictionaries with ``index``,
    ``source``, ``reference`` and ``translation``. A language model too has a method ``generate``; only the net of this
    system ``HasCrossAttention``.
    """

    def generate(self, sources: Sequence[str], decoding: Decoding | None = None) -> Sequence[Sequence[Any]]:
        """The best hypotheses of each source, best first, each with ``text``, ``score`` and ``ids``.

        Args:
            sources: Texts to translate.
            decoding: How tokens are chosen; by default the system's own ``decoding``.
        """
        ...


@runtime_checkable
class HasScores(Protocol):
    """A system that names the scores of its translations."""

    scores: Sequence[Score]


@runtime_checkable
class Classifies(Protocol):
    """A classifier that names its classes and counts its confusions."""

    def name_of(self, label: int) -> str:
        """The name of a class, its number where it has no name."""
        ...

    def confusion_counts(self) -> Tensor | None:
        """Counts (C, C), true class by predicted class, of the last validation or test, summed over all ranks.

        None where nothing was counted. Every rank must call it.
        """
        ...


@runtime_checkable
class Forecasts(Protocol):
    """A forecaster of time series.

    Its ``test_step`` returns a batch's ``forecast``, as :meth:`forecast_scaled` gives it.
    """

    series_names: list[str]  # of the C series
    statistics: SeriesStatistics

    @property
    def middle(self) -> int:
        """Place of the forecast itself among the quantiles."""
        ...

    def forecast_scaled(self, past: Tensor) -> Tensor:
        """Scaled values (B, L, C) to scaled forecasts (B, H, C, Q): L steps back, H ahead, Q quantiles."""
        ...


@runtime_checkable
class ComposesMusic(Protocol):
    """A music model that makes whole pieces."""

    @property
    def tokens_per_note(self) -> int:
        """How many decoding steps one note usually takes."""
        ...

    def sample_pieces(self, count: int, decoding: Decoding | None = None, prompt: Piece | None = None) -> list[Piece]:
        """New pieces, which begin with the prompt's notes.

        Args:
            count: How many.
            decoding: How events are chosen; by default the system's own ``decoding``.
            prompt: The piece to continue; by default none.
        """
        ...


# Of a net, or of a system for its net.


def net_of(module: nn.Module) -> nn.Module | None:
    """The ``net`` of a system; None where it has none."""
    net = getattr(module, "net", None)
    return net if isinstance(net, nn.Module) else None


@runtime_checkable
class HasAttentionMaps(Protocol):
    """A net with self-attention."""

    def window(self, ids: list[int]) -> list[int]:
        """The part of a sequence of ids that the net reads."""
        ...

    def attention_maps(self, input_ids: Tensor) -> Tensor | None:
        """Attention weights (B, L, H, T, T) of ids (B, T), each row with the sum 1.

        None where there is no attention after all, as in an ensemble of recurrent nets.
        """
        ...


@runtime_checkable
class HasCrossAttention(Protocol):
    """A net that reads a source and a target (generation/seq2seq.py)."""

    def cross_attention(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor | None:
        """Attention weights (B, L, H, T, S) of target positions on the source, each row with the sum 1.

        None for a net without attention. A recurrent net has L = H = 1.

        Args:
            source_ids: (B, S), padded on the right.
            source_mask: (B, S), true at the tokens.
            target_ids: (B, T), from bos on; row t of the weights is of the token after ``target_ids[:, t]``.
        """
        ...


@runtime_checkable
class HasPairAttention(Protocol):
    """A net with attention in the encoder, in the decoder, and from one to the other."""

    def attention_maps(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> dict[str, Tensor]:
        """Weights of all attention, each as ``cross_attention``'s.

        Returns:
            "encoder" (B, L, H, S, S), "decoder" (B, L, H, T, T) and "cross" (B, L, H, T, S).
        """
        ...


@runtime_checkable
class HasTextAttention(Protocol):
    """A system that may read a whole text with self-attention, such as a classifier with a Transformer."""

    def text_attention(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Attention weights (B, L, H, T, T), each row with the sum 1; None where there is no self-attention.

        Args:
            input_ids: (B, T), padded on the right.
            mask: (B, T), true at the tokens.
        """
        ...


@runtime_checkable
class HasNgrams(Protocol):
    """A linear classifier of n-grams."""

    tokenizer: Any
    num_classes: int

    def name_of(self, label: int) -> str:
        """The name of a class, its number where it has no name."""
        ...

    def heaviest_ngrams(self, label: int, count: int) -> list[tuple[str, float]]:
        """The n-grams that speak most for a class, the strongest first, with what they add to its log-odds."""
        ...


@runtime_checkable
class HasTokenVectors(Protocol):
    """A net with a vector for each token."""

    def token_vectors(self) -> Tensor:
        """Embeddings of all tokens, (V, D)."""
        ...


@runtime_checkable
class HasTokenWeights(Protocol):
    """A net that may pool its states by additive attention."""

    def token_weights(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of the pooling, (B, T), each row with the sum 1; None with another kind of pooling.

        Args:
            input_ids: (B, T), padded on the right.
            mask: (B, T), true at the tokens.
        """
        ...


# Of a datamodule.


@runtime_checkable
class HasFeatures(Protocol):
    """Data of rows of numbers, each with a class."""

    feature_names: list[str]  # of the D columns

    def points(self, part: str) -> tuple[Tensor, Tensor]:
        """Numbers (N, D) and classes (N,) of "train", "val" or "test"."""
        ...


@runtime_checkable
class HasTexts(Protocol):
    """Data of one text each for training and test."""

    def train_text(self) -> str:
        """The text of the training part."""
        ...

    def test_text(self) -> str:
        """The text of the test part."""
        ...


@runtime_checkable
class HasTrainLength(Protocol):
    """Data whose training sequences have a longest length that can change between epochs."""

    train_max_length: int


@runtime_checkable
class HasSequences(Protocol):
    """Data that makes sequences of any length, for tests beyond the lengths of training."""

    def sequences(self, length: int, count: int) -> dict[str, Tensor]:
        """A batch of ``count`` sequences of exactly this length, the same at every call.

        Returns:
            ``input_ids`` and ``labels``, each (count, length).
        """
        ...


@runtime_checkable
class HasTestWindows(Protocol):
    """Data of windows of time series."""

    def test_windows(self, count: int) -> tuple[dict[str, Tensor], list[str]]:
        """A batch of windows that are spread over the test, and the dates at which their forecasts begin.

        The batch has scaled ``past_values`` (B, L, C) and ``future_values`` (B, H, C).

        Args:
            count: How many at most.
        """
        ...


@runtime_checkable
class HasPieces(Protocol):
    """Data of pieces of music."""

    def train_pieces(self) -> list[Piece]:
        """The pieces of the training part."""
        ...

    def test_pieces(self) -> list[Piece]:
        """The pieces of the test part."""
        ...


@runtime_checkable
class WritesMidi(Protocol):
    """Data that can write a piece of music as a MIDI file."""

    def write_midi(self, path: Path, piece: Piece) -> None:
        """Writes a piece to a MIDI file."""
        ...


@runtime_checkable
class WritesPredictions(Protocol):
    """Data that can write predictions in the format that it was read in."""

    def write_predictions(self, folder: Path, rows: Sequence[dict[str, Any]]) -> None:
        """Writes a file to a folder.

        Args:
            folder: The folder.
            rows: What ``predict_step`` returned, in the order of the data.
        """
        ...
