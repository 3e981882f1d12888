"""Two processes train on a stream as one does with the global batch; documents of unequal numbers stop nobody."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_metrics_of, by_two_processes, newest

from seqlight.core.plots import read_metrics

COMMON = (
    "fit", "--config=text/stream", "--data.path=shards", "--data.cache_dir=cache", "--data.tokenizer=char",
    "--data.seq_len=16", "--data.stream.num_streams=2", "--data.stream.epoch_size=48", "--data.stream.shuffle_buffer=6",
    "--model.net.d_model=16", "--model.net.num_layers=1", "--model.net.num_heads=2", "--model.optim.warmup_steps=2",
    "--model.optim.schedule=constant", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1",
    "--trainer.callbacks=[]",
)  # fmt: skip


def write_shards(folder: Path) -> None:
    """One long and one short shard: the process that reads the second begins it again many times."""
    folder.mkdir()
    for shard, rows in enumerate((200, 7)):
        texts = [f"{n} of the dogs went to sea {shard}." for n in range(rows)]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{shard}.jsonl").write_text(lines)


def test_two_processes_do_what_one_does_and_one_goes_on(run: Run, tmp_path: Path) -> None:
    two = tmp_path / "two"
    two.mkdir()
    for folder in (tmp_path, two):
        write_shards(folder / "shards")
    done = run(*COMMON, "--data.batch_size=8", "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
    commands = [
        [*COMMON, "--config=trainer/ddp", "--data.batch_size=4", "--data.num_workers=1", "--trainer.max_steps=8"],
        ["fit", "--ckpt_path=last", "--data.cache_dir=cache", "--trainer.max_steps=-1"],
    ]
    by_two_processes(two, commands)

    (whole,) = Path("runs/text/stream").iterdir()
    begun, _ = assert_metrics_of(whole, two, ("train/loss", "val/loss", "val/bits_per_character"), 2e-6)
    expected = [value for _, value in read_metrics(whole / "metrics.csv")["train/loss"]]
    assert len(expected) == 12
    # The two-process checkpoint holds the states of both processes' streams; one process continues with them.
    states = next(
        state["streams"] for state in torch.load(begun, weights_only=True).values()
        if isinstance(state, dict) and "streams" in state
    )  # fmt: skip
    assert states[1]["window"] > 0  # of the second process
    resumed = run("fit", f"--ckpt_path={begun}", "--trainer.max_steps=-1", "--config=trainer/cpu",
                  "--trainer.strategy=auto", "--data.batch_size=8", "--data.cache_dir=cache")  # fmt: skip
    assert resumed.code == 0, resumed.err
    losses = [value for _, value in read_metrics(newest("metrics.csv"))["train/loss"]]
    assert losses == pytest.approx(expected[-len(losses) :], abs=2e-6)
    assert len(losses) == 4
