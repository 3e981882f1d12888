"""Two processes that divide the weights (FSDP2) train as one does, and what they save is read by one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import LINES, by_two_processes, newest, without_final_validation
from helpers.commands.translation import SHORT, SMALL_STEPS, TOKENS, TRANSFORMER

import seqlight
from seqlight.core.plots import read_metrics

COMMON = (
    "fit", "--config=text/gpt_char", "--model.net.d_model=16", "--model.net.num_layers=2", "--model.net.num_heads=2",
    "--model.net.dropout=0", "--model.optim.schedule=constant", "--model.optim.warmup_steps=2", "--data.path=text.txt",
    "--data.cache_dir=cache", "--data.seq_len=16", "--data.windows.crops=tiled", "--data.windows.epoch_size=20",
    "--data.windows.eval_size=9",  # of two processes with batches of 4, the first has one more
    "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.gradient_clip_val=0.5",
    '--trainer.callbacks=[{"class_path":"GradientNorm"}]', "--trainer.accelerator=cpu",
)  # fmt: skip
STRATEGY = ("--config=trainer/fsdp", "--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.precision=32-true")
TWO = (*STRATEGY, "--data.batch_size=4")
COMPILED = '--trainer.callbacks+={"class_path":"Compile","init_args":{"backend":"eager"}}'
TRANSLATOR = (
    "fit", *TRANSFORMER, *SMALL_STEPS, "--model.net.dropout=0", "--trainer.callbacks=[]", "--experiment=translator",
)  # fmt: skip
TOLERANCE = 2e-6
PARTS = [".metadata", ".sha256", "__0_0.distcp", "__1_0.distcp", "meta.pt"]  # files of a checkpoint in parts


def assert_equal(expected: Path, found: Path) -> None:
    """Two checkpoints hold the same weights and moments, at the same places."""
    a, b = (torch.load(path, weights_only=True) for path in (expected, found))
    assert a.keys() == b.keys()
    assert a["global_step"] == b["global_step"]
    assert a["hyper_parameters"] == b["hyper_parameters"]
    torch.testing.assert_close(b["state_dict"], a["state_dict"], rtol=0, atol=TOLERANCE)
    (a,), (b,) = a["optimizer_states"], b["optimizer_states"]
    assert a["param_groups"] == b["param_groups"]
    torch.testing.assert_close(b["state"], a["state"], rtol=0, atol=TOLERANCE)


def assert_same_translator(run: Run, one: Path, two: Path) -> None:
    """The translator, whose validation and test decode, does the same in one process as it did in two."""
    os.chdir(one)
    for words in (
        [*TRANSLATOR, f"--data.batch_tokens={TOKENS}", "--data.batch_size=4"],
        ["test", "--ckpt_path=last", SHORT, "--data.cache_dir=cache"],
    ):
        done = run(*words)
        assert done.code == 0, done.err
    checkpoints = [newest("last.ckpt", folder / "runs/translator") for folder in (one, two)]
    states = [torch.load(path, weights_only=True)["state_dict"] for path in checkpoints]
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=1e-5)
    for pattern, names in (
        ("metrics.csv", ("train/loss", "val/loss", "val/chrf")),
        ("test/*/metrics.csv", ("test/loss", "test/chrf")),
    ):
        expected, got = (read_metrics(next(path.parents[1].glob(pattern))) for path in checkpoints)
        for name in names:
            assert [value for _, value in got[name]] == pytest.approx([v for _, v in expected[name]], abs=1e-5), name


def test_two_processes_do_what_one_does(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "text.txt").write_text(LINES)
    os.chdir(one)  # the fixture goes back
    assert run(*COMMON, "--data.batch_size=8", "--trainer.max_steps=5", "--experiment=begun").code == 0
    assert run(*COMMON, "--data.batch_size=8", "--experiment=whole").code == 0
    (begun,), (whole,) = ((one / "runs" / name).glob("*/checkpoints/last.ckpt") for name in ("begun", "whole"))
    apart = "--trainer.strategy.save_distributed_checkpoint=true"
    on = ("--trainer.max_steps=-1", "--data.cache_dir=cache", *TWO)
    by_two_processes(two, [
        [*COMMON, *TWO, "--trainer.max_steps=5", "--experiment=two"],
        ["fit", "--ckpt_path=last", *on, COMPILED],
        [*COMMON, *TWO, "--trainer.max_steps=5", "--experiment=parts", apart],
        ["fit", "--ckpt_path=last", *on, "--experiment=from_parts"],
        ["fit", f"--ckpt_path={begun}", *on, "--experiment=from_one", "--trainer.default_root_dir=runs"],
        ["test", "--ckpt_path=last", *TWO],
        ["predict", "--ckpt_path=last", *TWO, '--data.prompts=["the dog","he"]', "--decoding.max_new_tokens=9"],
        [*TRANSLATOR, *STRATEGY, f"--data.batch_tokens={TOKENS // 2}", "--data.batch_size=2"],
        ["test", "--ckpt_path=last", *STRATEGY, SHORT, "--data.cache_dir=cache"],
    ])  # fmt: skip
    assert_same_translator(run, one, two)

    first, resumed = sorted((two / "runs/two").glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    assert_equal(begun, first)
    for checkpoint in (
        resumed,
        newest("last.ckpt", two / "runs/from_parts"),
        newest("last.ckpt", two / "runs/from_one"),
    ):
        assert_equal(whole, checkpoint)
    expected = read_metrics(whole.parents[1] / "metrics.csv")
    parts = [read_metrics(path.parents[1] / "metrics.csv") for path in (first, resumed)]
    for name in ("train/loss", "val/loss", "grad/norm"):
        parts[0][name] = without_final_validation(parts[0].get(name, []), expected[name])
        got = [value for part in parts for _, value in part.get(name, [])]
        assert got == pytest.approx([value for _, value in expected[name]], abs=TOLERANCE), name

    # What each process wrote for itself, read by one.
    (folder,) = (two / "runs/parts").glob("*/checkpoints/last.ckpt")
    assert sorted(path.name for path in folder.iterdir()) == PARTS
    weights = seqlight.load(folder).state_dict()
    torch.testing.assert_close(weights, seqlight.load(begun).state_dict(), rtol=0, atol=TOLERANCE)
    os.chdir(two)
    words = (f"--ckpt_path={folder}", "--trainer.accelerator=cpu", "--data.cache_dir=cache", "--data.batch_size=8")
    done = run("fit", *words, "--trainer.max_steps=-1", "--experiment=parts_by_one")
    assert done.code == 0, done.err
    assert_equal(whole, newest("last.ckpt", two / "runs/parts_by_one"))

    last = newest("last.ckpt", two / "runs/from_one")
    tested = read_metrics(newest("metrics.csv", two / "runs/from_one/").parent / "metrics.csv")
    done = run("test", f"--ckpt_path={last}", "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
    alone = read_metrics(newest("metrics.csv", two / "runs/from_one"))
    assert tested["test/loss"][0][1] == pytest.approx(alone["test/loss"][0][1], abs=TOLERANCE)
    predicted = newest("predictions.jsonl", two).read_text()
    done = run(
        "predict", f"--ckpt_path={last}", "--trainer.accelerator=cpu", '--data.prompts=["the dog","he"]',
        "--decoding.max_new_tokens=9",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert newest("predictions.jsonl", two).read_text() == predicted


@pytest.fixture
def one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """Words of a training with the strategy in this process, which is its only one; undone afterwards."""
    (tmp_path / "text.txt").write_text(LINES)
    before = dict(os.environ)
    yield (
        *COMMON,
        "--config=trainer/fsdp",
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        "--trainer.precision=32-true",
        "--data.batch_size=8",
    )
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model.optim.optimizer=muon",), "muon needs whole matrices"),
        (("--trainer.callbacks+=EMA",), "EMA needs whole weights"),
    ],
)
def test_what_needs_whole_weights_is_refused(
    run: Run, one_process: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    done = run(*one_process, *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_callbacks_that_need_whole_weights_are_left_out(
    run: Run, one_process: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    done = run(*one_process, "--trainer.callbacks+=Samples", "--trainer.max_steps=2")
    assert done.code == 0, done.err
    assert "left out, since the weights are divided among processes: Samples" in caplog.text
    assert "sample at step" not in done.out
    assert newest("last.ckpt").is_file()
