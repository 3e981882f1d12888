"""MIDI to notes to tokens and back: exact up to the rounding to 24 ticks a quarter, which is counted."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from datamodules.music.sources.midi_files import find_midi_files, read_midi, write_midi
from datamodules.tokenizers import NoteTokenizer
from datamodules.tokenizers.music.midi import ALL_NOTES, ONE_VOICE
from seqlight.music.notes import Note, Piece, top_voice

symusic = pytest.importorskip("symusic")
SUITES = ROOT.parent / "shared/data/cello-suites"
QUARTER = 384  # ticks, as LilyPond writes them
Played = list[tuple[int, int, int]]  # start, end and pitch in a file's ticks


def suite_movement(path: Path, seed: int) -> Played:
    """Writes what the suites are made of: runs, triplets, double stops, a held bass, chords, rests; and grace notes,
    which lie on no grid."""
    draw, now, notes = random.Random(seed), 0, []
    for _ in range(60):
        kind = draw.choice(["run", "triplet", "double", "bass", "chord", "rest", "grace"])
        pitches = sorted(draw.sample(range(36, 80), 4))
        if kind in ("run", "triplet"):
            step = QUARTER // 4 if kind == "run" else QUARTER // 3
            notes += [(now + n * step, now + (n + 1) * step, draw.choice(pitches)) for n in range(QUARTER // step)]
        elif kind == "double":
            notes += [(now, now + QUARTER, pitch) for pitch in pitches[:2]]
        elif kind == "bass":  # struck first and held under the melody
            notes += [(now, now + QUARTER, pitches[0])]
            notes += [(now + n * QUARTER // 2, now + (n + 1) * QUARTER // 2, pitches[1 + n]) for n in range(2)]
        elif kind == "chord":
            notes += [(now, now + QUARTER * 3 // 2, pitch) for pitch in pitches]
            now += QUARTER // 2
        elif kind == "grace":
            notes += [(now, now + 43, pitches[0]), (now + 43, now + QUARTER, pitches[1])]
        now += QUARTER
    score = symusic.Score(QUARTER)
    score.tempos.append(symusic.Tempo(0, qpm=72))
    score.time_signatures.append(symusic.TimeSignature(0, 3, 4))
    track = symusic.Track(program=42)
    for start, end, pitch in notes:
        track.notes.append(symusic.Note(start, end - start, pitch, 90))
    score.tracks.append(track)
    path.write_bytes(score.dumps_midi())
    return notes


def played(path: Path) -> tuple[Played, int]:
    """What symusic reads in a file, and its ticks a quarter."""
    score = symusic.Score(str(path))
    return [
        (note.start, note.end, note.pitch) for track in score.tracks for note in track.notes
    ], score.ticks_per_quarter


def check(piece: Piece, notes: Played, quarter: int) -> None:
    """Each note of a file is in the piece, at the nearest ticks, and those that are moved are counted."""
    grid = [
        Note(start := (48 * a + quarter) // (2 * quarter), pitch, max((48 * b + quarter) // (2 * quarter) - start, 1))
        for a, b, pitch in notes
    ]
    assert piece.notes == tuple(sorted(grid))
    assert piece.moved == sum(24 * a % quarter != 0 or 24 * b % quarter != 0 for a, b, _ in notes)


def check_tokens(pieces: list[Piece], folder: Path) -> None:
    """Pieces through tokens and through a file come back equal, with all notes and as one voice."""
    for fields, form in ((ALL_NOTES, lambda piece: piece), (ONE_VOICE, top_voice)):
        tokenizer = NoteTokenizer.train(pieces, fields, (-5, 6))
        for piece in map(form, pieces):
            assert tokenizer.unseen(piece) == 0
            ids = tokenizer.encode(piece)
            back = tokenizer.decode(ids, piece.name, piece.time_signature, piece.quarters_per_minute)
            assert replace(back, metres=piece.metres) == piece
            write_midi(folder / "again.mid", piece)
            assert read_midi(folder / "again.mid", piece.name) == piece


def test_movements_like_those_of_the_suites(tmp_path: Path) -> None:
    pieces = []
    for seed in range(12):
        notes = suite_movement(tmp_path / f"{seed}.mid", seed)
        assert sorted(played(tmp_path / f"{seed}.mid")[0]) == sorted(notes)
        pieces.append(read_midi(tmp_path / f"{seed}.mid"))
        check(pieces[-1], notes, QUARTER)
    assert sum(piece.moved for piece in pieces) > 12
    assert any(piece != top_voice(piece) for piece in pieces)
    check_tokens(pieces, tmp_path)


@pytest.mark.skipif(not SUITES.is_dir(), reason=f"no {SUITES}")
def test_every_movement_of_the_suites(tmp_path: Path) -> None:
    files = find_midi_files(SUITES)
    pieces = [read_midi(file) for file in files]
    assert (len(pieces), sum(len(piece.notes) for piece in pieces)) == (41, 17_361)  # as SOURCE.md counts them
    for file, piece in zip(files, pieces, strict=True):
        check(piece, *played(file))
    check_tokens(pieces, tmp_path)
