"""Two processes train a tagger as one does with the global batch, resume, measure, and write each sentence once."""

from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_metrics_of, by_two_processes, newest, predictions
from helpers.commands.tagging import FIT, write_files

from seqlight.core.plots import read_metrics

DDP = "--config=trainer/ddp"
# Each process would draw its own dropout; the schedule would end with the run that is broken off; and at a small rate
# rounding stays small.
SAME = (
    *FIT, "--model.net.input_dropout=0", "--model.net.dropout=0", "--model.optim.schedule=constant",
    "--model.optim.learning_rate=0.001",
)  # fmt: skip
PREDICT = ("predict", "--ckpt_path=last", "--data.predict.path=in.conll", "--data.columns.comments=true")


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: broken off, resumed, tested, used."""
    folder = tmp_path_factory.mktemp("two")
    write_files(folder)
    by_two_processes(folder, [
        ["fit", *SAME, DDP, "--data.batch_size=4", "--trainer.max_steps=5"],
        ["fit", "--ckpt_path=last", "--trainer.max_steps=-1"],
        ["test", "--ckpt_path=last", DDP],
        [*PREDICT, DDP, "--data.batch_size=1"],
    ])  # fmt: skip
    return folder


def test_two_processes_do_what_one_does(run: Run, by_two: Path) -> None:
    write_files(Path())
    for words in (("fit", *SAME, "--data.batch_size=8"), ("test", "--ckpt_path=last"), PREDICT):
        done = run(*words)
        assert done.code == 0, done.err
    (whole,) = Path("runs/tagging").glob("*/*")
    _, rest = assert_metrics_of(whole, by_two, ("train/loss", "val/loss", "val/accuracy", "val/span_f1"), 1e-4)
    one, other = (torch.load(path, weights_only=True) for path in (whole / "checkpoints/last.ckpt", rest))
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][name], value, rtol=0, atol=2e-5)
    tested = [read_metrics(newest("metrics.csv", next(folder.rglob("test/*/")))) for folder in (whole, by_two)]
    for name in ("test/loss", "test/accuracy", "test/span_f1"):
        assert tested[1][name][0][1] == pytest.approx(tested[0][name][0][1], abs=1e-4), name

    assert [row["words"] for row in predictions()] == [["the", "bomtion", "sees"], ["Rose"], ["Will", "must", "play"]]
    written = newest("predictions.conll", by_two).read_text()
    assert written == newest("predictions.conll").read_text()
    lines = written.split("\n")
    assert lines[0] == "# a comment"
    labels = [label for row in predictions() for label in row["labels"]]
    assert [line.split()[2] for line in lines[1:] if line] == labels
