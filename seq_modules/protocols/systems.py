"""What the callbacks and the command need of a system.

B batch, T time, V vocabulary, D width, L layers, H heads, C classes.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.generation.decoding_config import Decoding
from seq_modules.training.metrics.translation import Score
from seqlight.core.series import SeriesStatistics
from seqlight.music.notes import Piece


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
