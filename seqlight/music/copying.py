"""The longest verbatim copies of other pieces in a piece, in any key.

A copy of n notes has the same n durations and the same n - 1 intervals between them, so a transposed copy counts. Rests
are ignored, and of a chord only the highest note counts.

The other pieces are stored in a suffix automaton (Blumer et al. 1985), the smallest automaton that accepts exactly the
substrings of a text. Building it and searching it take time linear in the number of notes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from seqlight.music.notes import Note, Piece, bar_of, top_voice


class Copy(NamedTuple):
    """The longest part of a piece that another piece has too.

    Attributes:
        notes: Its number of notes; 0 if the pieces have not even a duration in common.
        bars: Its first and last bar in the piece.
        source: Name of the other piece.
        source_bars: Its first and last bar in the other piece, where it occurs first.
        semitones: Its transposition from the other piece to this one.
    """

    notes: int
    bars: tuple[int, int]
    source: str
    source_bars: tuple[int, int]
    semitones: int


class Match(NamedTuple):
    """The longest copy that ends at a note: notes, the other piece's number, the note there; -1 for none."""

    notes: int
    piece: int
    at: int


class CopyIndex:
    """Pieces in which copies are looked for.

    Args:
        pieces: The pieces; a copy lies in one of them, not across two.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)
        self.voices = [top_voice(piece).notes for piece in self.pieces]
        self.places: list[tuple[int, int]] = []  # of each symbol: piece, note
        self._steps: list[dict[int, int]] = [{}]  # of each state: symbol -> state
        self._links: list[int] = [-1]
        self._lengths: list[int] = [0]
        self._ends: list[int] = [-1]  # of each state: where its parts end for the first time
        last = 0
        for number, voice in enumerate(self.voices):
            for at, symbol in enumerate(symbols(voice)):
                self.places.append((number, (at + 1) // 2))
                last = self._extend(last, symbol)
            self.places.append((number, len(voice) - 1))
            last = self._extend(last, SEPARATOR - number)  # occurs once: nothing is read across it

    def _extend(self, last: int, symbol: int) -> int:
        """Adds a symbol to the text; gives the state of the whole."""
        steps, links, lengths = self._steps, self._links, self._lengths
        new = self._state({}, 0, lengths[last] + 1, len(self.places) - 1)
        at = last
        while at >= 0 and symbol not in steps[at]:
            steps[at][symbol] = new
            at = links[at]
        if at < 0:
            return new
        target = steps[at][symbol]
        if lengths[target] > lengths[at] + 1:  # parts of different lengths must part company
            clone = self._state(dict(steps[target]), links[target], lengths[at] + 1, self._ends[target])
            while at >= 0 and steps[at].get(symbol) == target:
                steps[at][symbol] = clone
                at = links[at]
            links[target] = clone
            target = clone
        links[new] = target
        return new

    def _state(self, steps: dict[int, int], link: int, length: int, end: int) -> int:
        self._steps.append(steps)
        self._links.append(link)
        self._lengths.append(length)
        self._ends.append(end)
        return len(self._links) - 1

    def matches(self, voice: Sequence[Note]) -> list[Match]:
        """For each note of one voice, the longest copy that ends there."""
        found, state, length = [], 0, 0
        for at, symbol in enumerate(symbols(voice)):
            while state > 0 and symbol not in self._steps[state]:
                state = self._links[state]
                length = self._lengths[state]
            if symbol in self._steps[state]:
                state = self._steps[state][symbol]
                length += 1
            if at % 2 == 0:  # at a duration; a match may begin with an interval, which is not a note
                number, note = self.places[self._ends[state]] if length else (-1, -1)
                found.append(Match((length + 1) // 2, number, note))
        return found

    def longest(self, piece: Piece) -> Copy:
        """The longest copy in a piece."""
        voice = top_voice(piece).notes
        matches = self.matches(voice)
        if not any(match.notes for match in matches):
            return Copy(0, (0, 0), "", (0, 0), 0)
        at = max(range(len(matches)), key=lambda at: matches[at].notes)
        notes, number, end = matches[at]
        source, source_voice = self.pieces[number], self.voices[number]

        def bars(of: Piece, notes_of: Sequence[Note], last: int) -> tuple[int, int]:
            return bar_of(of, notes_of[last - notes + 1][0]), bar_of(of, notes_of[last][0])

        semitones = voice[at][1] - source_voice[end][1]
        return Copy(notes, bars(piece, voice, at), source.name, bars(source, source_voice, end), semitones)

    def lengths(self, piece: Piece, least: int) -> tuple[int, int, int]:
        """Notes of the longest copy, notes in copies of at least ``least`` notes, and notes of the piece."""
        matches = self.matches(top_voice(piece).notes)
        copied, reached = 0, len(matches)  # backwards; notes from ``reached`` on are done
        for at in range(len(matches) - 1, -1, -1):
            if matches[at].notes >= least:
                begin = at - matches[at].notes + 1
                copied += max(0, min(at + 1, reached) - begin)
                reached = min(reached, begin)
        return max((match.notes for match in matches), default=0), copied, len(matches)


SEPARATOR = -1  # and below: ends of pieces
INTERVALS = 256  # more than any interval, from -127 to 127


def symbols(voice: Sequence[Note]) -> list[int]:
    """One voice as durations and the intervals between them, in turn: 2 n - 1 numbers, none of them negative."""
    text = []
    for at, (_, pitch, duration) in enumerate(voice):
        if at:
            text.append(pitch - voice[at - 1][1] + 127)
        text.append(INTERVALS + duration)
    return text
