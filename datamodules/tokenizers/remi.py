"""Pieces as REMI tokens, made by miditok: what the events of midi.py are compared with.

REMI (Huang & Yang, "Pop Music Transformer", ACM Multimedia 2020) spells a note as up to four tokens, one after the
other: Bar where a bar begins, Position in it where notes begin, and of each note Pitch and Duration. Here a bar has
four quarters of 24 positions whatever the metre, because miditok (Fradet et al. 2021) would count positions by the
metre's beat, and in 2/2 lose those between. Tempo, loudness and instrument are left out, as they are of events.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datamodules.tokenizers.midi import event_table, folded, rests
from datamodules.tokenizers.stateful import Stateful
from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.music.keys import Key
from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece, top_voice

BAR = 4 * TICKS_PER_QUARTER
HIGHEST = 126  # miditok has no token for MIDI's last pitch
LONGEST_QUARTERS = 12  # of a duration; a longer one is read as this


class RemiTokenizer(Stateful):
    """Pieces to tokens (N, 1), events of the one field "token", and back.

    A note beyond the range is read octaves away, and one of more than twelve quarters as one of twelve.

    Args:
        lowest: Lowest MIDI pitch.
        highest: Highest, at most 126.
        one_voice: Whether pieces are read, and written, as their top voice.
        vocabulary: The tokens' names in the order of their ids, where they must be these; by default miditok's.

    Attributes:
        vocab_sizes: The number of tokens, in a list; ``vocab_size`` is the number.
        start_id, end_id: START (BOS) and END (EOS).
        kinds: Of each id PAD, BOS, EOS, Bar, Position, Pitch or Duration.
        values: Of each id its position in the bar, its MIDI pitch or its duration in ticks, and 0 of the others.
        pitches: Of each id its MIDI pitch, or None.
        shifts: By how many ticks each id moves a clock that counts bars and begins at ``origin``.
        origin: The clock before the first bar's token.

    Raises:
        ValueError: miditok is not installed, makes other tokens than ``vocabulary``, or there is no such range.
    """

    kind = "remi"
    fields = ("token",)
    pitch_column = 0
    origin = -BAR
    signatures = None

    def __init__(self, lowest: int, highest: int, one_voice: bool, vocabulary: Sequence[str] | None = None) -> None:
        check_range("lowest", lowest, least=0, most=HIGHEST)
        check_range("highest", highest, least=lowest, most=HIGHEST)
        self.lowest, self.highest, self.one_voice = lowest, highest, one_voice
        self._miditok = _remi(lowest, highest)
        self.vocabulary = sorted(self._miditok.vocab, key=self._miditok.vocab.get)
        if vocabulary is not None and self.vocabulary != list(vocabulary):
            raise UserError("tokens remi: the miditok installed makes other tokens than the one this was trained with")
        named = [name.split("_", 1) for name in self.vocabulary]
        self.kinds = [kind for kind, _ in named]
        self.values = [_value(*name) for name in named]
        self.pitches = [value if kind == "Pitch" else None for kind, value in zip(self.kinds, self.values, strict=True)]
        self.shifts = [BAR if kind == "Bar" else 0 for kind in self.kinds]
        self.start_id, self.end_id = self.kinds.index("BOS"), self.kinds.index("EOS")
        self.vocab_size = len(self.vocabulary)
        self.vocab_sizes = self.note_sizes = [self.vocab_size]

    @classmethod
    def train(cls, pieces: Iterable[Piece], one_voice: bool, transpose: tuple[int, int] = (0, 0)) -> "RemiTokenizer":
        """The tokenizer of some pieces' range of pitches, which is all there is to learn.

        Args:
            pieces: What is trained on.
            one_voice: See the class.
            transpose: Semitones that pieces are moved by at most, down (0 or less) and up; the range is so much wider.

        Raises:
            ValueError: The pieces have no notes, or miditok is not installed.
        """
        pitches = {note.pitch for piece in pieces for note in (top_voice(piece) if one_voice else piece).notes}
        if not pitches:
            raise UserError("pieces have no notes, so that there is nothing to learn")
        lowest, highest = (
            min(max(pitch, 0), HIGHEST) for pitch in (min(pitches) + transpose[0], max(pitches) + transpose[1])
        )
        return cls(lowest, highest, one_voice)

    def head(self, piece: Piece) -> np.ndarray:
        """What the model is told before the tokens, (0, 1): nothing."""
        return np.zeros((0, 1), dtype=np.int64)

    def encode(self, piece: Piece) -> np.ndarray:
        """The tokens of a piece, without START and END: (N, 1) integers."""
        from symusic import Note as Sound
        from symusic import Score, Track

        score: Any = Score(TICKS_PER_QUARTER)
        track: Any = Track(program=0)
        read = [note._replace(pitch=folded(note.pitch, self.lowest, self.highest)) for note in self._voice(piece).notes]
        for start, pitch, duration in sorted(read):
            track.notes.append(Sound(start, duration, pitch, 64))
        score.tracks.append(track)
        ids = self._miditok.encode(score)[0].ids if read else []
        return np.array(ids, dtype=np.int64).reshape(-1, 1)

    def notes_at(self, piece: Piece, ids: np.ndarray) -> np.ndarray:
        """How many notes each of the piece's tokens (N, 1) counts as, (N,): as many in all as there are events.

        A note counts where its pitch is; in one voice a rest counts as a note, there with the note behind it.
        """
        counts = np.array([kind == "Pitch" for kind in self.kinds], dtype=np.int64)[ids[:, 0]]
        if self.one_voice:
            counts[counts > 0] += np.array(rests(self._voice(piece)), dtype=np.int64) > 0
        return counts

    def unseen(self, piece: Piece) -> int:
        """How many of the piece's notes are read as others."""
        piece = self._voice(piece)
        return (Counter(piece.notes) - Counter(self.decode(self.encode(piece)).notes)).total()

    def decode(
        self,
        ids: np.ndarray | Sequence[Sequence[int]],
        name: str = "",
        time_signature: tuple[int, int] = (4, 4),
        quarters_per_minute: float = 72.0,
        key: Key | None = None,
    ) -> Piece:
        """The piece that tokens (N, 1) stand for, up to the first END; START, and half a note, are passed over.

        Raises:
            ValueError: The ids are not (N, 1), or one is outside the vocabulary.
        """
        tokens = event_table(ids, self.vocab_sizes)[:, 0].tolist()
        tokens = tokens[: tokens.index(self.end_id)] if self.end_id in tokens else tokens
        sounding = [token for token in tokens if self.kinds[token] not in ("PAD", "BOS")]
        score = self._miditok.decode([sounding]) if sounding else None
        found = [note for track in score.tracks for note in track.notes] if score is not None else []
        notes = sorted(Note(note.time, note.pitch, note.duration) for note in found)
        piece = Piece(name, tuple(notes), time_signature, quarters_per_minute, key)
        return self._voice(piece)

    def _voice(self, piece: Piece) -> Piece:
        return top_voice(piece) if self.one_voice else piece

    def state(self) -> dict[str, Any]:
        """Plain data that :func:`datamodules.tokenizers.from_state` makes the same tokenizer of."""
        return {
            "kind": self.kind,
            "lowest": self.lowest,
            "highest": self.highest,
            "one_voice": self.one_voice,
            "vocabulary": self.vocabulary,
        }


def _remi(lowest: int, highest: int) -> Any:
    """miditok's tokenizer of a range of pitches."""
    try:
        from miditok import REMI, TokenizerConfig
    except ImportError as error:
        raise UserError("tokens remi needs miditok; install it with `pip install 'seqlight[remi]'`") from error
    return REMI(
        TokenizerConfig(
            pitch_range=(lowest, highest + 1),
            beat_res={(0, LONGEST_QUARTERS): TICKS_PER_QUARTER},
            special_tokens=["PAD", "BOS", "EOS"],
            use_velocities=False,
            use_pitchdrum_tokens=False,
            use_time_signatures=False,
        )
    )


def _value(kind: str, value: str) -> int:
    """The number in a token's name; a duration is quarters, ticks beyond them, and ticks a quarter."""
    if kind == "Duration":
        quarters, ticks, resolution = map(int, value.split("."))
        return quarters * resolution + ticks
    return int(value) if kind in ("Position", "Pitch") else 0
