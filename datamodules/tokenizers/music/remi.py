"""REMI tokens of pieces, made by miditok, for comparison with the events of midi.py.

REMI (Huang & Yang, "Pop Music Transformer", ACM Multimedia 2020) encodes a note as up to four tokens: Bar at the
beginning of a bar, Position for an onset within the bar, and Pitch and Duration for each note. Here every bar has four
quarters of 24 positions, whatever the metre. miditok (Fradet et al. 2021) would count positions in beats of the metre,
and in 2/2 lose the positions between. Tempo, velocity and instrument are not encoded; events do not have them either.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datamodules.tokenizers.music.midi import event_table, folded, rests
from datamodules.tokenizers.stateful import Stateful
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.music.keys import Key
from seqlight.music.notes import HIGHEST_PITCH, TICKS_PER_QUARTER, Note, Piece, top_voice

BAR = 4 * TICKS_PER_QUARTER
LONGEST_QUARTERS = 12  # a longer duration is encoded as this one


class RemiTokenizer(Stateful):
    """Encodes pieces as tokens (N, 1), that is as events with the one field "token", and decodes them.

    A pitch outside the range is moved into it by octaves. A duration of more than twelve quarters becomes twelve.

    Args:
        lowest: Lowest MIDI pitch, at least 0.
        highest: Highest MIDI pitch, above ``lowest`` (miditok takes no range of one pitch) and at most 127.
        one_voice: Encode and decode the top voice of a piece alone.
        vocabulary: Names of the tokens in the order of their ids, as saved in a checkpoint. The installed miditok must
            make the same ones. Default: those of the installed miditok.

    Attributes:
        vocab_size: Number of tokens.
        vocab_sizes: The same number in a list, one entry per field.
        start_id, end_id: Ids of START (miditok's BOS) and END (EOS).
        kinds: Kind of each id: PAD, BOS, EOS, Bar, Position, Pitch or Duration.
        values: Number of each id: its position in the bar, its MIDI pitch, or its duration in ticks; 0 for the others.
        pitches: MIDI pitch of each id, or None.
        shifts: Ticks by which each id advances the time: a bar for Bar, 0 for the others.
        origin: Time in ticks before the first Bar token.

    Raises:
        UserError: miditok is not installed, it makes other tokens than ``vocabulary``, or the range is not valid.
    """

    kind = "remi"
    fields = ("token",)
    pitch_column = 0
    origin = -BAR
    signatures = None

    def __init__(self, lowest: int, highest: int, one_voice: bool, vocabulary: Sequence[str] | None = None) -> None:
        check_range("lowest", lowest, least=0, most=HIGHEST_PITCH - 1)
        check_range("highest", highest, least=lowest + 1, most=HIGHEST_PITCH)
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
        """Makes a tokenizer for the range of pitches of the training pieces.

        Args:
            pieces: The training pieces.
            one_voice: See the class.
            transpose: Largest transpositions in semitones, down (0 or less) and up. They widen the range.

        Raises:
            UserError: The pieces have no notes, or miditok is not installed.
        """
        pitches = {note.pitch for piece in pieces for note in (top_voice(piece) if one_voice else piece).notes}
        if not pitches:
            raise UserError("pieces have no notes, so that there is nothing to learn")
        lowest = min(max(min(pitches) + transpose[0], 0), HIGHEST_PITCH - 1)
        highest = max(min(max(pitches) + transpose[1], HIGHEST_PITCH), lowest + 1)
        return cls(lowest, highest, one_voice)

    def signature_events(self, piece: Piece) -> np.ndarray:
        """The tokens that stand before those of the notes, (0, 1): none, since REMI here has no signature event."""
        return np.zeros((0, 1), dtype=np.int64)

    def encode(self, piece: Piece) -> np.ndarray:
        """The tokens of a piece, without START and END: (N, 1) integers."""
        from symusic import Note as Sound
        from symusic import Score, Track

        score: Any = Score(TICKS_PER_QUARTER)
        track: Any = Track(program=0)
        read = [note._replace(pitch=folded(note.pitch, self.lowest, self.highest)) for note in self._voice(piece).notes]
        for start, pitch, duration, _ in sorted(read):
            track.notes.append(Sound(start, duration, pitch, 64))
        score.tracks.append(track)
        ids = self._miditok.encode(score)[0].ids if read else []
        return np.array(ids, dtype=np.int64).reshape(-1, 1)

    def notes_at(self, piece: Piece, ids: np.ndarray) -> np.ndarray:
        """Number of notes that each token counts as, (N,), for tokens (N, 1). The sum is the piece's number of events.

        A note is counted at its Pitch token. With one voice a rest is an event too; it is counted at the Pitch token of
        the note after it.
        """
        counts = np.array([kind == "Pitch" for kind in self.kinds], dtype=np.int64)[ids[:, 0]]
        if self.one_voice:
            counts[counts > 0] += np.array(rests(self._voice(piece)), dtype=np.int64) > 0
        return counts

    def unseen(self, piece: Piece) -> int:
        """Number of notes of the piece that are decoded as other notes."""
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
        """The piece that tokens (N, 1) encode, up to the first END. START and incomplete notes are ignored.

        Raises:
            UserError: The ids are not (N, 1), or one is outside the vocabulary.
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
        """Plain data from which :func:`datamodules.tokenizers.loading.from_state` makes the same tokenizer."""
        return {
            "kind": self.kind,
            "lowest": self.lowest,
            "highest": self.highest,
            "one_voice": self.one_voice,
            "vocabulary": self.vocabulary,
        }


def _remi(lowest: int, highest: int) -> Any:
    """miditok's REMI tokenizer for a range of pitches."""
    try:
        from miditok import REMI, TokenizerConfig
    except ImportError as error:
        raise UserError("tokens remi needs miditok; install it with `pip install 'seqlight[remi]'`") from error
    return REMI(
        TokenizerConfig(
            pitch_range=(lowest, highest),
            beat_res={(0, LONGEST_QUARTERS): TICKS_PER_QUARTER},
            special_tokens=["PAD", "BOS", "EOS"],
            use_velocities=False,
            use_pitchdrum_tokens=False,
            use_time_signatures=False,
        )
    )


def _value(kind: str, value: str) -> int:
    """The number in a token's name. A duration is written as quarters, further ticks, and ticks per quarter."""
    if kind == "Duration":
        quarters, ticks, resolution = map(int, value.split("."))
        return quarters * resolution + ticks
    return int(value) if kind in ("Position", "Pitch") else 0
