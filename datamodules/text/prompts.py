"""Texts that a language model is to go on from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from datamodules.tokenizers import Tokenizer
from seqlight.core.errors import UserError


class Prompts(Dataset):
    """Prompts with their ids, padded on the right to the longest of a batch.

    Args:
        texts: The prompts. A character that the tokenizer does not know becomes its unknown symbol.
        tokenizer: Makes the ids.
        stop: Strings at which a continuation ends; handed on with each batch where given.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, stop: list[str] | None = None) -> None:
        self.texts, self.ids, self.stop = list(texts), [tokenizer.encode(text) for text in texts], stop

    def __len__(self) -> int:
        return len(self.texts)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, Any]:
        """``prompts``, a list of B texts; ``input_ids`` (B, T), 0 after a row's end; ``lengths``, ``index`` (B,)."""
        lengths = torch.tensor([len(self.ids[row]) for row in rows])
        input_ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for at, row in enumerate(rows):
            input_ids[at, : lengths[at]] = torch.tensor(self.ids[row])
        batch = {
            "prompts": [self.texts[row] for row in rows],
            "input_ids": input_ids,
            "lengths": lengths,
            "index": torch.tensor(list(rows)),
        }
        return batch | {"stop": self.stop} if self.stop else batch


def check_prompts(prompts: Sequence[str], name: str = "prompts") -> None:
    """Raises ValueError if there are none, or an empty one, which a model has nothing to go on from."""
    if not prompts:
        raise UserError(f'{name}: there are none; give some, such as ["Once upon a time"]')
    for number, prompt in enumerate(prompts, 1):
        if not prompt:
            raise UserError(f"{name}: number {number} is empty; give at least one character")


def read_prompts(path: str) -> list[str]:
    """The prompts of a file in UTF-8, one a line."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"prompts_path {path}: no such file; give one with a prompt on each line")
    try:
        prompts = file.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"prompts_path {path}: byte {error.start} is not UTF-8; save it as UTF-8") from error
    check_prompts(prompts, f"prompts_path {path}")
    return prompts
