"""Files of word vectors: what is read of them, and what is refused by its line."""

import math
from pathlib import Path

import pytest
import torch

from seq_modules.nets.text.word_vectors import read_vectors, start_from

GLOVE = "the 0.1 0.2 0.3\n. . . 1 2 3\nß -1 0 1e-2\n"


@pytest.mark.parametrize("head", ["", "3 3\n"])
def test_vectors_of_glove_and_word2vec(tmp_path: Path, head: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text(head + GLOVE + "\n", encoding="utf-8")  # a blank line at the end
    found = read_vectors(file, ["ß", "none", "the", ". . .", "the"], 3)
    assert {place: [round(x, 4) for x in vector.tolist()] for place, vector in found.items()} == {
        0: [-1, 0, 0.01],
        2: [0.1, 0.2, 0.3],
        3: [1, 2, 3],
        4: [0.1, 0.2, 0.3],
    }


@pytest.mark.parametrize(
    ("text", "width", "said"),
    [
        (GLOVE, 4, "line 1: a word and 3 numbers, but net.d_model is 4"),
        (GLOVE, 2, "line 1: more than 2 numbers"),
        ("2 3\n" + GLOVE, 4, "line 1: vectors of 3 numbers, but net.d_model is 4"),
        (GLOVE + "bad 1 2\n", 3, "line 4: a word and 2 numbers"),
        (GLOVE + "who 1 2 x\n", 3, "line 4: could not convert"),
        (GLOVE + "who 1 2 nan\n", 3, "line 4: a number that is not finite"),
        ("z 1 2 3\n", 3, "none of the 2 words"),
        ("x" * 70000, 3, "line 1: longer than"),
        ("", 3, "none of the 2 words"),
    ],
)
def test_files_that_are_no_vectors_are_named_with_the_line(tmp_path: Path, text: str, width: int, said: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^net.embedding.vectors ") as caught:
        read_vectors(file, ["the", "who"], width)
    assert said in str(caught.value)


def test_missing_vectors_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^net.embedding.vectors .*no such file"):
        read_vectors(tmp_path / "none", ["a"], 3)


def test_rows_without_a_vector_get_the_vectors_spread() -> None:
    torch.manual_seed(0)
    table = torch.randn(1000, 50)
    found = {row: torch.randn(50) * 0.3 for row in range(400)}
    start_from(table, found)
    assert torch.equal(table[7], found[7])
    assert table[400:].std().item() == pytest.approx(0.3, rel=0.05)
    assert math.isclose(table[:400].std().item(), 0.3, rel_tol=0.05)
