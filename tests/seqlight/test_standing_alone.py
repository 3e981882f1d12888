"""A resumed text run needs nothing of the one before; nothing is written where a checkpoint says."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Run
from helpers.commands.runs import LINES, SMALL_GPT, newest

from datamodules.tokenizers import CharTokenizer, save

SMALL = (*SMALL_GPT, "--data.path=lines.txt", "--trainer.max_epochs=1")
NONE = "--trainer.callbacks=[]"


@pytest.fixture(autouse=True)
def _text(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text(LINES)


@pytest.mark.parametrize("given", [None, "own.ckpt"])
def test_a_resumed_run_stands_by_itself(run: Run, given: str | None) -> None:
    save(CharTokenizer.train([LINES + "z"]), Path("own.ckpt"))
    words = (f"--data.tokenizer_path={given}",) if given else ()
    assert run("fit", *SMALL, *words, NONE).code == 0
    first = newest("last.ckpt").parents[1]
    assert run("fit", "--ckpt_path", str(first), "--trainer.max_epochs=2").code == 0
    second = newest("last.ckpt").parents[1]
    assert first != second
    shutil.rmtree(first)
    config = yaml.safe_load((second / "config.yaml").read_text())
    content = torch.load(second / "checkpoints/last.ckpt", weights_only=True)
    # As in the first run, the user's own tokenizer, or none.
    assert config["data"]["init_args"]["tokenizer_path"] == given
    assert content["config"]["data"]["init_args"]["tokenizer_path"] == given
    assert content["datamodule_hyper_parameters"]["tokenizer_path"] == given
    again = run("fit", "--config", str(second / "config.yaml"))
    assert again.code == 0, again.err
    kept = torch.load(newest("last.ckpt"), weights_only=True)["tokenizer_fingerprint"]
    assert kept == content["tokenizer_fingerprint"]
    assert run("fit", "--ckpt_path", str(second), "--trainer.max_epochs=3").code == 0
    assert run("predict", "--ckpt_path", str(second), "--decoding.max_new_tokens=3").code == 0


def foreign(path: Path, changes: dict[str, Any], trainer: dict[str, Any]) -> str:
    """The last checkpoint as somebody else might have made it, and sent it alone."""
    content = torch.load(newest("last.ckpt"), weights_only=True)
    content["datamodule_hyper_parameters"] |= changes
    content["config"]["trainer"] |= trainer
    torch.save(content, path)
    return str(path)


def test_nothing_is_written_where_a_checkpoint_says(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home/seqlight"
    assert run("fit", *SMALL, "--data.cache_dir=mine", NONE).code == 0
    assert list(Path("mine/streams").iterdir())
    assert not home.exists()
    logger = "lightning.pytorch.loggers.TensorBoardLogger"
    theirs = foreign(
        Path("sent.ckpt"),
        {"cache_dir": str(tmp_path / "theirs")},
        {"logger": [{"class_path": logger, "init_args": {"save_dir": "runs", "sub_dir": str(tmp_path / "theirs")}}]},
    )
    for words in (("test",), ("fit", "--trainer.max_epochs=2")):
        done = run(*words, "--ckpt_path", theirs)
        assert done.code == 0, done.err
    assert list(Path("runs").rglob("events.out.tfevents*"))  # the logger was taken, its place was not
    assert not (tmp_path / "theirs").exists()
    assert list((home / "streams").iterdir())
    before = {path.name for path in home.rglob("*")}
    assert run("test", "--ckpt_path", theirs, "--data.cache_dir=here").code == 0  # a flag is the user's word
    assert list(Path("here/streams").iterdir())
    assert {path.name for path in home.rglob("*")} == before


def test_what_a_checkpoint_reads_is_read_or_left_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert run("fit", *SMALL, NONE).code == 0
    Path("here.csv").write_text("he went,he wetn\n")
    english = {"spelling": False, "grammar": False, "pairs": "here.csv", "blimp": "/home/somebody/blimp"}
    callback = {"class_path": "seq_modules.callbacks.EnglishTests", "init_args": english}
    theirs = foreign(Path("sent.ckpt"), {}, {"callbacks": [callback]})
    done = run("test", "--ckpt_path", theirs)
    assert done.code == 0, done.err
    assert "EnglishTests has blimp /home/somebody/blimp, not found here" in caplog.text
    assert "test/pairs_here" in done.out
    assert "test/blimp" not in done.out
    # A text that is not there leaves nothing to test on.
    Path("lines.txt").rename("moved.txt")
    done = run("test", "--ckpt_path", theirs)
    assert done.code == 2
    assert "lines.txt" in done.err
    assert "--data.path" in done.err
    done = run("test", "--ckpt_path", theirs, "--data.path=moved.txt")
    assert done.code == 0, done.err
