"""``--trainer.precision auto`` with measurements that are made up, and what a run keeps of it."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from conftest import SMALL, Run
from torch.distributed import TCPStore

from seqlight.command import precision
from seqlight.core import hardware
from seqlight.core.hardware import Rates

TINY = (*SMALL, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--model.net.hidden_size=4")


def machine(monkeypatch: pytest.MonkeyPatch, instructions: bool, speedup: float = 3.0) -> list[float]:
    """A CPU that multiplies so many times as quickly in bf16; the list counts the times that it is measured."""
    measured: list[float] = []

    def rates(device: str) -> Rates:
        measured.append(speedup)
        return Rates(30.0, 30.0 * speedup)

    monkeypatch.setattr(hardware, "CPU_BF16", instructions)
    monkeypatch.setattr(hardware, "rates", rates)
    return measured


@pytest.mark.parametrize(
    ("instructions", "speedup", "chosen", "reason", "times"),
    [
        (True, 3.0, "bf16-mixed", "products in bf16 run at 3.0 times fp32's rate here", 1),
        (True, 1.3, "bf16-mixed", "products in bf16 run at 1.3 times fp32's rate here", 1),
        (True, 1.2, "32-true", "products in bf16 run at 1.2 times fp32's rate here", 1),
        (True, 0.0, "32-true", "products in bf16 end in an illegal instruction here", 1),
        (False, 3.0, "32-true", "this processor has no instructions for products in bf16", 0),
    ],
)
def test_a_cpu_goes_by_instructions_and_then_by_a_measurement(
    monkeypatch: pytest.MonkeyPatch, instructions: bool, speedup: float, chosen: str, reason: str, times: int
) -> None:
    measured = machine(monkeypatch, instructions, speedup)
    assert precision.fastest("cpu") == (chosen, reason)
    assert len(measured) == times


@pytest.mark.parametrize(("speedup", "chosen"), [(1.2, "32-true"), (3.0, "bf16-mixed")])
def test_processes_that_torchrun_starts_take_the_value_of_the_first(
    monkeypatch: pytest.MonkeyPatch, speedup: float, chosen: str
) -> None:
    # The agent of torchrun serves a store; the processes are its clients.
    agent = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    variables = {
        "TORCHELASTIC_RUN_ID": "1", "TORCHELASTIC_USE_AGENT_STORE": "True", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2",
        "MASTER_ADDR": "localhost", "MASTER_PORT": str(agent.port),
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # The others would measure otherwise; the last is the first once more, with its next command.
    for rank, own, times in (("0", speedup, 1), ("1", 4.2 - speedup, 0), ("0", 4.2 - speedup, 1)):
        monkeypatch.setenv("RANK", rank)
        measured = machine(monkeypatch, True, own)
        trainer = SimpleNamespace(precision="auto", accelerator="cpu")
        precision.settle(trainer, "fit", [])
        assert trainer.precision == chosen
        assert len(measured) == times


@pytest.mark.parametrize(
    ("capabilities", "chosen", "named"),
    [
        ([(9, 0)], "bf16-mixed", "9.0"),
        ([(9, 0), (8, 0)], "bf16-mixed", "8.0"),
        ([(8, 6), (7, 5)], "16-mixed", "7.5"),  # all cards take part
        ([(7, 0)], "16-mixed", "7.0"),
        ([(6, 1)], "32-true", "6.1"),
    ],
)
def test_a_gpu_goes_by_its_capability(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[tuple[int, int]], chosen: str, named: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capabilities[index])
    assert precision.fastest("cuda") == (chosen, f"compute capability {named}")
    assert precision.fastest("mps")[0] == "32-true"


def test_sharded_weights_are_not_trained_in_16_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "accelerator_here", lambda accelerator: "cuda")
    monkeypatch.setattr(hardware, "compute_capability", lambda: (7, 5))
    for strategy, chosen in (("seq_modules.training.sharding.FullyShardedStrategy", "32-true"), ("ddp", "16-mixed")):
        trainer = SimpleNamespace(precision="auto", accelerator="gpu", strategy=strategy)
        precision.settle(trainer, "fit", [])
        assert trainer.precision == chosen


@pytest.mark.parametrize(("value", "said"), [("transformer-engine", "transformer_engine"), ("16-true", "NaN")])
def test_what_cannot_be_had_is_refused(run: Run, value: str, said: str) -> None:
    done = run("fit", "--config=parity/lstm_last", *TINY, f"--trainer.precision={value}", "--trainer.accelerator=cpu")
    assert done.code == 2
    assert done.err.startswith("seqlight: error: --trainer.precision")
    assert said in done.err


def test_other_processes_of_the_run_get_the_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, True)
    words = ["fit", "--config", "a.yaml", "--trainer.precision", "auto"]
    monkeypatch.setattr(sys, "argv", ["seqlight", *words])
    precision.settle(SimpleNamespace(precision="auto", accelerator="cpu"), "fit", list(words))
    assert sys.argv[1:] == [*words, "--trainer.precision=bf16-mixed"]
    assert capsys.readouterr().out == "precision: bf16-mixed (products in bf16 run at 3.0 times fp32's rate here)\n"
    monkeypatch.setattr(sys, "argv", ["another_program", "fit"])
    precision.settle(SimpleNamespace(precision="auto", accelerator="cpu"), "fit", words)
    assert sys.argv == ["another_program", "fit"]


@pytest.mark.parametrize(
    ("value", "command", "said"),
    [("bf16-mixed", "fit", True), ("bf16", "fit", True), ("32-true", "fit", False), ("bf16-true", "test", False)],
)
def test_an_emulated_precision_is_kept_and_said_to_be_slow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, command: str, said: bool
) -> None:
    machine(monkeypatch, False)
    trainer = SimpleNamespace(precision=value, accelerator="cpu")
    precision.settle(trainer, command, [])
    assert trainer.precision == value
    line = (
        f"precision: {value}, though this processor emulates products in bf16, slowly; "
        "--trainer.precision auto takes the fastest\n"
    )
    assert capsys.readouterr().out == (line if said else "")


def saved_precision(folder: Path) -> list[Any]:
    """What a run's config says, and its checkpoint."""
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return [config["trainer"]["precision"], checkpoint["config"]["trainer"]["precision"]]


def test_a_run_saves_the_value_and_a_resumed_run_keeps_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs/parity/lstm_last"
    measured = machine(monkeypatch, True)
    first = run("fit", "--config", "parity/lstm_last", *TINY, "--trainer.precision", "auto")
    assert first.code == 0, first.err
    assert first.out.count("precision:") == 1
    (started,) = runs.iterdir()
    assert saved_precision(started) == ["bf16-mixed"] * 2
    assert measured == [3.0]

    machine(monkeypatch, False)  # a machine on which auto would be 32-true
    again = run("fit", "--ckpt_path", str(started), "--trainer.max_epochs=2")
    assert again.code == 0, again.err
    assert "precision: bf16-mixed, though this processor emulates products in bf16" in again.out
    (resumed,) = set(runs.iterdir()) - {started}
    assert saved_precision(resumed) == ["bf16-mixed"] * 2

    other = run("fit", "--ckpt_path", str(started), "--trainer.max_epochs=2", "--trainer.precision=auto")
    assert other.code == 0, other.err
    assert "precision: 32-true (this processor has no instructions" in other.out
    (changed,) = set(runs.iterdir()) - {started, resumed}
    assert saved_precision(changed) == ["32-true"] * 2


def test_a_run_by_the_clock_notes_the_machine(run: Run, tmp_path: Path) -> None:
    done = run("fit", "--config", "parity/lstm_last", *TINY, "--trainer.max_time=00:00:01:00")
    assert done.code == 0, done.err
    (folder,) = (tmp_path / "runs/parity/lstm_last").iterdir()
    assert (folder / "machine.txt").read_text() == f"{hardware.describe()}\n"


@pytest.mark.parametrize("value", ["bf17", "Auto", "8"])
def test_a_wrong_value_is_refused_in_one_line(run: Run, value: str) -> None:
    refused = run("fit", "--config", "parity/lstm_last", f"--trainer.precision={value}")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "trainer.precision: expected one of 'auto', '32-true', 'bf16-mixed', '16-mixed'" in refused.err
    assert f"not {value}" in refused.err
