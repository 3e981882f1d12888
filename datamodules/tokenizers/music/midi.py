"""Notes as events of two to four ids, and back.

An event is one note. All its ids are read and predicted together, so a note takes one step of the model, and every
sequence is well formed (Hsiao et al., "Compound Word Transformer", AAAI 2021, group tokens for the same reason). With
one voice, a note's onset follows from the durations before it. With chords, the ticks since the previous onset are a
field.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datamodules.tokenizers.music.signatures import MOST_METRES, Signatures
from datamodules.tokenizers.stateful import Stateful
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range
from seqlight.music.keys import Key
from seqlight.music.notes import HIGHEST_PITCH, VELOCITY, Metre, Note, Piece, metre_at, metres_of, top_voice

ONE_VOICE, ALL_NOTES, LOUDNESS = ("pitch", "duration"), ("shift", "pitch", "duration"), ("velocity",)
FIELD_SETS = (ONE_VOICE, ALL_NOTES, ONE_VOICE + LOUDNESS, ALL_NOTES + LOUDNESS)
NOTHING = 0  # the id of the other fields of START and END
START, END, REST = 0, 1, 2  # ids of the first field; REST is a pitch and exists with one voice only
LONGEST = 2**24  # ticks; four days at 120 quarters a minute
LOUDEST = 127
MOST_VALUES = 512  # durations (or shifts) learned; a performance, which is on no grid, has thousands


class NoteTokenizer(Stateful):
    """Pieces to events (N, F) of F fields, and back.

    The fields are ``("pitch", "duration")`` for the top voice, with its rests as events, or ``("shift", "pitch",
    "duration")`` for all notes; shift is the ticks since the previous onset, 0 within a chord. A last field "velocity"
    may follow; a rest has that of the note before it. The vocabulary has the durations, shifts and velocities of the
    training pieces; any other is read as the nearest, and :meth:`unseen` counts these. Pitches are a range without
    gaps; a note outside it is moved inside by octaves. Notes of one onset are sorted by pitch, then by duration and
    velocity; two may be equal.

    Args:
        fields: Any of these.
        lowest: Lowest MIDI pitch.
        highest: Highest.
        durations: Ticks, at least 1 each; sorted and made unique here.
        shifts: Ticks, at least 0 each; likewise. Only for all notes.
        metres: Metres of the signature events (:meth:`signature_events`). Default: no signatures.
        velocities: MIDI's loudness, 1 to 127 each; likewise. Only with a field for it.

    Attributes:
        one_voice: Whether the fields are those of one voice.
        fields: Their names, in the order of the events' columns.
        vocab_sizes: Ids of each field; ``vocab_size`` is their sum.
        note_sizes: Number of ids of each field without those of signatures, which come last.
        signatures: Metres and keys; None without.
        start_id, end_id: START and END, ids of the first field.
        pitches: MIDI pitch of each id of the field pitch; None for START, END, REST, "nothing" and keys.
        durations: Ticks of each id of the field duration; 0 for "nothing" and metres.
        shifts: Ticks of each id of the field shift; 0 for START, END and a signature. Empty with one voice.
        velocities: Loudness of each id of the field velocity; 0 for "nothing" and a signature. Empty without the field.

    Raises:
        UserError: A value is out of its range.
    """

    kind = "notes"
    start_id, end_id = START, END
    origin = 0  # time of the first event in ticks, before its shift

    def __init__(
        self,
        fields: Sequence[str],
        lowest: int,
        highest: int,
        durations: Iterable[int],
        shifts: Iterable[int] = (),
        metres: Iterable[Sequence[int]] | None = None,
        velocities: Iterable[int] = (),
    ) -> None:
        self.fields = tuple(fields)
        check_choice("fields", self.fields, FIELD_SETS)
        self.pitch_column, self.has_velocity = self.fields.index("pitch"), self.fields[-1:] == LOUDNESS
        self.one_voice = self.pitch_column == 0
        check_range("lowest", lowest, least=0, most=HIGHEST_PITCH)
        check_range("highest", highest, least=lowest, most=HIGHEST_PITCH)
        self.lowest, self.highest = lowest, highest
        self._durations = _sorted("durations", durations, 1)
        self._shifts = np.zeros(0, np.int64) if self.one_voice else _sorted("shifts", shifts, 0)
        self._velocities = _sorted("velocities", velocities, 1) if self.has_velocity else np.zeros(0, np.int64)
        if self._velocities.max(initial=0) > LOUDEST:
            raise UserError(f"velocities must be at most {LOUDEST}")
        # Ids that come before the first value of each kind.
        self._first = {"shift": 2, "pitch": 3 if self.one_voice else 1, "duration": 1, "velocity": 1}
        self.pitches: list[int | None] = [None] * self._first["pitch"] + list(range(lowest, highest + 1))
        self.durations: list[int] = [0, *self._durations.tolist()]
        self.shifts: list[int] = [] if self.one_voice else [0, 0, *self._shifts.tolist()]
        self.velocities: list[int] = [0, *self._velocities.tolist()] if self.has_velocity else []
        values: dict[str, list[Any]] = {
            "shift": self.shifts,
            "pitch": self.pitches,
            "duration": self.durations,
            "velocity": self.velocities,
        }
        self.note_sizes: list[int] = [len(values[name]) for name in self.fields]
        self.signatures = None if metres is None else Signatures(self.note_sizes, metres, self.pitch_column)
        more = [0] * len(self.fields) if self.signatures is None else self.signatures.sizes
        for name, size in zip(self.fields, more, strict=True):
            values[name].extend([None if name == "pitch" else 0] * size)
        self.vocab_sizes: list[int] = [size + behind for size, behind in zip(self.note_sizes, more, strict=True)]
        self.vocab_size = sum(self.vocab_sizes)

    @classmethod
    def train(
        cls,
        pieces: Iterable[Piece],
        fields: Sequence[str],
        transpose: tuple[int, int] = (0, 0),
        signatures: bool = False,
    ) -> "NoteTokenizer":
        """The tokenizer of some pieces: their durations and shifts, and their range of pitches.

        Args:
            pieces: The training pieces, in every version of their note values that is trained on.
            fields: See the class.
            transpose: Largest transpositions of training, in semitones down (0 or less) and up; they widen the range.
            signatures: Whether metre and key are an event.

        The vocabulary has at most the 512 most frequent durations and shifts and the 64 most frequent metres.

        Raises:
            UserError: The pieces have no notes.
        """
        one_voice = tuple(fields)[:1] == ONE_VOICE[:1]
        pitches: set[int] = set()
        velocities: set[int] = set()
        durations, shifts, metres = Counter[int](), Counter[int](), Counter[Metre]()
        for piece in map(top_voice, pieces) if one_voice else pieces:
            metres.update(metres_of(piece))
            pitches.update(note.pitch for note in piece.notes)
            velocities.update(note.velocity for note in piece.notes)
            durations.update(note.duration for note in piece.notes)
            if one_voice:
                durations.update(gap for gap in rests(piece) if gap)
            else:
                shifts.update(_shifts(piece))
        if not pitches:
            raise UserError("pieces have no notes; give music with notes to learn the tokenizer from")
        lowest, highest = max(min(pitches) + transpose[0], 0), min(max(pitches) + transpose[1], HIGHEST_PITCH)
        frequent = [[value for value, _ in counts.most_common(MOST_VALUES)] for counts in (durations, shifts)]
        learned_metres = [metre for metre, _ in metres.most_common(MOST_METRES)] if signatures else None
        return cls(fields, lowest, highest, frequent[0], frequent[1], learned_metres, velocities)

    def signature_events(self, piece: Piece) -> np.ndarray:
        """The event of a piece's key and its metre at the end, (1, F); without signatures no event, (0, F).

        It is what a continuation begins with. Windows within a piece have the metres of :meth:`metre_ids`.
        """
        if self.signatures is None:
            return np.zeros((0, len(self.fields)), dtype=np.int64)
        return self.signatures.event(metre_at(piece, piece.end), piece.key)[None]

    def metre_ids(self, piece: Piece, events: np.ndarray) -> np.ndarray:
        """The id of the metre that holds at each event (N, F) of a piece, in the metre's field: (N,)."""
        assert self.signatures is not None
        column = self.fields.index("duration" if self.one_voice else "shift")
        moved = np.array(self.durations if self.one_voice else self.shifts, dtype=np.int64)[events[:, column]]
        onsets = moved.cumsum() - (moved if self.one_voice else 0)
        changes = [(0, piece.time_signature), *piece.metres]
        ids = np.array([self.signatures.metre_id(metre) for _, metre in changes], dtype=np.int64)
        return ids[np.searchsorted([tick for tick, _ in changes], onsets, side="right") - 1]

    def encode(self, piece: Piece) -> np.ndarray:
        """The events of a piece, without START and END: (N, F) integers. With one voice, of its top voice."""
        return self._encode(piece)[0]

    def unseen(self, piece: Piece) -> int:
        """How many of the piece's events have a value (pitch, duration, ...) that is not in the vocabulary."""
        return self._encode(piece)[1]

    def _encode(self, piece: Piece) -> tuple[np.ndarray, int]:
        columns: dict[str, list[int]] = {}
        if self.one_voice:
            voice = top_voice(piece)
            events: list[tuple[int | None, int, int]] = []
            for gap, note in zip(rests(voice), voice.notes, strict=True):
                if gap:
                    events.append((None, gap, events[-1][2] if events else note.velocity))
                events.append((note.pitch, note.duration, note.velocity))
            sounding = [pitch for pitch, _, _ in events]
            columns["duration"] = [duration for _, duration, _ in events]
            columns["velocity"] = [velocity for _, _, velocity in events]
        else:
            sounding = [*(note.pitch for note in piece.notes)]
            columns["duration"] = [note.duration for note in piece.notes]
            columns["shift"] = _shifts(piece)
            columns["velocity"] = [note.velocity for note in piece.notes]
        shift = self._first["pitch"] - self.lowest
        pitch_ids = [REST if pitch is None else folded(pitch, self.lowest, self.highest) + shift for pitch in sounding]
        exact = np.array([pitch is None or self.lowest <= pitch <= self.highest for pitch in sounding], dtype=bool)
        ids = {"pitch": np.array(pitch_ids, dtype=np.int64)}
        tables = {"duration": self._durations, "shift": self._shifts, "velocity": self._velocities}
        for name in sorted(columns.keys() & set(self.fields)):
            table, values = tables[name], np.array(columns[name], dtype=np.int64)
            indices = _nearest(table, values)
            ids[name], exact = indices + self._first[name], exact & (table[indices] == values)
        if not self.one_voice:  # the nearest values may have another order within a chord
            onsets = np.cumsum(self._shifts[ids["shift"] - self._first["shift"]])
            others = self.fields[1:]
            order = np.lexsort((*(ids[name] for name in reversed(others)), onsets))
            ids |= {name: ids[name][order] for name in others}
        return np.stack([ids[name] for name in self.fields], axis=1), int((~exact).sum())

    def decode(
        self,
        ids: np.ndarray | Sequence[Sequence[int]],
        name: str = "",
        time_signature: tuple[int, int] = (4, 4),
        quarters_per_minute: float = 72.0,
        key: Key | None = None,
    ) -> Piece:
        """The piece of events (N, F), up to the first END; START and a signature are skipped.

        An event without a pitch or without a duration makes no note, but its shift counts.

        Raises:
            UserError: The ids are not (N, F), or one is outside its vocabulary.
        """
        notes, now = [], 0
        for event in event_table(ids, self.vocab_sizes).tolist():
            if event[0] == END:
                break
            if event[0] == START:
                continue
            if not self.one_voice:
                now += self.shifts[event[0]]
            pitch, duration = self.pitches[event[self.pitch_column]], self.durations[event[self.pitch_column + 1]]
            velocity = self.velocities[event[-1]] if self.has_velocity else 0
            if pitch is not None and duration:
                notes.append(Note(now, pitch, duration, velocity or VELOCITY))
            if self.one_voice:
                now += duration
        return Piece(name, tuple(sorted(notes)), time_signature, quarters_per_minute, key)

    def state(self) -> dict[str, Any]:
        """Plain data, from which :func:`datamodules.tokenizers.loading.from_state` makes the same tokenizer."""
        more: dict[str, Any] = {}
        if self.signatures is not None:
            more["metres"] = [list(metre) for metre in self.signatures.metres]
        if self.has_velocity:
            more["velocities"] = self._velocities.tolist()
        return more | {
            "kind": self.kind,
            "fields": list(self.fields),
            "lowest": self.lowest,
            "highest": self.highest,
            "durations": self._durations.tolist(),
            "shifts": self._shifts.tolist(),
        }


def event_table(ids: np.ndarray | Sequence[Sequence[int]], vocab_sizes: Sequence[int]) -> np.ndarray:
    """Events (N, F) as integers; refuses another shape, and ids outside the vocabularies of the F fields."""
    fields = len(vocab_sizes)
    table = np.asarray(ids, dtype=np.int64).reshape(-1, fields) if len(ids) == 0 else np.asarray(ids)
    if table.ndim != 2 or table.shape[1] != fields:
        raise UserError(f"ids have the shape {table.shape}; an event has as many ids as fields, {fields}")
    if len(table) and ((table < 0).any() or (table >= np.array(vocab_sizes)).any()):
        raise UserError(f"ids are outside the vocabularies of {vocab_sizes}")
    return table


def rests(voice: Piece) -> list[int]:
    """Ticks of silence before each note of one voice."""
    silent_from = [0, *(note.start + note.duration for note in voice.notes)]
    return [note.start - before for note, before in zip(voice.notes, silent_from, strict=False)]


def folded(pitch: int, lowest: int, highest: int) -> int:
    """A pitch, moved by octaves into a range; if no octave fits, the range's nearer end."""
    if pitch < lowest:
        return min(pitch + -(-(lowest - pitch) // 12) * 12, highest)
    if pitch > highest:
        return max(pitch - -(-(pitch - highest) // 12) * 12, lowest)
    return pitch


def _shifts(piece: Piece) -> list[int]:
    """Ticks from each note's previous onset (first: from 0) to its own."""
    onsets = [note.start for note in piece.notes]
    return [onset - before for onset, before in zip(onsets, [0, *onsets], strict=False)]


def _nearest(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Index of the nearest entry of a sorted table for each value; ties go to the smaller entry."""
    above = np.clip(np.searchsorted(table, values), 1, max(len(table) - 1, 1))
    if len(table) == 1:
        return np.zeros(len(values), dtype=np.int64)
    return np.where(values - table[above - 1] <= table[above] - values, above - 1, above)


def _sorted(name: str, values: Iterable[int], least: int) -> np.ndarray:
    """The distinct values, sorted; refuses values that are not ticks."""
    found = list(values)
    if not found or not all(isinstance(value, int) and least <= value <= LONGEST for value in found):
        raise UserError(f"{name} must be whole numbers of ticks, {least} to {LONGEST}, and at least one")
    return np.unique(np.array(found, dtype=np.int64))
