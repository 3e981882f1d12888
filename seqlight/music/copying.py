"""Finds the longest passages of a piece that are verbatim copies of other pieces, in any key.

A copy of n notes has the same n durations and the same n - 1 intervals, so a transposed copy counts. Rests are ignored,
and of a chord only the highest note counts.

The other pieces are stored in a suffix automaton (Blumer et al. 1985), the smallest automaton that accepts exactly the
suffixes of a text, and whose paths are its substrings. Building and searching it takes time linear in the number of
notes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from seqlight.music.notes import Note, Piece, bar_number, top_voice


class Copy(NamedTuple):
    """The longest copy in a piece.

    Attributes:
        notes: Number of notes; 0 if no duration of the piece occurs in another piece.
        bars: First and last bar in the piece.
        source: Name of the other piece.
        source_bars: First and last bar of its first occurrence in the other piece.
        semitones: Transposition from the other piece to this one.
    """

    notes: int
    bars: tuple[int, int]
    source: str
    source_bars: tuple[int, int]
    semitones: int


class Match(NamedTuple):
    """The longest copy that ends at a note.

    Attributes:
        notes: Number of notes; 0 for none.
        piece: Index of the other piece; -1 for none.
        at: Index of the copy's last note in the other piece; -1 for none.
    """

    notes: int
    piece: int
    at: int


class CopyIndex:
    """An index of pieces, to find copies of them in another piece.

    Args:
        pieces: The pieces. No copy extends over two of them.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)
        self.voices = [top_voice(piece).notes for piece in self.pieces]
        self.places: list[tuple[int, int]] = []  # piece and note of each symbol
        # The automaton, by state: transitions (symbol -> state), suffix link, length of the longest substring, and
        # index of the symbol at which its substrings first end.
        self._transitions: list[dict[int, int]] = [{}]
        self._links: list[int] = [-1]
        self._lengths: list[int] = [0]
        self._ends: list[int] = [-1]
        last = 0
        for number, voice in enumerate(self.voices):
            for at, symbol in enumerate(symbols(voice)):
                self.places.append((number, (at + 1) // 2))
                last = self._extend(last, symbol)
            self.places.append((number, len(voice) - 1))
            last = self._extend(last, SEPARATOR - number)  # unique, so no substring that is searched contains it

    def _extend(self, last: int, symbol: int) -> int:
        """Appends a symbol to the text and returns the state of the whole text; ``last`` was that state before."""
        transitions, links, lengths = self._transitions, self._links, self._lengths
        new = self._new_state({}, 0, lengths[last] + 1, len(self.places) - 1)
        state = last
        while state >= 0 and symbol not in transitions[state]:
            transitions[state][symbol] = new
            state = links[state]
        if state < 0:
            return new
        target = transitions[state][symbol]
        if lengths[target] > lengths[state] + 1:  # only the shorter substrings of the target occur here: split it
            clone = self._new_state(dict(transitions[target]), links[target], lengths[state] + 1, self._ends[target])
            while state >= 0 and transitions[state].get(symbol) == target:
                transitions[state][symbol] = clone
                state = links[state]
            links[target] = clone
            target = clone
        links[new] = target
        return new

    def _new_state(self, transitions: dict[int, int], link: int, length: int, end: int) -> int:
        self._transitions.append(transitions)
        self._links.append(link)
        self._lengths.append(length)
        self._ends.append(end)
        return len(self._links) - 1

    def matches(self, voice: Sequence[Note]) -> list[Match]:
        """The longest copy that ends at each note of one voice."""
        found, state, length = [], 0, 0
        for at, symbol in enumerate(symbols(voice)):
            while state > 0 and symbol not in self._transitions[state]:
                state = self._links[state]
                length = self._lengths[state]
            if symbol in self._transitions[state]:
                state = self._transitions[state][symbol]
                length += 1
            if at % 2 == 0:  # the symbol of a duration; a match may begin with an interval, which is not a note
                number, note = self.places[self._ends[state]] if length else (-1, -1)
                found.append(Match((length + 1) // 2, number, note))
        return found

    def longest(self, piece: Piece) -> Copy:
        """The longest copy in a piece, and where it is from."""
        voice = top_voice(piece).notes
        matches = self.matches(voice)
        if not any(match.notes for match in matches):
            return Copy(0, (0, 0), "", (0, 0), 0)
        at = max(range(len(matches)), key=lambda at: matches[at].notes)
        notes, number, end = matches[at]
        source, source_voice = self.pieces[number], self.voices[number]

        def bars(of: Piece, its_voice: Sequence[Note], last: int) -> tuple[int, int]:
            return bar_number(of, its_voice[last - notes + 1].start), bar_number(of, its_voice[last].start)

        semitones = voice[at].pitch - source_voice[end].pitch
        return Copy(notes, bars(piece, voice, at), source.name, bars(source, source_voice, end), semitones)

    def lengths(self, piece: Piece, least: int) -> tuple[int, int, int]:
        """Number of notes in the longest copy, in all copies of at least ``least`` notes, and in the piece."""
        matches = self.matches(top_voice(piece).notes)
        copied, reached = 0, len(matches)  # from the end; notes from ``reached`` on have been counted
        for at in range(len(matches) - 1, -1, -1):
            if matches[at].notes >= least:
                begin = at - matches[at].notes + 1
                copied += max(0, min(at + 1, reached) - begin)
                reached = min(reached, begin)
        return max((match.notes for match in matches), default=0), copied, len(matches)


SEPARATOR = -1  # end of the first piece; the following pieces have -2, -3, ...
INTERVALS = 256  # symbols below it are intervals (-127 to 127, plus 127), from it on durations


def symbols(voice: Sequence[Note]) -> list[int]:
    """One voice of n notes as 2 n - 1 symbols (integers, at least 0): durations, with the intervals between them."""
    text = []
    for at, (_, pitch, duration, _) in enumerate(voice):
        if at:
            text.append(pitch - voice[at - 1][1] + 127)
        text.append(INTERVALS + duration)
    return text
