"""Scores: every bar is full, and an independent reader finds the notes, names and ties."""

import random
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from helpers.music_pieces import melody, piece_from, piece_of, tune

from seqlight.music import score
from seqlight.music.measures import measures, split_voices
from seqlight.music.notes import bar_ticks

MEI = "{http://www.music-encoding.org/ns/mei}"
METRES = [(4, 4), (3, 4), (2, 2), (3, 8), (6, 8), (12, 8), (5, 16)]
SOUNDS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
SHIFTS = {"ff": -2, "f": -1, "n": 0, "s": 1, "x": 2}


def read(document: str, staves: int = 1) -> tuple[list[tuple[int, int, int]], list[int]]:
    """An independent reader of what was written: notes in ticks, ties put together, and the length of each bar."""
    notes, lengths, open_ties, begin = [], [], {}, 0
    for bar in ET.fromstring(document).iter(f"{MEI}measure"):
        ends = set()
        for place, layer in enumerate(bar.iter(f"{MEI}layer")):
            now = begin

            def walk(element: ET.Element, scale: float, place: int) -> None:
                nonlocal now
                tag = element.tag.removeprefix(MEI)
                if tag in ("layer", "beam", "tuplet"):
                    for child in element:
                        walk(child, scale * 2 / 3 if tag == "tuplet" else scale, place)
                    return
                if tag == "mRest":
                    now = None
                    return
                ticks = 96 / int(element.get("dur")) * (1.5 if element.get("dots") == "1" else 1) * scale
                assert ticks == int(ticks)
                for note in element.iter(f"{MEI}note"):
                    accid = note.get("accid") or note.get("accid.ges")
                    pitch = 12 * (int(note.get("oct")) + 1) + SOUNDS[note.get("pname")] + SHIFTS[accid]
                    tie, key = note.get("tie", ""), (place, pitch)
                    if tie in ("m", "t"):
                        start, length = open_ties.pop(key)
                        assert start + length == now
                    else:
                        start, length = now, 0
                    if tie in ("i", "m"):
                        open_ties[key] = (start, length + int(ticks))
                    else:
                        notes.append((start, pitch, length + int(ticks)))
                now += int(ticks)

            walk(layer, 1.0, place)
            if now is not None:
                ends.add(now)
        assert len(ends) <= 1, "voices of a bar differ in length"
        lengths.append(ends.pop() - begin if ends else lengths[-1])
        begin += lengths[-1]
    assert not open_ties
    return sorted(notes), lengths


@pytest.mark.parametrize("metre", METRES)
@pytest.mark.parametrize("seed", range(3))
def test_round_trip_of_notes_on_the_grid(metre: tuple[int, int], seed: int) -> None:
    piece = melody(80, random.Random(seed), durations=(3, 6, 9, 12, 18, 24, 36, 60, 96))
    piece = piece_from(
        piece.name, piece.notes[:30] + tuple(note._replace(start=note.start + 30) for note in piece.notes[30:]), metre
    )
    notes, lengths = read(score.mei(piece))
    assert notes == [note[:3] for note in piece.notes]
    assert set(lengths) == {bar_ticks(piece)}


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (3, 8)])
def test_triplets(metre: tuple[int, int]) -> None:
    # Eighths and sixteenths in triplets, a rest among them, and straight notes before and after.
    ticks = (24, 12, 12, 8, 8, 8, 4, 4, 4, 12, 16, 8, 24)
    notes = list(piece_of([(50 + number, duration) for number, duration in enumerate(ticks)]).notes)
    if metre == (3, 8):  # a triplet stands in an eighth here
        notes = list(piece_of([(50, 12), (52, 4), (53, 4), (55, 4), (57, 12), (50, 24), (52, 8), (53, 4)]).notes)
    del notes[3]
    piece = piece_from("triplets", tuple(notes), metre)
    document = score.mei(piece)
    assert "<tuplet" in document
    back, lengths = read(document)
    assert back == [note[:3] for note in notes]
    assert set(lengths) == {bar_ticks(piece)}


def test_times_off_the_grid_are_quantised() -> None:
    generator = random.Random(0)
    piece = melody(60, generator, durations=(5, 7, 11, 13, 17, 29))
    notes, lengths = read(score.mei(piece))
    assert set(lengths) == {96}
    assert [pitch for _, pitch, _ in notes] == [note.pitch for note in piece.notes]
    for (start, _, _), (own, *_) in zip(notes, piece.notes, strict=True):
        assert abs(start - own) <= 1


def test_chords_and_voices() -> None:
    upper = [(24 * at, pitch, 24) for at in range(8) for pitch in (72 - at % 3, 67, 64 - at % 2)]
    chorale = piece_from("chorale", tuple(sorted([*upper, (0, 48, 96), (96, 43, 96)])))
    document = score.mei(chorale)
    assert read(document)[0] == [note[:3] for note in chorale.notes]
    voices = split_voices(chorale.notes)
    assert [chord.pitches for chord in voices[-1]] == [(48,), (43,)]
    assert all(a.end <= b.start for voice in voices for a, b in pairwise(voice))
    parts = [(0, 76, 24), (0, 67, 48), (0, 55, 96), (0, 43, 96), (24, 74, 72), (48, 65, 48)]
    four = piece_from("four", tuple(sorted(parts)))
    document = score.mei(four)
    assert 'clef.shape="G"' in document
    assert 'clef.shape="F"' in document
    assert read(document)[0] == sorted(parts)


@pytest.mark.parametrize(
    ("tonic", "signature"),
    [(0, "0"), (7, "1s"), (2, "2s"), (5, "1f"), (10, "2f"), (6, "6s"), (11, "5s"), (1, "5f"), (3, "3f"), (4, "4s")],
)
def test_major_keys_need_no_accidentals(tonic: int, signature: str) -> None:
    scale = [48 + tonic + step for step in (0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0)]
    document = score.mei(piece_of([(pitch, 12) for pitch in scale]))
    assert f'keysig="{signature}"' in document
    assert " accid=" not in document
    assert read(document)[0] == [note[:3] for note in piece_of([(pitch, 12) for pitch in scale]).notes]


def test_accidentals_hold_for_a_bar() -> None:
    speller = score.Speller(0, "minor")
    assert 'pname="g" oct="3" accid="s"' in speller.spell(56, False)  # a minor's leading note is G sharp
    assert "accid.ges" in speller.spell(56, False)
    assert 'accid="n"' in speller.spell(55, False)
    assert 'oct="4" accid="s"' in speller.spell(68, False)  # another octave, another accidental
    speller.new_bar()
    assert 'accid="s"' in speller.spell(56, False)
    assert "accid.ges" in speller.spell(58, True)  # tied from the bar before
    assert score.Speller(1, "major").spell(54, False) == 'pname="f" oct="3" accid.ges="s"'
    assert score.Speller(6, "major").spell(59, False) == 'pname="b" oct="3" accid.ges="n"'
    assert 'pname="b" oct="3"' in score.Speller(7, "major").spell(60, False)  # B sharp lies an octave lower by name


def test_prompt_notes_are_grey_and_the_name_is_escaped() -> None:
    piece = piece_from("<b>&'\"", tune(20, 0).notes)
    document = score.mei(piece, prompt_notes=7)
    assert sum(note.get("color") == score.PROMPT_COLOUR for note in ET.fromstring(document).iter(f"{MEI}note")) >= 7
    first = [
        note.get("color") for note in ET.fromstring(document).iter(f"{MEI}note") if note.get("tie") not in ("m", "t")
    ]
    assert first == [score.PROMPT_COLOUR] * 7 + [None] * 13
    assert next(ET.fromstring(document).iter(f"{MEI}title")).text == piece.name


def test_long_and_empty_pieces() -> None:
    far = piece_from("far", ((0, 60, 24), (10**6, 62, 24)))
    bars = measures(far, split_voices(far.notes)[0])
    assert len(bars) == 400
    assert [symbol.pitches for bar in bars for symbol in bar if symbol.pitches] == [(60,)]
    assert "<measure" not in score.mei(piece_from("empty", ()))


def test_verovio_engraves_a_score() -> None:
    pytest.importorskip("verovio")
    picture = score.svg(tune(40, 0), prompt_notes=10)
    root = ET.fromstring(picture)
    assert root.tag.endswith("svg")
    assert picture.count('class="note"') >= 40
    assert picture.count('class="measure') == len(measures(tune(40, 0), split_voices(tune(40, 0).notes)[0]))


def test_a_score_is_engraved_by_any_thread() -> None:
    pytest.importorskip("verovio")
    piece = piece_from("one", ((0, 60, 24), (24, 62, 24)))
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(score.svg, piece).result()
    assert found.count("<svg") == score.svg(piece).count("<svg")
