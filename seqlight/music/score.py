"""Scores: a piece is encoded in MEI, the XML format of the Music Encoding Initiative, and engraved as SVG by verovio.

    pip install verovio

A score has bars, ties, triplets, beams, chords and up to four voices. Its key signature is that of the key which
Krumhansl's algorithm finds. Each pitch is spelled by its nearest name to that key on the line of fifths.
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from seqlight.core.errors import UserError
from seqlight.music.keys import find_key, sharps
from seqlight.music.measures import Symbol, beat_ticks, measures, split_voices, triplet_unit
from seqlight.music.notes import Piece

PROMPT_COLOUR = "#7f7f7f"  # grey
STEPS = "fcgdaeb"  # the line of fifths; a name seven fifths further has one more sharp
NATURAL = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ACCIDENTALS = {-2: "ff", -1: "f", 0: "n", 1: "s", 2: "x"}
CLEFS = {"treble": 'clef.shape="G" clef.line="2"', "bass": 'clef.shape="F" clef.line="4"'}
END = ' right="end"'  # the bar line of the last bar
MIDDLE = 60  # voices whose mean pitch is lower are written in the bass clef
OPTIONS = {
    "pageWidth": 2400,
    "pageHeight": 60_000,  # one page, whose empty part adjustPageHeight removes
    "adjustPageHeight": True,
    "scale": 40,
    "header": "none",
    "footer": "none",
    "svgViewBox": True,
}


def svg(piece: Piece, prompt_notes: int = 0) -> str:
    """The score of a piece as SVG.

    Args:
        piece: The music. Its first 400 bars are written.
        prompt_notes: Number of notes of the prompt, which come first. They are grey.

    Raises:
        ValueError: verovio is not installed, or cannot engrave the piece.
    """
    try:
        import verovio
    except ImportError:
        raise UserError("score needs the package verovio: pip install verovio") from None
    verovio.enableLog(verovio.LOG_OFF)  # verovio would write to the terminal
    verovio.setDefaultResourcePath(str(files("verovio") / "data"))  # known to the thread that has imported it alone
    toolkit = verovio.toolkit()
    toolkit.setOptions(OPTIONS)
    if not toolkit.loadData(mei(piece, prompt_notes)):
        raise UserError(f"score of {piece.name} could not be engraved")
    return str(toolkit.renderToSVG(1))


def mei(piece: Piece, prompt_notes: int = 0) -> str:
    """The score of a piece as an MEI document with one part, in its first metre. Arguments as for :func:`svg`."""
    sounding = np.zeros(12)
    for _, pitch, duration, _ in piece.notes:
        sounding[pitch % 12] += duration
    tonic, mode = find_key(sounding)
    fifths = sharps(tonic, mode)
    voices = split_voices(piece.notes, prompt_notes)
    middles = [sum(chord.pitches[-1] for chord in voice) / len(voice) for voice in voices] or [float(MIDDLE)]
    both = min(middles) < MIDDLE <= max(middles) and len(voices) > 2
    staves = ["treble", "bass"] if both else ["bass" if max(middles) < MIDDLE else "treble"]
    parts: list[list[list[list[Symbol]]]] = [[] for _ in staves]  # staff -> voice -> bar -> symbols
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
        f"{''.join(staff_elements(parts, number - 1, piece, speller))}</measure>"
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
    """Spells pitches in a key and decides which accidentals are written.

    Args:
        fifths: Number of sharps in the key signature; flats are negative.
        mode: "major" or "minor". In minor, the raised seventh degree has a name of its own (G sharp in A minor).
    """

    def __init__(self, fifths: int, mode: str) -> None:
        # Twelve neighbours on the line of fifths (C = 0): E flat to G sharp in C major, B flat to D sharp in A minor.
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
        """Forgets the accidentals of the last bar."""
        self.valid = {}

    def spell(self, pitch: int, tied: bool) -> str:
        """The MEI attributes of a pitch. A note that is tied to the previous one shows no accidental."""
        step, sharps = self.names[pitch % 12]
        octave = (pitch - sharps - NATURAL[step]) // 12 - 1
        text = f'pname="{step}" oct="{octave}"'
        if tied or self.valid.get((step, octave), self.signature[step]) == sharps:
            return f'{text} accid.ges="{ACCIDENTALS[sharps]}"'
        self.valid[step, octave] = sharps
        return f'{text} accid="{ACCIDENTALS[sharps]}"'


def staff_elements(
    parts: Sequence[Sequence[Sequence[Sequence[Symbol]]]], at: int, piece: Piece, speller: Speller
) -> Iterator[str]:
    """The MEI elements of one bar, one per staff; ``at`` is the index of the bar."""
    for number, voices in enumerate(parts, 1):
        speller.new_bar()
        layers = "".join(
            f'<layer n="{layer}">{layer_content(voice, at, piece, speller)}</layer>'
            for layer, voice in enumerate(voices, 1)
        )
        yield f'<staff n="{number}">{layers}</staff>'


def layer_content(voice: Sequence[Sequence[Symbol]], at: int, piece: Piece, speller: Speller) -> str:
    """The MEI elements of one bar of one voice."""
    symbols = voice[at]
    if not any(symbol.pitches for symbol in symbols):
        return "<mRest/>"
    before = voice[at - 1][-1] if at and voice[at - 1] else None
    unit, beat = triplet_unit(piece), beat_ticks(piece)
    bar_start = symbols[0].start
    elements = []
    for symbol in symbols:
        elements.append((symbol, symbol_element(symbol, before is not None and before.tied, speller)))
        before = symbol
    text = ""
    # The triplet symbols of one beat form one triplet. A beam stays within a beat and within a triplet.
    for (triplet, _), group in groupby(
        elements, key=lambda item: (item[0].triplet, item[0].start // unit if item[0].triplet else -1)
    ):
        content = beamed(list(group), bar_start, beat)
        text += f'<tuplet num="3" numbase="2">{content}</tuplet>' if triplet else content
    return text


def beamed(elements: Sequence[tuple[Symbol, str]], bar_start: int, beat: int) -> str:
    """The elements of symbols, with a beam around neighbouring eighths and shorter notes of one beat."""
    text = ""
    for (has_flag, _), group in groupby(
        elements, key=lambda item: (item[0].value >= 8 and bool(item[0].pitches), (item[0].start - bar_start) // beat)
    ):
        notes = [note for _, note in group]
        text += f"<beam>{''.join(notes)}</beam>" if has_flag and len(notes) > 1 else "".join(notes)
    return text


def symbol_element(symbol: Symbol, tied: bool, speller: Speller) -> str:
    """The MEI element of a symbol; ``tied`` if the previous symbol is tied to it."""
    value = f'dur="{symbol.value}"' + (f' dots="{symbol.dots}"' if symbol.dots else "")
    if not symbol.pitches:
        return f"<rest {value}/>"
    tie = {(False, True): ' tie="i"', (True, True): ' tie="m"', (True, False): ' tie="t"'}.get((tied, symbol.tied), "")
    colour = f' color="{PROMPT_COLOUR}"' if symbol.prompt else ""
    notes = [f"{speller.spell(pitch, tied)}{tie}{colour}" for pitch in symbol.pitches]
    if len(notes) == 1:
        return f"<note {value} {notes[0]}/>"
    return f"<chord {value}{colour}>{''.join(f'<note {note}/>' for note in notes)}</chord>"
