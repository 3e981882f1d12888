"""The logger overlays: the same files in the run's folder, and config, metrics and pictures in the logger."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, Run


@pytest.mark.usefixtures("pictures")
def test_tensorboard_beside_csv(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run("fit", "--config=parity/lstm_last", "--config=logger/tensorboard", *SMALL, "--trainer.max_epochs=1")
    assert done.code == 0, done.err
    (folder,) = Path("runs/parity/lstm_last").iterdir()
    assert (folder / "metrics.csv").is_file()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"train/loss", "val/loss", "val/accuracy_last"} <= set(events.Tags()["scalars"])
    assert "curves" in events.Tags()["images"]


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


def test_wandb_offline_holds_config_metrics_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = ["fit", "--config=parity/lstm_last", "--config=logger/wandb", *SMALL, "--trainer.max_epochs=1"]
    done = subprocess.run([sys.executable, ROOT / "cli.py", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs/parity/lstm_last").iterdir()
    assert {"checkpoints", "config.yaml", "metrics.csv", "plots", "wandb"} <= {path.name for path in folder.iterdir()}
    (offline,) = folder.glob("wandb/offline-run-*")
    inspect = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", str(offline)]
    told = subprocess.run(inspect, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    records = [json.loads(line) for line in told.stdout.splitlines() if line.strip()]
    text = json.dumps(records)
    assert "gradient_clip_val" in text  # the whole config, not the model's arguments alone
    assert "hidden_size" in text
    for metric in ("train/loss", "val/loss", "val/accuracy_last"):
        assert metric in text
    assert list(offline.rglob("*.png"))
