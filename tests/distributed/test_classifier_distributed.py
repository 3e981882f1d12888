"""Two processes train classifiers as one does with the joined batch, resume them, and predict each text once."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.command_runs import by_two_processes
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


@pytest.mark.parametrize("kind", list(MODELS))
def test_two_processes_do_what_one_does(run: Run, tmp_path: Path, kind: str) -> None:
    common = ("fit", *MODELS[kind], *FEW, "--model.optim.schedule=constant", "--data.cache_dir=cache", AVERAGE)
    two = tmp_path / "two"
    two.mkdir()
    done = run(*common, "--data.batch_size=32")
    assert done.code == 0, done.err
    ddp = "--config=trainer/ddp"
    commands = [
        [*common, ddp, "--data.batch_size=16", "--trainer.max_steps=4"],
        ["fit", "--ckpt_path=last", "--data.cache_dir=cache", "--trainer.max_steps=-1"],
        ["predict", "--ckpt_path=last", ddp, f"--data.predict.texts={json.dumps(TEXTS)}", "--data.batch_size=2"],
    ]
    by_two_processes(two, commands)

    (whole,) = (Path("runs") / f"questions/{'bert' if kind == 'bert' else 'lstm'}").iterdir()
    begun, rest = sorted(two.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    parts = [read_metrics(path.parents[1] / "metrics.csv") for path in (begun, rest)]
    expected = read_metrics(whole / "metrics.csv")
    # Batches of 32, 32 and 3 rows, of which the last is shared unequally.
    assert [step for part in parts for step, _ in part["train/loss"]] == list(range(9))
    for name in ("train/loss", "val/loss", "val/accuracy", "val/macro_f1", "val/calibration_error"):
        got = [value for part in parts for _, value in part.get(name, [])]
        assert got == pytest.approx([value for _, value in expected[name]], abs=1e-5), name
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


def test_ranks_with_unequal_numbers_of_batches_measure_together(run: Run, tmp_path: Path) -> None:
    words = {"good": ["fine", "great", "lovely"], "bad": ["dull", "poor", "awful"]}
    rows = [f"{words[label][i % 3]} number {i},{label}" for i in range(35) for label in words]
    (tmp_path / "some.csv").write_text("\n".join(["text,label", *rows]))
    model = ("--config=reviews/mean", "--model.net.d_model=8", "--model.net.embedding.word_dropout=0",
             "--model.net.embedding.dropout=0", "--model.net.dropout=0")  # fmt: skip
    # 17 rows to validate and 17 to test: the last batch of 16 has one row, which the second process goes without.
    data = (f"--data.path={tmp_path / 'some.csv'}", "--data.split.val_fraction=0.25",
            "--data.split.test_fraction=0.25")  # fmt: skip
    common = (*model, *data, "--data.cache_dir=cache", "--trainer.accelerator=cpu", "--trainer.max_epochs=3")
    done = run("fit", *common, "--data.batch_size=16")
    assert done.code == 0, done.err
    assert run("test", "--ckpt_path=last").code == 0
    (whole,) = Path("runs/reviews/mean").iterdir()
    two = tmp_path / "two"
    two.mkdir()
    ddp = "--config=trainer/ddp"
    fitted = ["fit", *common, ddp, "--data.batch_size=8"]
    by_two_processes(two, [fitted, ["test", "--ckpt_path=last", ddp, "--data.batch_size=8"]])
    (part,) = (two / "runs/reviews/mean").iterdir()
    for name in ("val/loss", "val/accuracy", "val/macro_f1"):
        one, other = (read_metrics(folder / "metrics.csv")[name] for folder in (whole, part))
        assert [value for _, value in other] == pytest.approx([value for _, value in one], abs=1e-5), name
    one, other = (next(folder.glob("test/*/classes.csv")) for folder in (whole, part))
    assert other.read_text() == one.read_text()
