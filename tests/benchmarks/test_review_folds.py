"""The benchmark of reviews in folds: probabilities of texts in their own order, by hand for each."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from helpers.commands.checkpoints import write_run

import seqlight

sys.path.insert(0, str(ROOT / "benchmarks/studies"))

import review_folds


def test_probabilities_are_those_of_each_text_alone(tmp_path: Path) -> None:
    path = write_run("reviews", tmp_path)
    texts = [
        "It is anything but boring , a fine film with a fine cast .",
        "boring",
        "A fine film .",
        "A boring film .",
    ] * 3
    found = review_folds.probabilities(path.parents[1], texts)
    module = seqlight.load(path)
    for text, row in zip(texts, found, strict=True):
        with torch.inference_mode():
            logits = module(torch.tensor([module.tokenizer.encode(text)]))
        assert np.allclose(row, logits.softmax(-1)[0].numpy(), atol=1e-6)
    assert found[1, 1] != found[2, 1]


def test_a_recipe_is_not_averaged_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["review_folds.py", "texts.zip", "--average_with", "reviews/mean"])
    monkeypatch.setitem(sys.modules, "sklearn", type(sys)("sklearn"))
    with pytest.raises(SystemExit, match="names a recipe that is there already"):
        review_folds.main()


def test_a_sure_model_does_not_outvote_one_that_doubts() -> None:
    sure = np.array([[0.999, 0.001], [0.2, 0.8], [0.001, 0.999]])
    doubting = np.array([[0.45, 0.55], [0.6, 0.4], [0.41, 0.59]])
    scaled = [review_folds.scaled_log_odds(rows) for rows in (sure, doubting)]
    assert np.allclose([each.std() for each in scaled], 1)
    assert np.allclose(scaled[0][0], -scaled[0][2])
    assert np.sign(np.mean(scaled, axis=0)).tolist() == [-1, -1, 1]  # the second text by the doubting one
