"""Piano rolls: each note is a box at its time and pitch, with eight bars of music per line."""

from typing import Any

from seqlight.music.notes import TICKS_PER_QUARTER, Piece, bar_starts, bar_ticks

PROMPT_COLOUR, GENERATED_COLOUR = "C7", "C0"  # grey and blue
BARS_PER_LINE = 8
MAX_LINES = 12


def num_lines(piece: Piece, bars_per_line: int = BARS_PER_LINE) -> int:
    """Number of lines of the piano roll of a piece, 1 to 12. Music after the twelfth line is not drawn."""
    end = max(piece.end, 1)
    return max(1, min(MAX_LINES, -(-end // (bars_per_line * bar_ticks(piece)))))


def draw_piano_roll(axes: Any, piece: Piece, prompt_notes: int = 0, bars_per_line: int = BARS_PER_LINE) -> None:
    """Draws a piece on matplotlib axes, one line of bars on each.

    Bars are numbered, and a line is as long as so many bars of the first metre. Horizontal lines mark each C with its
    octave (C4 is middle C, pitch 60). A note that continues on the next line is drawn on both.

    Args:
        axes: Matplotlib axes, :func:`num_lines` of them.
        piece: The music.
        prompt_notes: Number of notes of the prompt, which come first. They are grey, and the generated notes blue.
        bars_per_line: Number of bars in a line.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    bar = bar_ticks(piece)
    width = bars_per_line * bar
    bars = list(enumerate(bar_starts(piece, len(axes) * width + 1), 1))
    pitches = [note.pitch for note in piece.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    for line, axis in enumerate(axes):
        first = line * width
        shown: dict[str, list[Rectangle]] = {PROMPT_COLOUR: [], GENERATED_COLOUR: []}
        for number, (start, pitch, duration, _) in enumerate(piece.notes):
            begin, end = max(start, first), min(start + duration, first + width)
            if begin < end:
                gap = min(0.6, 0.2 * (end - begin))  # visible between two notes of the same pitch
                box = Rectangle((begin, pitch - 0.45), end - begin - gap, 0.9)
                shown[PROMPT_COLOUR if number < prompt_notes else GENERATED_COLOUR].append(box)
        for colour, boxes in shown.items():
            axis.add_collection(PatchCollection(boxes, facecolor=colour, edgecolor="none"))
        axis.grid(visible=False)
        shown_bars = [(number, at) for number, at in bars if first <= at <= first + width]
        for _, at in shown_bars:
            axis.axvline(at, color="0.6", linewidth=0.8, zorder=0)
        for at in range(first, first + width, TICKS_PER_QUARTER):
            axis.axvline(at, color="0.9", linewidth=0.4, zorder=0)
        octaves = [pitch for pitch in range(0, 128, 12) if low <= pitch <= high]
        for pitch in octaves:
            axis.axhline(pitch, color="0.85", linewidth=0.6, zorder=0)
        axis.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize=8)
        numbered = [(number, at) for number, at in shown_bars if at < first + width]
        axis.set_xticks([at for _, at in numbered], [str(number) for number, _ in numbered], fontsize=8, ha="left")
        axis.set(xlim=(first, first + width), ylim=(low, high))
    axes[-1].set_xlabel("bar")
