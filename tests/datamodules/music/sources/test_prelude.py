"""The prelude's opening as one would sing it."""

from datamodules.music.sources.prelude import PRELUDE
from seqlight.music.notes import bar_number


def test_four_bars_of_sixteenths_in_g_major() -> None:
    assert len(PRELUDE.notes) == 64
    assert [note.start for note in PRELUDE.notes] == [6 * place for place in range(64)]
    assert {note.duration for note in PRELUDE.notes} == {6}
    assert bar_number(PRELUDE, PRELUDE.end - 1) == 4
    assert [note.pitch for note in PRELUDE.notes[:8]] == [43, 50, 59, 57, 59, 50, 59, 50]
    assert {note.pitch % 12 for note in PRELUDE.notes} <= {(7 + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    basses = {note.pitch for note in PRELUDE.notes[::8]}
    assert basses == {43}  # the open G string under all four bars
