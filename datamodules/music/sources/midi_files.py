"""Reads and writes MIDI files through symusic, and reads folders in which some files may be damaged.

Read are the notes of all instruments but drums, all time signatures, the first key signature and the first tempo; on
request the notes' velocities and all tempos. Times are rounded to a grid of 24 ticks a quarter; a piece says how many
of its notes were moved by this. A note that ends on the tick on which it begins is silent, and left out.
"""

from collections import Counter
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from datamodules.music.sources.midi_chunks import plain_midi
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.found_files import files_below, printable
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import check_range
from seqlight.music.keys import MODES, Key, key_of_signature, sharps
from seqlight.music.notes import TICKS_PER_QUARTER, VELOCITY, Metre, Note, Piece

ENDINGS = (".mid", ".midi")
LARGEST = 8 * 2**20  # bytes of a file; all of Bach fits in one
MOST_NOTES = 200_000  # of one piece
MOST_QUARTERS = 100_000  # of one piece: 14 hours at 120 a minute
WRITTEN_TICKS = 480  # a quarter in written files: the usual number, and a multiple of 24
CELLO = 42  # General MIDI's program, counted from 0
MOST_METRES, MOST_TEMPOS = 1000, 20_000  # changes in one piece
T = TypeVar("T")
PARTS = 16  # most tracks for overlapping notes of one pitch


def read_midi(path: str | Path, name: str | None = None, velocity: bool = False, tempos: bool = False) -> Piece:
    """The piece in a MIDI file.

    Args:
        path: The file.
        name: The piece's name. Default: the file's name without its ending.
        velocity: Whether notes have the file's velocities; else all have 80.
        tempos: Whether changes of tempo are kept; else the first tempo holds throughout.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is empty, too large, no MIDI file, cut short, damaged, timed in seconds (SMPTE), or has no notes;
            the message says which.
    """
    file = expanded(path)
    if not file.is_file():
        raise FileNotFoundError(f"path {path}: no such file; give a MIDI file")
    if file.stat().st_size > LARGEST:
        raise UserError(f"path {path}: {file.stat().st_size:,} bytes are more than the {LARGEST:,} that are read")
    try:
        return _parse(file.read_bytes(), printable(file.stem) if name is None else name, velocity, tempos)
    except ValueError as error:
        raise UserError(f"path {path}: {error}") from error


def _parse(content: bytes, name: str, velocity: bool, tempos: bool) -> Piece:
    """The piece in a file's bytes; a UserError says in a few words why they cannot be read."""
    content = plain_midi(content)
    division = int.from_bytes(content[12:14], "big")
    if division & 0x8000:
        raise UserError("timed in seconds (SMPTE), not in beats, so it has no note values")
    if division == 0:
        raise UserError("its header says 0 ticks a quarter")
    try:
        score = symusic().Score.from_midi(content)
    except (RuntimeError, ValueError) as error:  # symusic's messages name its own internals
        raise UserError(f"damaged ({reason_of(error, most=80)})") from error
    tracks = [[note for note in track.notes if note.end > note.start] for track in score.tracks if not track.is_drum]
    count = sum(map(len, tracks))
    if count == 0:
        drums = any(len(track.notes) for track in score.tracks if track.is_drum)
        raise UserError("has only drums" if drums else "has no notes")
    if count > MOST_NOTES:
        raise UserError(f"{count:,} notes are more than the {MOST_NOTES:,} that are read")
    notes, moved = [], 0
    for track in tracks:
        for note in track:
            if not 0 <= note.start < note.end <= MOST_QUARTERS * division:
                raise UserError(f"has a note outside the {MOST_QUARTERS:,} quarters that are read")
            start, end = (_on_grid(time, division) for time in (note.start, note.end))
            moved += any(time * TICKS_PER_QUARTER % division != 0 for time in (note.start, note.end))
            loudness = min(max(note.velocity, 1), 127) if velocity else VELOCITY
            notes.append(Note(start, note.pitch, max(end - start, 1), loudness))
    metre, *metres = _metres(score, division)
    tempo, *changes = _tempos(score, division)
    kept = tuple(changes) if tempos else ()
    return Piece(name, tuple(sorted(notes)), metre[1], tempo[1], _key(score), moved, tuple(metres), kept)


def _on_grid(time: int, division: int) -> int:
    """A time in ``division`` ticks a quarter, rounded to the grid; halves are rounded up."""
    return (2 * time * TICKS_PER_QUARTER + division) // (2 * division)


def _metres(score: Any, division: int) -> list[tuple[int, Metre]]:
    """The time signatures, each with the tick at which it begins; the first holds from the beginning."""
    found = [
        (_on_grid(one.time, division), (one.numerator, one.denominator))
        for one in score.time_signatures
        if 1 <= one.numerator <= 64 and one.denominator in (1, 2, 4, 8, 16, 32)
    ]
    return _changes(found, (4, 4), MOST_METRES, "time signatures")


def _tempos(score: Any, division: int) -> list[tuple[int, float]]:
    """The tempos in quarters a minute, likewise; rounded, since a file has whole microseconds a quarter."""
    found = [(_on_grid(one.time, division), round(one.qpm, 2)) for one in score.tempos if 1 <= one.qpm <= 1000]
    return _changes(found, 120.0, MOST_TEMPOS, "tempos")  # the standard's default


def _changes(found: list[tuple[int, T]], default: T, most: int, what: str) -> list[tuple[int, T]]:
    """What a file states from tick to tick, without repetitions; of several at one tick the last, of the first one it.

    Raises:
        UserError: There are too many.
    """
    if len(found) > most:
        raise UserError(f"{len(found):,} {what} are more than the {most:,} that are read")
    first, *others = found or [(0, default)]
    at_tick = {tick: value for tick, value in sorted(others, key=itemgetter(0)) if tick > max(first[0], 0)}
    kept = [(0, first[1])]
    for tick, value in at_tick.items():
        if value != kept[-1][1]:
            kept.append((tick, value))
    return kept


def _key(score: object) -> Key | None:
    """The first key signature; None without one. A C major that a program wrote by default cannot be told apart."""
    for signature in score.key_signatures:  # type: ignore[attr-defined]
        if -7 <= signature.key <= 7 and signature.tonality in (0, 1):
            return key_of_signature(signature.key, MODES[signature.tonality])
    return None


def write_midi(path: str | Path, piece: Piece, program: int = CELLO) -> None:
    """Writes a piece as a MIDI file that :func:`read_midi`, with velocities and tempos, reads back equal.

    Args:
        path: The file; its folders are made.
        piece: The piece. Overlapping notes of one pitch go to separate tracks, at most sixteen.
        program: General MIDI's instrument, counted from 0; 42 is the cello.

    Raises:
        UserError: There is no such program.
    """
    check_range("program", program, least=0, most=127)
    library, scale = symusic(), WRITTEN_TICKS // TICKS_PER_QUARTER
    score = library.Score(WRITTEN_TICKS)
    for tick, tempo in ((0, piece.quarters_per_minute), *piece.tempos):
        score.tempos.append(library.Tempo(tick * scale, qpm=tempo))
    for tick, metre in ((0, piece.time_signature), *piece.metres):
        score.time_signatures.append(library.TimeSignature(tick * scale, *metre))
    if piece.key is not None:
        score.key_signatures.append(library.KeySignature(0, sharps(*piece.key), MODES.index(piece.key[1])))
    free: list[dict[int, int]] = []  # of each track, when each pitch has ended
    for start, pitch, duration, velocity in piece.notes:
        part = next((n for n, ends in enumerate(free) if ends.get(pitch, 0) <= start), len(free))
        if part == PARTS:
            continue  # the same note more than sixteen times at once cannot be heard
        if part == len(free):
            free.append({})
            score.tracks.append(library.Track(program=program, is_drum=False, name=piece.name[:60]))
        free[part][pitch] = start + duration
        score.tracks[part].notes.append(library.Note(start * scale, duration * scale, pitch, velocity))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(score.dumps_midi())


def find_midi_files(path: str | Path, argument: str = "path") -> list[Path]:
    """The file itself, or the .mid and .midi files of a folder and the folders in it, sorted by path.

    Args:
        path: The file, or the folder.
        argument: The option that messages name.

    Raises:
        FileNotFoundError: There is no such file or folder, or no MIDI file in it.
    """
    place = expanded(path)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"{argument} {path}: no such file or folder; give a folder of MIDI files")
    found = files_below(place, ENDINGS)
    remark = found.remark()
    if not found.files:
        raise FileNotFoundError(
            f"{argument} {path}: the folder has no .mid or .midi file" + (f" ({remark})" if remark else "")
        )
    return [place / name for name in found.files]


def passed_over(path: str | Path) -> str | None:
    """Which files of a folder are not read, as half a sentence; None if there are none, and for a file."""
    place = expanded(path)
    return files_below(place, ENDINGS).remark() if place.is_dir() else None


def read_folder(
    path: str | Path, argument: str = "path", velocity: bool = False, tempos: bool = False
) -> tuple[list[Piece], list[str]]:
    """The pieces of a folder (or of one file), and a line for each file that cannot be read.

    The name of a piece is its path within the folder, without the ending. Two files that differ only in the ending
    (a.mid and a.midi) are named with it.

    Args:
        path: The folder, or a file.
        argument: The option that messages name.
        velocity: See :func:`read_midi`.
        tempos: See :func:`read_midi`.

    Raises:
        FileNotFoundError: There is no MIDI file.
        UserError: No file can be read; the message says why the first one cannot.
    """
    root, pieces, problems = expanded(path), [], []
    files = find_midi_files(root, argument)
    stems = Counter(file.with_suffix("") for file in files)
    for file in files:
        inside = file.relative_to(root) if file != root else Path(file.name)
        name = inside.with_suffix("") if stems[file.with_suffix("")] == 1 else inside
        try:
            pieces.append(read_midi(file, printable(name.as_posix()), velocity, tempos))
        except (ValueError, OSError) as error:
            problems.append(f"{printable(inside)}: {str(error).removeprefix(f'path {file}: ')}")
    if not pieces:
        raise UserError(
            f"{argument} {path}: none of {len(problems)} MIDI files can be read; the first is {problems[0]}"
        )
    return pieces, problems


def symusic() -> ModuleType:
    """The library that reads and writes MIDI.

    Raises:
        UserError: It is not installed.
    """
    try:
        import symusic
    except ImportError as error:
        raise UserError("path: MIDI files need symusic; install it with `pip install symusic`") from error
    return symusic
