"""Log lines on music that is read: files that are left out, and values that the tokenizer has not learned."""

from collections.abc import Iterable, Sequence

from lightning.pytorch.utilities import rank_zero_info

from datamodules.music.sources.midi_files import passed_over
from datamodules.tokenizers import MusicTokenizer
from seqlight.music.notes import Piece, metres_of

SHOWN = 20  # files left out that are named


def count_notes(pieces: Iterable[Piece]) -> int:
    """All notes of some pieces."""
    return sum(len(piece.notes) for piece in pieces)


def report_left_out(what: str, good: int, problems: Sequence[str]) -> None:
    """Logs which files are left out."""
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        lines = "".join(f"\n  {line}" for line in [*problems[:SHOWN], *more])
        rank_zero_info(f"{what}: {len(problems)} of {good + len(problems)} MIDI files are left out:{lines}")


def report_passed_over(what: str, path: str) -> None:
    """Logs which files of a folder are no MIDI files, or not meant to be read."""
    if remark := passed_over(path):
        rank_zero_info(f"{what}: {remark}")


def report_unseen(what: str, pieces: Sequence[Piece], tokenizer: MusicTokenizer) -> None:
    """Logs how many notes, and with signatures how many metres, training did not have."""
    unseen = sum(map(tokenizer.unseen, pieces))
    if unseen:
        rank_zero_info(
            f"{what}: {unseen:,} of {count_notes(pieces):,} notes have a pitch, a duration, a shift or a velocity that "
            "training did not have, and are read as the nearest"
        )
    known = tokenizer.signatures
    others = [piece.name for piece in pieces if known is not None and not metres_of(piece) <= set(known.metres)]
    if others:
        rank_zero_info(
            f"{what}: {len(others):,} of {len(pieces):,} pieces ({others[0]}{', ...' if others[1:] else ''}) have a "
            "metre that training did not have; it is left open"
        )
