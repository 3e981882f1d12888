"""Groups of arguments of the MIDI datamodule."""

from dataclasses import dataclass
from typing import Literal

from datamodules.tokenizers.music.midi import ALL_NOTES, LOUDNESS, ONE_VOICE
from datamodules.tokenizers.music.signatures import Metre, parse_metre
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import MOST_SEED, check_choice, check_range
from seqlight.music.keys import Key, parse_key

SourceKind = Literal["etudes", "chorales"]
TokenKind = Literal["events", "remi"]
Voices = Literal["top", "all"]


@dataclass(frozen=True)
class SourceConfig:
    """The music where ``path`` names no files.

    Attributes:
        kind: "etudes", which are composed by rule, or the "chorales" by Bach that the package music21 contains.
        num_etudes: Number of etudes, at least 2.

    Raises:
        UserError: A value is out of its range.
    """

    kind: SourceKind = "etudes"
    num_etudes: int = 300

    def __post_init__(self) -> None:
        check_choice("source.kind", self.kind, SourceKind)
        check_range("source.num_etudes", self.num_etudes, least=2)


@dataclass(frozen=True)
class SplitConfig:
    """Which pieces are trained on, validated and tested with.

    Attributes:
        held_out: Pattern of the names of the test pieces, such as bwv1010*. The others are for training and validation,
            except copies of the test pieces and settings of their tunes. Default: fractions.
        val_fraction: Fraction of the pieces (with held_out: of the others) for validation, above 0 and below 1.
        test_fraction: Without held_out: fraction for the test; with 0 the test uses the validation pieces.
        seed: Seed of the fractions, and of the etudes.

    Raises:
        UserError: A value is out of its range.
    """

    held_out: str | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.test_fraction", self.test_fraction, least=0)
        check_range("split.seed", self.seed, least=0, most=MOST_SEED)
        if self.test_fraction + self.val_fraction >= 1:
            raise UserError(
                f"split.test_fraction {self.test_fraction} and split.val_fraction {self.val_fraction} must be below 1 "
                "together"
            )


@dataclass(frozen=True)
class TokensConfig:
    """How music becomes tokens.

    Attributes:
        kind: "events": a note is one event of several ids. "remi", for comparison: a note is about three REMI tokens,
            made by miditok; seq_len, windows.stride and --decoding.max_new_tokens then count tokens.
        voices: "top": the top voice, a note is (pitch, duration). "all": all notes, each (shift, pitch, duration).
        signatures: Put an event with the piece's metre and key before the notes of every window. The key is that of the
            file's key signature; without one it is unknown.
        velocity: Also read, model and write the loudness of each note, as its last field. Losses of notes with and
            without it do not compare.

    Raises:
        UserError: A value is none of the choices, or signatures or velocity are combined with REMI.
    """

    kind: TokenKind = "events"
    voices: Voices = "top"
    signatures: bool = False
    velocity: bool = False

    def __post_init__(self) -> None:
        check_choice("tokens.kind", self.kind, TokenKind)
        check_choice("tokens.voices", self.voices, Voices)
        for name in ("signatures", "velocity"):
            if getattr(self, name) and self.kind == "remi":
                raise UserError(f"tokens.{name} true needs tokens.kind events")

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of an event."""
        return (ONE_VOICE if self.voices == "top" else ALL_NOTES) + LOUDNESS * self.velocity


@dataclass(frozen=True)
class AugmentConfig:
    """Changes of the training windows.

    Attributes:
        transpose_down: Largest transposition downwards, in semitones. The defaults, 5 down and 6 up, reach every key;
            an instrument's range is ignored.
        transpose_up: Largest transposition upwards, in semitones.
        note_values: Also train on doubled and halved note values.

    Raises:
        UserError: A value is out of its range.
    """

    transpose_down: int = 5
    transpose_up: int = 6
    note_values: bool = False

    def __post_init__(self) -> None:
        check_range("augment.transpose_down", self.transpose_down, least=0)
        check_range("augment.transpose_up", self.transpose_up, least=0)


@dataclass(frozen=True)
class WindowConfig:
    """Which windows of the pieces are trained and evaluated on.

    Attributes:
        epoch_size: Windows in an epoch of training. Default: as many as cover the pieces.
        eval_seq_len: Notes in a window of validation and test. A long window lets retrieval find more of a piece.
            Default: seq_len.
        stride: Distance in notes between the starts of the windows of validation and test. Of each window but a
            piece's first, only the last ``stride`` notes count, so that each has a context. Default: half of
            eval_seq_len.

    Raises:
        UserError: A value is out of its range.
    """

    epoch_size: int | None = None
    eval_seq_len: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        check_range("windows.epoch_size", self.epoch_size, least=1)
        check_range("windows.eval_seq_len", self.eval_seq_len, least=1)
        check_range("windows.stride", self.stride, least=1)


@dataclass(frozen=True)
class MusicPromptConfig:
    """The prompt of predict.

    Attributes:
        source: "prelude" (the opening of Bach's first cello suite), "none", or a MIDI file or a folder of them.
        bars: Number of bars to take of the prompt. Default: all.
        metre: With signatures: metre of the prediction, such as 3/4, one that training had. Default: the prompt's.
        key: With signatures: key of the prediction, such as "G major" or "c# minor". Default: the prompt's; unknown
            with source none.
        samples: Number of pieces to generate from each prompt.
        tempo_changes: Keep the prompt's changes of tempo in the written music, the last of which holds on. By default
            its first tempo holds throughout.

    Raises:
        UserError: A value is out of its range, or no metre or key.
    """

    source: str = "prelude"
    bars: int | None = None
    metre: str | None = None
    key: str | None = None
    samples: int = 1
    tempo_changes: bool = False

    def __post_init__(self) -> None:
        if not self.source:
            raise UserError("prompt.source is empty; give prelude, none or a MIDI file")
        check_range("prompt.bars", self.bars, least=1)
        check_range("prompt.samples", self.samples, least=1)
        _ = self.parsed_metre, self.parsed_key  # raise an error if they cannot be parsed

    @property
    def parsed_metre(self) -> Metre | None:
        """The metre as (beats of a bar, fraction of a whole note that a beat is)."""
        return None if self.metre is None else parse_metre(self.metre, "prompt.metre")

    @property
    def parsed_key(self) -> Key | None:
        """The key as tonic and mode."""
        return None if self.key is None else parse_key(self.key, "prompt.key")
