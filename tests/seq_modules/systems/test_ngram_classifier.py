"""The linear classifier of n-grams as a system: counting, checkpoints, resuming, reasons of its predictions."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy_questions import OPENINGS, QuestionData, a_batch, overfit, sentences
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

import seqlight
from seq_modules import NgramClassifier
from seq_modules.callbacks import LastCheckpoint, Neighbours, NgramWeights, TextAttention
from seq_modules.nets.text.ngram_net import NgramConfig
from seq_modules.systems.classifier import LossConfig
from seq_modules.systems.text_classifier import training_batches
from seq_modules.training.optim import OptimConfig

DATA = QuestionData()


def make(**changes: Any) -> NgramClassifier:
    return NgramClassifier(DATA.vocab_size, 3, **changes)


def fit(folder: Path, module: NgramClassifier, **settings: Any) -> Trainer:
    seed_everything(0, verbose=False)
    trainer = quiet_trainer(folder, LastCheckpoint(), **{"max_epochs": 2, **settings})
    trainer.fit(module, QuestionData())
    return trainer


def test_one_batch_is_overfit() -> None:
    module = make(net=NgramConfig(naive_bayes=0.0))
    module.net.count([a_batch(8)])
    overfit(module, steps=30)


def test_a_checkpoint_alone_predicts_and_says_why(tmp_path: Path) -> None:
    module = make()
    fit(tmp_path, module)
    loaded = seqlight.load(tmp_path / "checkpoints/last.ckpt")
    assert isinstance(loaded, NgramClassifier)
    assert loaded.hparams["num_ngrams"] == len(module.net.keys) - 1 > 50
    batch = QuestionData().predict_set.__getitems__([0, 1, 2, 3])  # type: ignore[union-attr]
    rows, table = loaded.predict_step(batch, 0), module.net.votes()
    known = {" ".join(DATA.tokenizer.pieces(module.net.tokens(row))): row for row in range(1, len(module.net.keys))}
    for row, (text, label, _) in zip(rows, sentences()[:4], strict=True):
        assert (row["text"], row["label"]) == (text, list(OPENINGS)[label])
        words = text.split()
        of_text = {" ".join(words[at : at + n]) for n in (1, 2) for at in range(len(words) - n + 1)}
        votes = {ngram: table[known[ngram], label].item() for ngram in of_text}
        strongest = sorted((abs(value) for value in votes.values()), reverse=True)[:5]
        assert [abs(value) for _, value in row["ngrams"]] == pytest.approx(strongest, abs=1e-4)
        assert all(value == pytest.approx(votes[ngram], abs=1e-4) for ngram, value in row["ngrams"])


def test_unknown_words_are_no_reason(tmp_path: Path) -> None:
    module = make(shown_ngrams=4)
    fit(tmp_path, module, max_epochs=1)
    ids = torch.tensor([DATA.tokenizer.encode("unheard who words")])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "index": torch.tensor([0])}
    assert [ngram for ngram, _ in module.eval().predict_step(batch, 0)[0]["ngrams"]] == ["who"]
    module.shown_ngrams = 0
    assert "ngrams" not in module.predict_step(batch, 0)[0]


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    optim = OptimConfig(learning_rate=1.0, optimizer="sgd", momentum=0.9)
    whole, rest = make(optim=optim), make(optim=optim)
    fit(tmp_path / "whole", whole, max_epochs=3)
    fit(tmp_path / "part", make(optim=optim), max_epochs=1)
    resumed = quiet_trainer(tmp_path / "rest", LastCheckpoint(), max_epochs=3)
    resumed.fit(rest, QuestionData(), ckpt_path=tmp_path / "part/checkpoints/last.ckpt", weights_only=True)
    for (name, value), other in zip(whole.state_dict().items(), rest.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_ngrams_are_counted_once(tmp_path: Path) -> None:
    module = make()
    module.net.count([a_batch()])
    few = module.net.keys.clone()
    fit(tmp_path, module, max_epochs=1)
    assert torch.equal(module.net.keys, few)
    module = make()
    fit(tmp_path, module, max_epochs=1)
    assert len(module.net.keys) > len(few)
    texts = [ids for batch in training_batches(QuestionData(), size=7) for ids in batch["input_ids"]]
    assert len(texts) == len(sentences())


def test_the_heaviest_ngrams_are_written_and_words_have_neighbours(tmp_path: Path) -> None:
    module = make()
    fit(tmp_path, module)
    callbacks = (NgramWeights(count=3), Neighbours(["who"], count=2), TextAttention())
    trainer = quiet_trainer(tmp_path, *callbacks, logger=CSVLogger(tmp_path, name="", version="run"))
    trainer.test(module, QuestionData(batch_size=7), verbose=False)
    with (tmp_path / "run/ngrams.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["class"], row["place"]) for row in rows] == [(name, f"{i}") for name in OPENINGS for i in (1, 2, 3)]
    assert {row["ngram"] for row in rows[:3]} <= {"who", "who wrote", "who is", "wrote", "is"}
    for label in range(3):
        best = module.net.votes()[:, label].topk(3).values.tolist()
        assert [float(row["log_odds"]) for row in rows[3 * label : 3 * label + 3]] == pytest.approx(best, abs=1e-4)
    assert len((tmp_path / "run/neighbours.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"vocab_size": None}, "vocab_size"),
        ({"num_ngrams": -1}, "num_ngrams"),
        ({"shown_ngrams": -1}, "shown_ngrams"),
        ({"loss": LossConfig(aux_weight=0.5)}, "loss.aux_weight"),
        ({"optim": OptimConfig(optimizer="muon")}, "optim.optimizer muon"),
    ],
)
def test_refuses(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        NgramClassifier(**{"vocab_size": 9, "num_classes": 3, **changes})
