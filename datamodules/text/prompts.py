"""Texts that a language model continues."""

from collections.abc import Sequence

import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.tokenizers import Tokenizer
from seqlight.core.encodings import decoded, lines_of
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded


def read_prompts(path: str) -> list[str]:
    """The prompts of a file, one a line.

    Raises:
        FileNotFoundError: The file does not exist.
        UserError: The file is not UTF-8, or has an empty line.
    """
    file = expanded(path)
    if not file.is_file():
        raise FileNotFoundError(f"prompts {path}: no such file; give a list of texts, or a file with one a line")
    try:
        texts = list(lines_of(decoded(file.read_bytes())))
    except UnicodeDecodeError as error:
        raise UserError(f"prompts {path}: byte {error.start} is not UTF-8; save it as UTF-8") from error
    check_prompts(texts, f"prompts {path}")
    return texts


def check_prompts(texts: Sequence[str], name: str = "prompts") -> None:
    """Refuses an empty list, and an empty text, which gives a model nothing to continue."""
    if not texts:
        raise UserError(f'{name}: there are none; give some, such as ["Once upon a time"]')
    for number, text in enumerate(texts, 1):
        if not text:
            raise UserError(f"{name}: number {number} is empty; give at least one character")


class Prompts(BatchDataset):
    """Prompts with their ids, padded on the right to the longest of a batch.

    Args:
        texts: The prompts. A character that the tokenizer does not know becomes its unknown symbol.
        tokenizer: Makes the ids.
        stop: Strings before which a continuation ends. If given, each batch has them as ``stop``.

    Raises:
        UserError: The tokenizer finds nothing to read in a prompt.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, stop: list[str] | None = None) -> None:
        self.texts, self.ids, self.stop = list(texts), [tokenizer.encode(text) for text in texts], stop
        if [] in self.ids:
            text = self.texts[self.ids.index([])]
            raise UserError(f"prompts: nothing is left of {text!r} for the model to read; give one with a word in it")

    def __len__(self) -> int:
        return len(self.texts)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
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


def prompt_rows(prompts: list[str] | str | None, tokenizer: Tokenizer, stop: list[str] | None) -> Prompts:
    """The data set of predict.

    Args:
        prompts: Texts, or a file of them, one a line. Default: one short example.
        tokenizer: Makes the ids.
        stop: As in :class:`Prompts`.
    """
    return Prompts(read_prompts(prompts) if isinstance(prompts, str) else prompts or ["The "], tokenizer, stop)


def check_prediction(prompts: list[str] | str | None, stop: list[str] | None) -> None:
    """Refuses prompts and stop strings that are empty; a file of prompts is read later."""
    if isinstance(prompts, list):
        check_prompts(prompts)
    if stop is not None and not all(stop):
        raise UserError("stop holds an empty string, before which every text would end; leave it out")
