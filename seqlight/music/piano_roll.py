"""Piano rolls: notes as bars of a length and a height, a few bars of music to a line."""

from typing import Any

from seqlight.music.notes import TICKS_PER_QUARTER, Piece, bar_ticks

GIVEN, NEW = "C7", "C0"  # colours: what the music began with, and what was made
BARS_PER_LINE = 8
MOST_LINES = 12  # a picture of more is larger than anybody looks at


def lines_of(piece: Piece, bars_per_line: int = BARS_PER_LINE) -> int:
    """How many lines a piece's roll has, at least 1 and at most 12; what does not fit is not drawn."""
    end = max((start + duration for start, _, duration in piece.notes), default=1)
    return max(1, min(MOST_LINES, -(-end // (bars_per_line * bar_ticks(piece)))))


def draw_piano_roll(axes: Any, piece: Piece, given: int = 0, bars_per_line: int = BARS_PER_LINE) -> None:
    """Draws a piece on axes of matplotlib, one of them a line of bars.

    Bars are numbered, lines at every C say its octave (C4 is middle C, pitch 60), and a note that goes on into the next
    line is drawn in both.

    Args:
        axes: As many as :func:`lines_of` says.
        piece: The music.
        given: How many of its notes, the first ones, it began with; they are grey, and the others blue.
        bars_per_line: Bars of a line.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    bar = bar_ticks(piece)
    width = bars_per_line * bar
    pitches = [pitch for _, pitch, _ in piece.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    for line, axis in enumerate(axes):
        first = line * width
        shown: dict[str, list[Rectangle]] = {GIVEN: [], NEW: []}
        for number, (start, pitch, duration) in enumerate(piece.notes):
            begin, end = max(start, first), min(start + duration, first + width)
            if begin < end:
                gap = min(0.6, 0.2 * (end - begin))  # between notes of one pitch
                box = Rectangle((begin, pitch - 0.45), end - begin - gap, 0.9)
                shown[GIVEN if number < given else NEW].append(box)
        for colour, boxes in shown.items():
            axis.add_collection(PatchCollection(boxes, facecolor=colour, edgecolor="none"))
        axis.grid(visible=False)
        for at in range(bars_per_line + 1):
            axis.axvline(first + at * bar, color="0.6", linewidth=0.8, zorder=0)
        for at in range(first, first + width, TICKS_PER_QUARTER):
            axis.axvline(at, color="0.9", linewidth=0.4, zorder=0)
        octaves = [pitch for pitch in range(0, 128, 12) if low <= pitch <= high]
        for pitch in octaves:
            axis.axhline(pitch, color="0.85", linewidth=0.6, zorder=0)
        axis.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize=8)
        numbers = range(line * bars_per_line, (line + 1) * bars_per_line)
        axis.set_xticks([at * bar for at in numbers], [str(at + 1) for at in numbers], fontsize=8, ha="left")
        axis.set(xlim=(first, first + width), ylim=(low, high))
    axes[-1].set_xlabel("bar")
