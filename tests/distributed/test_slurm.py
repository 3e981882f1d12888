"""A job of SLURM, with the variables that srun sets: two tasks train together, and a warned job is queued again."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.processes.commands import ODD_PARITY, only, start

from seqlight.core.plots import read_metrics

JOB = str(10_000 + os.getpid() % 10_000)  # whose last digits become the port
WORDS = ["fit", "--config=parity/lstm_last", *ODD_PARITY]
WARNED = '''
import os, signal
from lightning.pytorch import Callback

class Warned(Callback):
    """SLURM's warning reaches one of the tasks, in the middle of the first epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 7 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
'''
SCONTROL = """#!/bin/sh
test -e runs/parity/lstm_last/*/hpc_ckpt_1.ckpt || exit 1
echo "$@" >> asked
"""


def srun(folder: Path, restarts: int) -> list[tuple[int, str]]:
    """Exit code and output of each of two tasks."""
    callbacks = json.dumps([{"class_path": "warned.Warned"}])
    variables = {
        "SLURM_JOB_ID": JOB, "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "localhost", "SLURM_NNODES": "1",
        "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "0", "SLURM_STEP_ID": "0",
        "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(folder),
        "ONEDNN_MAX_CPU_ISA": "AVX2",  # for which the first task chooses 32-true
    }  # fmt: skip
    if restarts:
        variables["SLURM_RESTART_COUNT"] = str(restarts)
    words = [*WORDS, "--config=trainer/ddp", "--data.batch_size=10", f"--trainer.callbacks={callbacks}"]
    words += ["--trainer.precision=auto"]
    tasks = [start(words, folder, **variables, SLURM_PROCID=rank, SLURM_LOCALID=rank) for rank in "01"]
    said = [task.communicate(timeout=600)[0] for task in tasks]
    return [(task.returncode, text) for task, text in zip(tasks, said, strict=True)]


def test_a_job_is_queued_again_and_goes_on(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "warned.py").write_text(WARNED)
    (folder / "scontrol").write_text(SCONTROL)
    (folder / "scontrol").chmod(0o755)

    first = srun(folder, 0)
    assert [code for code, _ in first] == [128 + signal.SIGTERM, 128 + signal.SIGUSR1], first
    assert (folder / "asked").read_text() == f"requeue {JOB}\n"  # once, by rank 0, when the checkpoint was there
    begun = only(folder, "hpc_ckpt_1.ckpt")
    assert sum(text.count("precision: 32-true (") for _, text in first) == 1
    assert begun.parent.name.endswith(f"_job{JOB}.0")
    held = torch.load(begun, weights_only=True)
    assert held["global_step"] == 11

    again = srun(folder, 1)
    assert [code for code, _ in again] == [0, 0], again
    assert sum(text.count("the job was started again and goes on from") for _, text in again) == 1
    runs = sorted((folder / "runs/parity/lstm_last").iterdir())
    assert len(runs) == 2
    steps = [[step for step, _ in read_metrics(path / "metrics.csv")["train/loss"]] for path in runs]
    assert steps == [list(range(11)), list(range(11, 20))]

    done = run(*WORDS, "--config=trainer/cpu", "--data.batch_size=20", "--trainer.callbacks=[]")
    assert done.code == 0, done.err
    whole = torch.load(next(Path().glob("runs/**/last.ckpt")), weights_only=True)["state_dict"]
    ended = torch.load(runs[1] / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, expected in whole.items():
        torch.testing.assert_close(ended[name], expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("restarts", [None, "0"])
def test_another_start_of_the_same_command_is_no_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, restarts: str | None
) -> None:
    from seqlight.requeue import job_suffix, resume_after_requeue

    monkeypatch.chdir(tmp_path)
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_STEP_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    if restarts is not None:
        monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    assert job_suffix() == "_job7.3"
    (tmp_path / "a").write_text("trainer: {default_root_dir: mine}\n")
    saved = tmp_path / "mine/a/now_job7.3/checkpoints/last.ckpt"
    saved.parent.mkdir(parents=True)
    saved.touch()
    assert resume_after_requeue(["fit", "--config", "a"]) == ["fit", "--config", "a"]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert resume_after_requeue(["fit", "--config", "a"])[3:] == [f"--ckpt_path={saved.relative_to(tmp_path)}"]
    assert resume_after_requeue(["test"]) == ["test"]
    monkeypatch.setenv("SLURM_STEP_ID", "1")  # another command of the same job
    assert resume_after_requeue(["fit", "--config", "a"]) == ["fit", "--config", "a"]
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert job_suffix() == ""
