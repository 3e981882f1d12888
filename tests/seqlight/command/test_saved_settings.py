"""What a command takes from a checkpoint: on other devices than its run had, and without its state of a training."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import Run

OTHER = {"accelerator": "tpu", "devices": 3, "num_nodes": 2, "strategy": "xla"}


@pytest.fixture
def elsewhere(run_folder: Path) -> Path:
    """A checkpoint whose run had three devices on each of two machines, of a kind that is not here."""
    content = torch.load(run_folder / "checkpoints/last.ckpt", weights_only=True)
    content["config"]["trainer"] |= OTHER
    torch.save(content, "elsewhere.ckpt")
    return Path("elsewhere.ckpt")


@pytest.mark.parametrize(
    "words", [("fit", "--trainer.max_epochs=2"), ("test", "--trainer.callbacks=[]"), ("predict", '--data.bits=["01"]')]
)
def test_another_machines_devices_are_left_out(
    run: Run, elsewhere: Path, caplog: pytest.LogCaptureFixture, words: tuple[str, ...]
) -> None:
    done = run(*words, f"--ckpt_path={elsewhere}")
    assert done.code == 0, done.err
    said = "elsewhere.ckpt had accelerator tpu, devices 3, num_nodes 2, strategy xla; this one takes what this machine"
    assert caplog.text.count(said) == 1
    config = max(Path().rglob("config.yaml"), key=lambda path: path.stat().st_mtime_ns)
    trainer = yaml.safe_load(config.read_text())["trainer"]
    assert [trainer[name] for name in OTHER] == ["auto", "auto", 1, "auto"]


def test_flags_say_otherwise(run: Run, elsewhere: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = run("test", f"--ckpt_path={elsewhere}", "--config=trainer/cpu", "--trainer.callbacks=[]")
    assert done.code == 0, done.err
    assert "had num_nodes 2, strategy xla; this one takes" in caplog.text  # of the others the config has a say


def test_the_same_machine_needs_no_word(run: Run, run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = run("test", f"--ckpt_path={run_folder}", "--trainer.callbacks=[]")
    assert done.code == 0, done.err
    assert "this machine" not in caplog.text


@pytest.mark.parametrize("entry", ["optimizer_states", "lr_schedulers"])
def test_a_checkpoint_without_the_state_of_a_training_is_not_resumed(run: Run, run_folder: Path, entry: str) -> None:
    content = torch.load(run_folder / "checkpoints/last.ckpt", weights_only=True)
    del content[entry]
    torch.save(content, "a.ckpt")
    done = run("fit", "--ckpt_path=a.ckpt")
    assert done.code == 2
    assert "a.ckpt: has weights and no state of a training to resume" in done.err
