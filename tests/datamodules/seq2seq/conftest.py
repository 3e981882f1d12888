"""Folders of parallel files, small enough to read."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from datamodules.seq2seq.example_pairs import TEST, TRAIN, VAL

Write = Callable[..., Path]


@pytest.fixture
def parallel(tmp_path: Path) -> Write:
    """Writes NAME.de and NAME.en for each split given; returns their folder."""

    def write(**splits: Sequence[tuple[str, str]]) -> Path:
        folder = tmp_path / "pairs"
        folder.mkdir(exist_ok=True)
        for name, pairs in splits.items():
            for language, side in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
                (folder / f"{name}.{language}").write_text("".join(f"{text}\n" for text in side), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def folder(parallel: Write) -> Path:
    """A folder with the built-in sentences as files."""
    return parallel(train=TRAIN, val=VAL, test_2016_flickr=TEST)
