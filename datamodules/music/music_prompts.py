"""Prompts of a music model: pieces that it continues."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from datamodules.music.sources.midi_files import read_folder
from datamodules.music.sources.prelude import PRELUDE
from datamodules.tokenizers import MusicTokenizer
from seqlight.core.errors import UserError
from seqlight.music.notes import Piece, first_bars


class PiecePrompts(Dataset):
    """Prompts with their events.

    Args:
        pieces: The prompts; a piece without notes is an empty prompt.
        tokenizer: Makes the events.
    """

    def __init__(self, pieces: Sequence[Piece], tokenizer: MusicTokenizer) -> None:
        self.pieces, self.ids = list(pieces), [tokenizer.encode(piece) for piece in pieces]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, Any]:
        """``prompts``, a list of B pieces; ``prompt_ids``, of their events (N, F) without START; ``index`` (B,)."""
        return {
            "prompts": [self.pieces[row] for row in rows],
            "prompt_ids": [self.ids[row] for row in rows],
            "index": torch.tensor(list(rows)),
        }


def read_prompts(
    prompt: str, bars: int | None, velocity: bool = False, tempos: bool = False
) -> tuple[list[Piece], list[str]]:
    """The prompts, and a line for each file that is left out.

    Args:
        prompt: ``prelude``, ``none``, or a MIDI file or a folder of them.
        bars: Number of bars to take of each piece; None takes all. The prelude has four.
        velocity: Whether the notes of files have their velocities.
        tempos: Whether changes of tempo are kept.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It cannot be read, or has no note in those bars.
    """
    problems: list[str] = []
    if prompt == "none":
        return [Piece("none", ())], problems
    if prompt == "prelude":
        pieces = [PRELUDE]
    else:
        pieces, problems = read_folder(prompt, "prompt.source", velocity, tempos)
    if bars is not None:
        pieces = [first_bars(piece, bars) for piece in pieces]
        for piece in pieces:
            if not piece.notes:
                raise UserError(f"prompt.bars {bars}: {piece.name} has no note in them; give more bars")
    return pieces, problems
