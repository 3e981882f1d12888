"""Small files in the format of TREC."""

import random
from pathlib import Path

import pytest

from datamodules.classification.question_files import TRAIN_COUNTS


@pytest.fixture
def trec(tmp_path: Path) -> Path:
    """A folder in TREC's shape: 2,100 and 60 questions, some of them twice, some in both."""
    folder, generator = tmp_path / "trec", random.Random(0)
    folder.mkdir()

    def lines(size: int, of: str) -> list[str]:
        chosen = generator.choices(list(TRAIN_COUNTS), list(TRAIN_COUNTS.values()), k=size)
        return [f"{label} What about {of} : number {i} of {label[:2]} ?" for i, label in enumerate(chosen)]

    train, test = lines(2100, "things"), lines(60, "others")
    train[2050:2053] = train[:3]
    test[5] = train[7]
    (folder / "train_5500.label").write_bytes(("\n".join(train) + "\n").encode("latin-1"))
    (folder / "TREC_10.label").write_bytes(("\n".join(test) + "\n").encode("latin-1"))
    return folder
