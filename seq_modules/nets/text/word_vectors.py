"""Pretrained word vectors from the text files of GloVe and word2vec.

V words, D width of a vector.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

MAX_BYTES = 16 << 30  # of a file; the largest in use, GloVe's of 840 billion words, has 5.6 GB
MAX_LINE = 1 << 16  # bytes of a line: 300 numbers take 3 kB


def read_vectors(path: str | Path, words: Sequence[str], width: int) -> dict[int, Tensor]:
    """Reads the vectors of some words from a file.

    GloVe's files (Pennington et al. 2014) have one line a word, the word and D numbers with blanks between; word2vec's
    text files (Mikolov et al. 2013) have a line "words D" before that. A word may hold blanks itself. Only the
    vectors of these words are kept, so that a file may be larger than the memory.

    Args:
        path: The file, in UTF-8.
        words: The words; one that is listed twice gets its vector twice.
        width: D.

    Returns:
        Vectors (D,) by the word's place in ``words``.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file is too large, a line is malformed (its number is named), the width is another, or none of
            the words is there.
    """
    path = expanded(path)
    named = f"net.embedding.vectors {path}"
    if not path.is_file():
        raise FileNotFoundError(f"{named}: no such file; give GloVe's or word2vec's vectors as text")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{named}: larger than {MAX_BYTES >> 30} GiB; give a smaller file")
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words):
        places.setdefault(word, []).append(place)
    found: dict[int, Tensor] = {}
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            where = f"{named}, line {number}"
            if not line.strip():
                continue
            if not line.endswith(b"\n") and len(line) == MAX_LINE:
                raise UserError(f"{where}: longer than {MAX_LINE} bytes; is it a text file of vectors?")
            parts = line.rstrip(b"\r\n ").rsplit(b" ", width)
            if number == 1 and len(line.split()) == 2 and all(part.isdigit() for part in line.split()):
                if int(line.split()[1]) != width:
                    raise UserError(f"{where}: vectors of {int(line.split()[1])} numbers, but net.d_model is {width}")
                continue
            if len(parts) != width + 1:
                raise UserError(f"{where}: a word and {len(parts) - 1} numbers, but net.d_model is {width}")
            if number == 1:
                check_width(parts[0], where, width)
            for place in places.get(parts[0].decode("utf-8", errors="replace"), ()):
                found[place] = parse(parts[1:], where)
    if not found:
        raise UserError(f"{named}: none of the {len(places)} words is in it; is it of this language and case?")
    return found


def check_width(word: bytes, where: str, width: int) -> None:
    """Refuses a first line whose "word" ends in numbers: the file's vectors are wider than that."""
    *_, last = word.split(b" ")
    if b" " in word and is_number(last):
        raise UserError(f"{where}: more than {width} numbers; make net.d_model the width of these vectors")


def is_number(text: bytes) -> bool:
    """Whether that is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse(numbers: list[bytes], where: str) -> Tensor:
    """The vector of a line, all of its numbers finite."""
    try:
        values = [float(number) for number in numbers]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    if not all(map(math.isfinite, values)):
        raise UserError(f"{where}: a number that is not finite")
    return torch.tensor(values)


def start_from(table: Tensor, found: dict[int, Tensor]) -> None:
    """Writes vectors into a table of embeddings (V, D), and gives the other rows the vectors' spread.

    Rows without a vector keep their random directions, at the standard deviation of the vectors that were found, so
    that all words have the same scale (Kim 2014, section 3.1.1).
    """
    rows = torch.tensor(sorted(found))
    vectors = torch.stack([found[row] for row in rows.tolist()]).to(table.dtype)
    spread = vectors.std() if vectors.numel() > 1 else vectors.new_tensor(1.0)
    with torch.no_grad():
        table.mul_(spread / table.std())
        table[rows] = vectors.to(table.device)
