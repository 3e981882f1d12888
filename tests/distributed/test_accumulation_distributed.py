"""Two processes that accumulate batches train as one does with the global batch, by DDP and with divided weights."""

from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import by_two_processes, newest

from seqlight.core.plots import read_metrics

# Strings of 1 to 40 bits and a loss on each of them: every batch has a number of targets of its own.
COMMON = (
    "fit", "--config=parity/lstm_last", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1",
    "--data.train_size=104", "--data.val_size=37", "--model.net.hidden_size=5", "--model.supervision=full",
    "--model.input_noise=0", "--trainer.gradient_clip_val=0.1", '--trainer.callbacks=[{"class_path":"GradientNorm"}]',
)  # fmt: skip


def test_accumulation_on_two_processes(run: Run, tmp_path: Path) -> None:
    done = run(*COMMON, "--data.batch_size=40", "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
    apart = ("--data.batch_size=5", "--trainer.accumulate_grad_batches=4", "--trainer.accelerator=cpu",
             "--trainer.precision=32-true")  # fmt: skip
    ddp, fsdp = (
        [[*COMMON, f"--config=trainer/{overlay}", *apart, "--trainer.devices=2"]] for overlay in ("ddp", "fsdp")
    )
    by_two_processes(tmp_path / "two", ddp, fsdp)
    folders = [tmp_path / "two/0", tmp_path / "two/1"]
    whole = newest("last.ckpt", tmp_path / "runs")
    expected = torch.load(whole, weights_only=True)
    norms = [value for _, value in read_metrics(whole.parents[1] / "metrics.csv")["grad/norm"]]
    assert len(norms) == 3  # of 40, 40 and 24 strings: the last window has three batches, of which one has two strings
    for folder in folders:
        path = newest("last.ckpt", folder)
        found = torch.load(path, weights_only=True)
        assert found["global_step"] == expected["global_step"] == 3
        got = [value for _, value in read_metrics(path.parents[1] / "metrics.csv")["grad/norm"]]
        assert got == pytest.approx(norms, rel=1e-5)
        torch.testing.assert_close(found["state_dict"], expected["state_dict"], rtol=0, atol=1e-5)
