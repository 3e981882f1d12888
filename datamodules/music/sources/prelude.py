"""The opening of the prelude of Bach's first suite for cello (BWV 1007), typed by hand: the default prompt."""

from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece

# Sixteenths in common time, a bar in two lines. C4 is the piano's middle C, C2 the cello's lowest string.
BARS = """
    G2 D3 B3 A3 B3 D3 B3 D3
    G2 D3 B3 A3 B3 D3 B3 D3

    G2 E3 C4 B3 C4 E3 C4 E3
    G2 E3 C4 B3 C4 E3 C4 E3

    G2 F#3 C4 B3 C4 F#3 C4 F#3
    G2 F#3 C4 B3 C4 F#3 C4 F#3

    G2 G3 B3 A3 B3 G3 B3 G3
    G2 G3 B3 A3 B3 G3 B3 F#3
"""
SIXTEENTH = TICKS_PER_QUARTER // 4
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def _pitch(name: str) -> int:
    """MIDI pitch of a name such as F#3."""
    return 12 * (int(name[-1]) + 1) + STEPS[name[0]] + name.count("#")


PRELUDE = Piece(
    "prelude",
    tuple(Note(place * SIXTEENTH, _pitch(name), SIXTEENTH) for place, name in enumerate(BARS.split())),
    (4, 4),
    72.0,
    (STEPS["G"], "major"),
)
