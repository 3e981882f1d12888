"""Lines for the user on music that is read: what was left out, and what the tokenizer has not learned."""

from collections.abc import Iterable, Sequence

from lightning.pytorch.utilities import rank_zero_info

from datamodules.tokenizers import MusicTokenizer
from seqlight.music.notes import Piece

SHOWN = 20  # files left out that are named


def count_notes(pieces: Iterable[Piece]) -> int:
    """All notes of some pieces."""
    return sum(len(piece.notes) for piece in pieces)


def report_left_out(what: str, good: int, problems: Sequence[str]) -> None:
    """Says which files are left out."""
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        lines = "".join(f"\n  {line}" for line in [*problems[:SHOWN], *more])
        rank_zero_info(f"{what}: {len(problems)} of {good + len(problems)} MIDI files are left out:{lines}")


def report_unseen(what: str, pieces: Sequence[Piece], tokenizer: MusicTokenizer) -> None:
    """Says how many notes, and with signatures how many metres, training has not."""
    unseen = sum(map(tokenizer.unseen, pieces))
    if unseen:
        rank_zero_info(
            f"{what}: {unseen:,} of {count_notes(pieces):,} notes have a pitch, a duration or a shift that training "
            "has not, and are read as the nearest"
        )
    known = tokenizer.signatures
    strange = [piece.name for piece in pieces if known is not None and piece.time_signature not in known.metres]
    if strange:
        rank_zero_info(
            f"{what}: {len(strange):,} of {len(pieces):,} pieces ({strange[0]}{', ...' if strange[1:] else ''}) have a "
            "metre that training has not, and it is left open"
        )
