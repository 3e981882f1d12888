"""Bach's four-part chorales from the corpus of the package music21; none of it is copied into the project.

The scores' parts are read, not their MIDI form, in which repeats are played out. That takes a minute or two and is done
once: the notes stay in the cache as JSON.
"""

import json
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from datamodules.loading.cache import once
from seqlight.core.errors import UserError
from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece

VOICES = 4
READING = 1  # version of the reader, part of the cache's name


def chorales(cache: Path, voices: Literal["top", "all"] = "all") -> list[Piece]:
    """The chorales, in the order of their BWV numbers' names.

    Only scores of exactly four parts are read, about 350. Of settings that differ only in the key, the first is taken.
    Different settings of one tune are all taken; kinship.py finds them, so that a split does not separate them.

    Args:
        cache: Folder in which the chorales are cached.
        voices: ``top``: the soprano's part by itself. ``all``: the four parts' notes together; two voices on the same
            pitch are two notes.

    Raises:
        UserError: music21 is not installed, or the cache cannot be written to.
    """

    return [
        Piece(score["name"], _merged(score["parts"][: 1 if voices == "top" else VOICES]), tuple(score["metre"]))
        for score in corpus_scores(cache)
    ]


def corpus_scores(cache: Path) -> list[dict[str, Any]]:
    """What the corpus says of each chorale: ``name``, ``metre`` and ``parts``, from the soprano to the bass.

    A part is a list of notes, [start, pitch, duration] in ticks. Arguments and errors are those of :func:`chorales`.
    """

    def write(path: Path) -> None:
        path.write_text(_read_corpus())

    return json.loads(once(cache / "music" / f"chorales-{_version()}-{READING}.json", write).read_text())


def _version() -> str:
    try:
        return version("music21")
    except PackageNotFoundError as error:
        raise UserError(
            "source chorales needs music21 and its corpus; install it with `pip install 'seqlight[music]'`"
        ) from error


def _merged(parts: list[list[list[int]]]) -> tuple[Note, ...]:
    return tuple(sorted(Note(*note) for part in parts for note in part))


def _read_corpus() -> str:
    """All scores as JSON, with a bar in the terminal."""
    from music21 import corpus
    from tqdm import tqdm

    files = [path for path in corpus.getComposer("bach") if path.suffix in (".mxl", ".xml")]  # others repeat these
    scores: dict[str, dict[str, Any]] = {}
    for path in tqdm(files, desc="reading music21's chorales, once", unit="score", delay=1, disable=None, leave=False):
        score = _read_score(path)
        if score is not None:
            scores.setdefault(_without_key(score["parts"]), score)
    return json.dumps(list(scores.values()))


def _read_score(path: Path) -> dict[str, Any] | None:
    """Name, metre and parts of a score, each part a list of [start, pitch, duration]; None if it has not four."""
    from music21 import converter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on how a score is engraved
        # From its source: music21's own pickles are not read.
        score: Any = converter.parse(path, forceSource=True, storePickle=False)
    parts = [list(_read_part(part)) for part in score.parts]
    if len(parts) != VOICES or not all(parts):
        return None
    metres = [
        (found.numerator, found.denominator) for found in score.parts[0].flatten().getElementsByClass("TimeSignature")
    ]
    return {"name": path.stem, "metre": metres[0] if metres else (4, 4), "parts": parts}


def _read_part(part: Any) -> Iterator[tuple[int, int, int]]:
    """The notes of a part, tied ones as one; grace notes, which take no time, are left out."""
    for element in part.stripTies().flatten().notes:
        start = round(element.offset * TICKS_PER_QUARTER)
        duration = round((element.offset + element.quarterLength) * TICKS_PER_QUARTER) - start
        if duration > 0 and hasattr(element, "pitches"):
            yield from ((start, pitch.midi, duration) for pitch in sorted(element.pitches))


def _without_key(parts: list[list[tuple[int, int, int]]]) -> str:
    """A key that is equal for two settings that differ only in their key."""
    base = parts[0][0][1]
    return json.dumps([[(start, pitch - base, duration) for start, pitch, duration in part] for part in parts])
