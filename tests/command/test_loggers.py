"""The loggers: the same files whatever is asked for, and W&B's runs from one command to the next."""

from pathlib import Path

import pytest
import torch
from conftest import SMALL, Run
from helpers.commands.runs import newest
from helpers.loggers import TensorBoardFile, WandbFile


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("logger", ["true", "TensorBoardLogger"])
def test_csv_comes_first_whatever_is_asked_for(run: Run, logger: str) -> None:
    words = ("--config=parity/lstm_last", *SMALL, "--trainer.max_epochs=1", f"--trainer.logger={logger}")
    if logger != "true":
        words += ("--trainer.logger.save_dir=x",)
    done = run("fit", *words)
    assert done.code == 0, done.err
    (folder,) = Path("runs/parity/lstm_last").iterdir()
    assert {"checkpoints", "config.yaml", "metrics.csv", "plots"} <= {path.name for path in folder.iterdir()}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.usefixtures("wandb_offline", "pictures")
def test_the_checkpoints_are_artifacts_and_a_resumed_training_is_the_same_run(run: Run) -> None:
    """What every system logs is in test_configs.py."""
    words = ("--config=parity/lstm_last", *SMALL, "--trainer.max_epochs=1", "--trainer.callbacks=[]")
    done = run("fit", *words, "--config=logger/wandb", "--trainer.logger.log_model=true")
    assert done.code == 0, done.err
    first = newest("last.ckpt").parents[1]
    before = WandbFile(first)
    assert before.media == {"curves": "images/separated"}
    model = f"model-{before.id}"
    assert before.artifacts == [(model, {"latest", "best"}), (model, {"latest", "last"})]
    # An artifact of a run here is found without a network, and read as any other file.
    done = run("test", f"--ckpt_path=wandb:anna/seqlight/{model}:best")
    assert done.code == 0, done.err
    assert f"{first}/checkpoints/best.ckpt, since WANDB_MODE" in done.err
    refused = run("test", f"--ckpt_path=wandb:anna/seqlight/{model}:v7")
    assert (refused.code, "Traceback" in refused.err, "WANDB_MODE says not" in refused.err) == (2, False, True)
    assert run("fit", "--ckpt_path=last", "--trainer.max_epochs=2").code == 0
    second = newest("last.ckpt").parents[1]
    after = WandbFile(second)
    assert (second != first, after.id) == (True, before.id)
    assert min(after.metrics) > max(before.metrics)
    assert torch.load(second / "checkpoints/last.ckpt", weights_only=True)["global_step"] == max(after.metrics) + 1
    # Several trainings may begin at a best checkpoint: each is a run of its own.
    assert run("fit", f"--ckpt_path={first}/checkpoints/best.ckpt", "--trainer.max_epochs=2").code == 0
    assert WandbFile(newest("last.ckpt").parents[1]).id != before.id


@pytest.mark.usefixtures("pictures")
def test_tensorboard_beside_csv(run: Run) -> None:
    words = ("--config=parity/lstm_last", "--config=logger/tensorboard", *SMALL, "--trainer.max_epochs=1")
    assert run("fit", *words, "--trainer.callbacks=[]").code == 0
    assert TensorBoardFile(newest("last.ckpt").parents[1]).pictures == {"curves"}
