"""Two processes train classifiers as one does with the global batch, resume them, and predict each text once."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_metrics_of, by_two_processes
from helpers.toy_questions import AVERAGE, FEW, TINY_BERT

import seqlight
from seqlight.core.plots import read_metrics

MODELS = {
    "text": ("--config=questions/lstm", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8",
             "--model.net.embedding.word_dropout=0", "--model.net.embedding.dropout=0", "--model.net.dropout=0",
             "--model.net.state_dropout=0", "--model.optim.warmup_steps=2"),
    "bert": ("--config=questions/bert", *TINY_BERT, "--model.net.tuning=gradual", "--model.net.dropout=0",
             "--model.optim.warmup_steps=2"),
}  # fmt: skip
TEXTS = [
    "Who wrote Hamlet ?",
    "Why ?",
    "How many miles is it from the one end to the other ?",
    "Where ?",
    "What is it ?",
]


DDP = "--config=trainer/ddp"
WORDS = {"good": ["fine", "great", "lovely"], "bad": ["dull", "poor", "awful"]}
ROWS = [f"{WORDS[label][i % 3]} number {i},{label}" for i in range(35) for label in WORDS]
# 17 rows to validate and 17 to test: the last batch of 16 has one row, which the second process goes without.
REVIEWS = (
    "fit", "--config=reviews/mean", "--model.net.d_model=8", "--model.net.embedding.word_dropout=0",
    "--model.net.embedding.dropout=0", "--model.net.dropout=0", "--data.path=some.csv",
    "--data.split.val_fraction=0.25", "--data.split.test_fraction=0.25", "--data.cache_dir=cache",
    "--trainer.accelerator=cpu", "--trainer.max_epochs=3",
)  # fmt: skip


def questions(kind: str) -> tuple[str, ...]:
    return ("fit", *MODELS[kind], *FEW, "--model.optim.schedule=constant", "--data.cache_dir=cache", AVERAGE)


def commands_of(kind: str) -> list[list[str]]:
    """A training that is broken off, resumed and used for prediction."""
    common = questions(kind)
    return [
        [*common, DDP, "--data.batch_size=16", "--trainer.max_steps=4"],
        ["fit", "--ckpt_path=last", "--data.cache_dir=cache", "--trainer.max_steps=-1"],
        ["predict", "--ckpt_path=last", DDP, f"--data.predict.texts={json.dumps(TEXTS)}", "--data.batch_size=2"],
    ]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of the runs of each model, and of those of reviews."""
    folder = tmp_path_factory.mktemp("two")
    reviews = [[*REVIEWS, DDP, "--data.batch_size=8"], ["test", "--ckpt_path=last", DDP, "--data.batch_size=8"]]
    last = folder / str(len(MODELS))
    last.mkdir()
    (last / "some.csv").write_text("\n".join(["text,label", *ROWS]))
    by_two_processes(folder, *map(commands_of, MODELS), reviews)
    return {name: folder / str(number) for number, name in enumerate([*MODELS, "reviews"])}


@pytest.mark.parametrize("kind", list(MODELS))
def test_two_processes_do_what_one_does(run: Run, by_two: dict[str, Path], kind: str) -> None:
    two = by_two[kind]
    done = run(*questions(kind), "--data.batch_size=32")
    assert done.code == 0, done.err
    (whole,) = (Path("runs") / f"questions/{'bert' if kind == 'bert' else 'lstm'}").iterdir()
    # Batches of 32, 32 and 3 rows, of which the last is shared unequally.
    assert [step for step, _ in read_metrics(whole / "metrics.csv")["train/loss"]] == list(range(9))
    names = ("train/loss", "val/loss", "val/accuracy", "val/macro_f1", "val/calibration_error")
    _, rest = assert_metrics_of(whole, two, names, 1e-5)
    one, other = (torch.load(path, weights_only=True) for path in (whole / "checkpoints/last.ckpt", rest))
    for entry in ("state_dict", "training_weights"):
        for name, value in one[entry].items():
            torch.testing.assert_close(other[entry][name], value, rtol=0, atol=2e-5)

    (predicted,) = two.rglob("predictions.jsonl")
    rows = [json.loads(line) for line in predicted.read_text().split("\n") if line]
    assert [row["text"] for row in rows] == TEXTS
    module = seqlight.load(rest)
    special = module.tokenizer.special
    for row, text in zip(rows, TEXTS, strict=True):
        ids = module.tokenizer.encode(text)  # a vocabulary of so few rows cuts words small: some are longer than 24
        ids = [special["cls"], *ids[:22], special["sep"]] if kind == "bert" else ids[:24]
        chances = module(torch.tensor([ids])).softmax(-1)[0]
        assert row["label"] == module.class_names[int(chances.argmax())]  # type: ignore[index]
        assert row["probability"] == pytest.approx(chances.max().item(), abs=1e-5)


def test_ranks_with_unequal_numbers_of_batches_measure_together(run: Run, by_two: dict[str, Path]) -> None:
    two = by_two["reviews"]
    Path("some.csv").write_text("\n".join(["text,label", *ROWS]))
    done = run(*REVIEWS, "--data.batch_size=16")
    assert done.code == 0, done.err
    assert run("test", "--ckpt_path=last").code == 0
    (whole,) = Path("runs/reviews/mean").iterdir()
    (part,) = (two / "runs/reviews/mean").iterdir()
    for name in ("val/loss", "val/accuracy", "val/macro_f1"):
        one, other = (read_metrics(folder / "metrics.csv")[name] for folder in (whole, part))
        assert [value for _, value in other] == pytest.approx([value for _, value in one], abs=1e-5), name
    one, other = (next(folder.glob("test/*/classes.csv")) for folder in (whole, part))
    assert other.read_text() == one.read_text()
