"""Checkpoints that are named as artifacts of W&B: downloaded, cached, or those of the runs here."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from seqlight.checkpoints import find_checkpoint
from seqlight.core.errors import UserError
from seqlight.run_files import wandb_artifacts


@pytest.fixture
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.mark.usefixtures("_offline")
def test_offline_the_cache_is_read_and_then_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, root = "wandb:anna/seqlight/model-1a2b:best", tmp_path / "runs"
    with pytest.raises(UserError, match=r"WANDB_MODE says not to ask W&B, and it is neither in .*seqlight/wandb/anna"):
        find_checkpoint(spec, "test", str(root))
    for name, run in (("one", "1a2b"), ("two", "other")):
        (root / f"parity/{name}/wandb/offline-run-20261130_000000-{run}").mkdir(parents=True)
        made(root / f"parity/{name}/checkpoints/best.ckpt")
    assert find_checkpoint(spec, "test", str(root)) == root / "parity/one/checkpoints/best.ckpt"
    assert "since WANDB_MODE says not to ask W&B" in capsys.readouterr().err
    for alias in ("v3", "last"):  # a version that only W&B knows, a file that is not there
        with pytest.raises(UserError, match="neither in"):
            find_checkpoint(spec.replace("best", alias), "test", str(root))
    cached = made(tmp_path / "home/seqlight/wandb/anna/seqlight/model-1a2b_best/model.ckpt")
    assert find_checkpoint(spec, "test", str(root)) == cached
    made(cached.with_name("other.ckpt"))
    with pytest.raises(UserError, match=r"holds several checkpoints, in .*: model\.ckpt, other\.ckpt"):
        find_checkpoint(spec, "test", str(root))


@pytest.mark.usefixtures("_offline")
@pytest.mark.parametrize("words", ["model-1a2b:best", "anna/seqlight/model", "../../x:y", "anna/seqlight/..:best", ""])
def test_an_artifact_has_four_words(words: str) -> None:
    with pytest.raises(UserError, match="must be wandb:ENTITY/PROJECT/ARTIFACT:ALIAS"):
        find_checkpoint(f"wandb:{words}", "test")


def test_it_is_downloaded_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spec, asked = "wandb:anna/seqlight/model-1a2b:best", []

    def artifact(name: str) -> object:
        asked.append(name)
        return SimpleNamespace(download=lambda root: made(Path(root) / "model.ckpt"))

    monkeypatch.setattr(wandb, "login", lambda prompt: True)
    monkeypatch.setattr(wandb, "Api", lambda timeout: SimpleNamespace(artifact=artifact))
    file = find_checkpoint(spec, "test")
    assert asked == ["anna/seqlight/model-1a2b:best"]
    monkeypatch.setattr(wandb, "login", lambda prompt: False)
    assert find_checkpoint(spec, "test") == file
    with pytest.raises(UserError, match="W&B: no account is configured here; run `wandb login`, and it is neither"):
        wandb_artifacts.artifact_file(spec.replace("best", "v2"), str(tmp_path / "runs"))
