"""Scores: a piece written in MEI, the Music Encoding Initiative's XML, and engraved as SVG by verovio.

    pip install verovio

Bars, ties, triplets, beams, chords and up to four voices; the key signature is the one that Krumhansl's algorithm
finds, and pitches are spelled as near to it on the line of fifths as they lie.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from seqlight.core.errors import UserError
from seqlight.music.keys import find_key, sharps
from seqlight.music.measures import Sign, bar_unit, beat_ticks, measures, voices_of
from seqlight.music.notes import Piece

GIVEN = "#7f7f7f"  # colour of the notes that the music began with
STEPS = "fcgdaeb"  # the line of fifths; every seven fifths further a sharp more
NATURAL = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ACCIDENTALS = {-2: "ff", -1: "f", 0: "n", 1: "s", 2: "x"}
CLEFS = {"treble": 'clef.shape="G" clef.line="2"', "bass": 'clef.shape="F" clef.line="4"'}
END = ' right="end"'  # of the last bar
MIDDLE = 60  # voices below it on average stand in the bass clef
OPTIONS = {
    "pageWidth": 2400,
    "pageHeight": 60_000,  # one page; verovio cuts off what stays empty
    "adjustPageHeight": True,
    "scale": 40,
    "header": "none",
    "footer": "none",
    "svgViewBox": True,
}


def svg(piece: Piece, given: int = 0) -> str:
    """A piece's score as SVG.

    Args:
        piece: The music; its first 400 bars are written.
        given: How many of its notes, the first ones, the music began with; they are grey.

    Raises:
        ValueError: verovio is not installed, or cannot engrave the piece.
    """
    try:
        import verovio
    except ImportError:
        raise UserError("score needs the package verovio: pip install verovio") from None
    verovio.enableLog(verovio.LOG_OFF)  # it writes to the terminal by itself
    toolkit = verovio.toolkit()
    toolkit.setOptions(OPTIONS)
    if not toolkit.loadData(mei(piece, given)):
        raise UserError(f"score of {piece.name} could not be engraved")
    return str(toolkit.renderToSVG(1))


def mei(piece: Piece, given: int = 0) -> str:
    """A piece's score as MEI, a document of one part."""
    sounding = np.zeros(12)
    for _, pitch, duration in piece.notes:
        sounding[pitch % 12] += duration
    tonic, mode = find_key(sounding)
    fifths = sharps(tonic, mode)
    voices = voices_of(piece.notes, given)
    middles = [sum(chord.pitches[-1] for chord in voice) / len(voice) for voice in voices] or [float(MIDDLE)]
    both = min(middles) < MIDDLE <= max(middles) and len(voices) > 2
    staves = ["treble", "bass"] if both else ["bass" if max(middles) < MIDDLE else "treble"]
    parts: list[list[list[list[Sign]]]] = [[] for _ in staves]  # staff -> voice -> bar -> signs
    for voice, middle in zip(voices, middles, strict=True) if voices else ():
        parts[int(both and middle < MIDDLE)].append(measures(piece, voice))
    key = f"{abs(fifths)}{'s' if fifths > 0 else 'f'}" if fifths else "0"
    beats, value = piece.time_signature
    definitions = "".join(
        f'<staffDef n="{number}" lines="5" {CLEFS[staff]}/>' for number, staff in enumerate(staves, 1)
    )
    speller = Speller(fifths, mode)
    count = max((len(voice) for staff in parts for voice in staff), default=0)
    bars = "".join(
        f'<measure n="{number}"{END if number == count else ""}>'
        f"{''.join(staves_of(parts, number - 1, piece, speller))}</measure>"
        for number in range(1, count + 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><mei xmlns="http://www.music-encoding.org/ns/mei" meiversion="5.0">'
        f"<meiHead><fileDesc><titleStmt><title>{escape(piece.name)}</title></titleStmt><pubStmt/></fileDesc></meiHead>"
        f'<music><body><mdiv label={quoteattr(piece.name)}><score><scoreDef keysig="{key}" meter.count="{beats}" '
        f'meter.unit="{value}"><staffGrp bar.thru="true" symbol="{"brace" if both else "none"}">{definitions}'
        f"</staffGrp></scoreDef><section>{bars}</section></score></mdiv></body></music></mei>"
    )


class Speller:
    """Names of pitches in a key, and which accidentals have to be written.

    Args:
        fifths: Sharps of the signature; flats below 0.
        mode: "major" or "minor"; minor keys raise their seventh.
    """

    def __init__(self, fifths: int, mode: str) -> None:
        # Twelve neighbours on the line of fifths (C = 0): E flat to G sharp in C major, B flat to D sharp in a minor.
        lowest = fifths - (3 if mode == "major" else 2)
        self.names: dict[int, tuple[str, int]] = {}
        for place in range(lowest, lowest + 12):
            sharps, step = divmod(place + 1, 7)
            self.names[7 * place % 12] = (STEPS[step], sharps)
        self.signature = dict.fromkeys(STEPS, 0)
        for at in range(abs(fifths)):
            self.signature[STEPS[at] if fifths > 0 else STEPS[6 - at]] += 1 if fifths > 0 else -1
        self.valid: dict[tuple[str, int], int] = {}

    def new_bar(self) -> None:
        """Accidentals hold for a bar."""
        self.valid = {}

    def spell(self, pitch: int, tied: bool) -> str:
        """Attributes of MEI for a pitch; a note that is tied from the one before shows no accidental."""
        step, sharps = self.names[pitch % 12]
        octave = (pitch - sharps - NATURAL[step]) // 12 - 1
        text = f'pname="{step}" oct="{octave}"'
        if tied or self.valid.get((step, octave), self.signature[step]) == sharps:
            return f'{text} accid.ges="{ACCIDENTALS[sharps]}"'
        self.valid[step, octave] = sharps
        return f'{text} accid="{ACCIDENTALS[sharps]}"'


def staves_of(
    parts: Sequence[Sequence[Sequence[Sequence[Sign]]]], at: int, piece: Piece, speller: Speller
) -> Iterator[str]:
    """One bar of all staves."""
    for number, voices in enumerate(parts, 1):
        speller.new_bar()
        layers = "".join(
            f'<layer n="{layer}">{layer_of(voice, at, piece, speller)}</layer>' for layer, voice in enumerate(voices, 1)
        )
        yield f'<staff n="{number}">{layers}</staff>'


def layer_of(voice: Sequence[Sequence[Sign]], at: int, piece: Piece, speller: Speller) -> str:
    """One bar of one voice."""
    signs = voice[at]
    if not any(sign.pitches for sign in signs):
        return "<mRest/>"
    before = voice[at - 1][-1] if at and voice[at - 1] else None
    unit, beat = bar_unit(piece), beat_ticks(piece)
    begin = signs[0].start
    written = []
    for sign in signs:
        written.append((sign, note_of(sign, before is not None and before.tied, speller)))
        before = sign
    text = ""
    # A triplet is the beat that it fills; beams stay within a beat, and within a triplet.
    for (triplet, _), group in groupby(
        written, key=lambda item: (item[0].triplet, item[0].start // unit if item[0].triplet else -1)
    ):
        content = beamed(list(group), begin, beat)
        text += f'<tuplet num="3" numbase="2">{content}</tuplet>' if triplet else content
    return text


def beamed(written: Sequence[tuple[Sign, str]], begin: int, beat: int) -> str:
    """Signs with those under one beam put together."""
    text = ""
    for (can, _), group in groupby(
        written, key=lambda item: (item[0].value >= 8 and bool(item[0].pitches), (item[0].start - begin) // beat)
    ):
        notes = [note for _, note in group]
        text += f"<beam>{''.join(notes)}</beam>" if can and len(notes) > 1 else "".join(notes)
    return text


def note_of(sign: Sign, tied: bool, speller: Speller) -> str:
    """One sign; ``tied`` if the one before it goes on in it."""
    value = f'dur="{sign.value}"' + (f' dots="{sign.dots}"' if sign.dots else "")
    if not sign.pitches:
        return f"<rest {value}/>"
    tie = {(False, True): ' tie="i"', (True, True): ' tie="m"', (True, False): ' tie="t"'}.get((tied, sign.tied), "")
    colour = f' color="{GIVEN}"' if sign.given else ""
    notes = [f"{speller.spell(pitch, tied)}{tie}{colour}" for pitch in sign.pitches]
    if len(notes) == 1:
        return f"<note {value} {notes[0]}/>"
    return f"<chord {value}{colour}>{''.join(f'<note {note}/>' for note in notes)}</chord>"
