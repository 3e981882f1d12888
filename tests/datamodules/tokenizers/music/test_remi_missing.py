"""The error where miditok is not installed, which the test simulates."""

import sys
from pathlib import Path

import pytest
import torch

from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import RemiTokenizer, load_notes


def test_without_miditok_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = {"kind": "remi", "lowest": 40, "highest": 60, "one_voice": True, "vocabulary": []}
    torch.save({"tokenizer": state}, tmp_path / "a.ckpt")
    monkeypatch.setitem(sys.modules, "miditok", None)
    for make in (lambda: RemiTokenizer(40, 60, True), lambda: RemiTokenizer.train(etudes(1, 0), False)):
        with pytest.raises(
            ValueError, match=r"^tokens remi needs miditok; install it with `pip install 'seqlight\[remi"
        ):
            make()
    with pytest.raises(ValueError, match=r"^tokenizer_path .*a\.ckpt: tokens remi needs miditok"):
        load_notes(tmp_path / "a.ckpt")
