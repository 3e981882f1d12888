"""Piano rolls: every note is drawn at its position and in its colour."""

from typing import Any

import pytest
from helpers.music_pieces import piece_from, piece_of
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from seqlight.music.notes import Piece
from seqlight.music.piano_roll import GENERATED_COLOUR, PROMPT_COLOUR, draw_piano_roll, num_lines


def drawn(piece: Piece, prompt_notes: int = 0) -> list[list[tuple[float, float, float, Any]]]:
    """Boxes of each line: begin, width, middle of the height, colour."""
    axes = Figure().subplots(num_lines(piece), 1, squeeze=False).ravel()
    draw_piano_roll(axes, piece, prompt_notes)
    found: list[list[tuple[float, float, float, Any]]] = []
    for axis in axes:
        boxes = []
        for collection in axis.collections:
            for path in collection.get_paths():
                box = path.get_extents()
                colour = tuple(collection.get_facecolor()[0])
                boxes.append((box.x0, box.width, (box.y0 + box.y1) / 2, colour))
        found.append(sorted(boxes))
    return found


def test_each_note_has_its_position_and_colour() -> None:
    piece = piece_of([(60, 24), (64, 48), (67, 24)])
    (line,) = drawn(piece, prompt_notes=1)
    assert [(begin, round(middle)) for begin, _, middle, _ in line] == [(0, 60), (24, 64), (72, 67)]
    assert [width for _, width, _, _ in line] == pytest.approx([24, 48, 24], abs=0.7)
    assert [colour for *_, colour in line] == [
        to_rgba(PROMPT_COLOUR),
        to_rgba(GENERATED_COLOUR),
        to_rgba(GENERATED_COLOUR),
    ]
    assert PROMPT_COLOUR != GENERATED_COLOUR


def test_lines_of_eight_bars_and_notes_across_them() -> None:
    piece = piece_from("long", ((0, 60, 24), (8 * 96 - 24, 62, 48), (9 * 96, 64, 24)))
    first, second = drawn(piece)
    assert [(begin, round(middle)) for begin, _, middle, _ in first] == [(0, 60), (8 * 96 - 24, 62)]
    assert [(begin, round(middle)) for begin, _, middle, _ in second] == [(8 * 96, 62), (9 * 96, 64)]
    assert num_lines(piece_from("far", ((10**7, 60, 24),))) == 12
    assert num_lines(piece_from("waltz", ((8 * 72, 60, 24),), (3, 4))) == 2
    assert drawn(piece_from("empty", ())) == [[]]


def test_octaves_and_bars_are_labelled() -> None:
    piece = piece_from("waltz", ((0, 47, 24), (72, 61, 24)), (3, 4))
    (axis,) = Figure().subplots(1, 1, squeeze=False).ravel()
    draw_piano_roll([axis], piece)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["C3", "C4"]
    assert [(tick, label.get_text()) for tick, label in zip(axis.get_xticks(), axis.get_xticklabels(), strict=True)][
        :3
    ] == [(0, "1"), (72, "2"), (144, "3")]
