"""Two processes on the CPU do what one does with the global batch: through the command, as a user starts them."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from conftest import Run, run_in
from helpers.commands.runs import by_two_processes
from helpers.processes.commands import ODD_PARITY, finish, only, rank_processes, start, wait_until_trained

from seqlight.core.plots import read_metrics

TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same training by one process with batches of 20 and by two with batches of 10."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    words = ["fit", "--config=parity/lstm_last", *ODD_PARITY]
    both = start([*words, "--config=trainer/ddp", "--data.batch_size=10"], two)
    for said in (run_in(one, *words, "--config=trainer/cpu", "--data.batch_size=20"), finish(both)):
        assert said.count("results: ") == 1  # rank 0 alone speaks
        assert said.count("epoch 2/2") == 1
    return one, two


def test_ddp_trains_like_the_joined_batch(one_and_two: tuple[Path, Path]) -> None:
    one, two = (read_metrics(only(folder, "metrics.csv")) for folder in one_and_two)
    for name in ("train/loss", "val/loss", "val/accuracy_all", "val/accuracy_last", "train/accuracy_all"):
        assert len(one[name]) == len(two[name]) > 0
        for (step, expected), (other_step, value) in zip(one[name], two[name], strict=True):
            assert step == other_step
            assert value == pytest.approx(expected, abs=TOLERANCE), name
    weights = [torch.load(only(f, "last.ckpt"), weights_only=True) for f in one_and_two]
    for name, expected in weights[0]["state_dict"].items():
        torch.testing.assert_close(weights[1]["state_dict"][name], expected, rtol=0, atol=TOLERANCE)
    # Adam's first moment is a running mean of the gradients: equal moments at every weight, equal gradients.
    first = [w["optimizer_states"][0]["state"] for w in weights]
    for key, state in first[0].items():
        torch.testing.assert_close(first[1][key]["exp_avg"], state["exp_avg"], rtol=0, atol=TOLERANCE)


def test_ddp_tests_and_predicts_each_row_once(
    run: Run, one_and_two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = one_and_two
    bits = json.dumps([format(i, "b") for i in range(23)])
    short = {"max_length": 44, "sequences": 8, "stream_bits": 50}
    few = f"--trainer.callbacks={json.dumps([{'class_path': 'LengthSweep', 'init_args': short}])}"
    commands = [
        ["test", "--ckpt_path=best", "--data.batch_size=8", few],
        ["predict", "--ckpt_path=best", "--data.bits", bits, "--data.batch_size=4"],
        ["predict", "--ckpt_path=best", "--data.bits", '["0110"]'],  # one row for two processes
    ]
    by_two_processes(two, [[*words, "--config=trainer/ddp"] for words in commands])
    monkeypatch.chdir(one)
    assert [run(*words, "--config=trainer/cpu").code for words in commands] == [0, 0, 0]
    metrics = [read_metrics(next(f.rglob("test/*/metrics.csv"))) for f in one_and_two]
    assert {"test/loss", "test/accuracy_last", "test/sweep_accuracy", "test/stream_errors"} <= set(metrics[0])
    for name, curve in metrics[0].items():
        assert metrics[1][name][0][1] == pytest.approx(curve[0][1], abs=TOLERANCE), name
    rows = []
    for folder in one_and_two:
        several, single = sorted(folder.rglob("predictions.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        assert len(single.read_text().splitlines()) == 1
        rows.append([json.loads(line) for line in several.read_text().splitlines()])
    assert [row["bits"] for row in rows[1]] == [format(i, "b") for i in range(23)]
    for expected, row in zip(*rows, strict=True):
        assert row["probability_odd"] == pytest.approx(expected["probability_odd"], abs=1e-5)


def test_ranks_draw_noise_of_their_own_and_resume_it(tmp_path: Path) -> None:
    """In bf16-true, whose weights are rounded at random: all ranks round alike, whatever noise they have drawn."""
    words = ["fit", "--config=parity/lstm_last", "--config=trainer/ddp", *ODD_PARITY, "--data.batch_size=10"]
    words += ["--model.input_noise=0.5", "--trainer.precision=bf16-true"]
    words += ['--trainer.callbacks=[{"class_path":"helpers.processes.rank_weights.RankWeights"}]']
    # Two processes resume, which the checkpoint alone would not start. Their noise is the checkpoint's, not the seed's.
    resume = ["fit", "--ckpt_path=last", "--config=trainer/ddp", "--trainer.max_steps=-1", "--seed_everything=5"]
    by_two_processes(tmp_path, [words], [[*words, "--trainer.max_steps=13"], resume])
    whole = torch.load(only(tmp_path / "0", "last.ckpt"), weights_only=True)["state_dict"]
    first, resumed = sorted((tmp_path / "1").rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    state = torch.load(first, weights_only=True)
    ranks = next(s for name, s in state["callbacks"].items() if name.startswith("RNGState"))["ranks"]
    assert len(ranks) == 2
    assert not torch.equal(ranks[0]["torch"], ranks[1]["torch"])
    rest = torch.load(resumed, weights_only=True)["state_dict"]
    assert all(torch.equal(whole[name], rest[name]) for name in whole)
    for folder in "01":
        held = [torch.load(tmp_path / folder / f"weights-{rank}.pt", weights_only=True) for rank in "01"]
        for name, expected in held[0].items():
            assert expected.dtype == torch.bfloat16
            assert torch.equal(held[1][name], expected), name


def test_torchrun(one_and_two: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["fit", "--config=parity/lstm_last", "--config=trainer/ddp", *ODD_PARITY, "--data.batch_size=10"]
    by_two_processes(tmp_path, [words])  # which torchrun started
    expected = torch.load(only(one_and_two[1], "last.ckpt"), weights_only=True)["state_dict"]
    got = torch.load(only(tmp_path, "last.ckpt"), weights_only=True)["state_dict"]
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert len(list((tmp_path / "runs/parity/lstm_last").iterdir())) == 1  # one folder, made by rank 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    words = ["fit", "--config=parity/lstm_last", "--config=trainer/ddp", *ODD_PARITY, "--data.batch_size=10"]
    process = start([*words, "--trainer.max_epochs=100000", "--trainer.callbacks=[]"], tmp_path)
    wait_until_trained(tmp_path)
    # A terminal sends Ctrl-C to all processes; kill, and a batch system, their signal to the first.
    for pid in rank_processes(process).values() if number == signal.SIGINT else [process.pid]:
        os.kill(pid, number)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    checkpoint = only(tmp_path, "last.ckpt").relative_to(tmp_path)
    assert said.count(f"to go on: seqlight fit --ckpt_path {checkpoint}") == 1
    step = torch.load(tmp_path / checkpoint, weights_only=True)["global_step"]
    assert step > 0
    words = ["fit", "--ckpt_path", str(checkpoint), f"--trainer.max_steps={step + 2}"]
    if number == signal.SIGINT:
        assert run(*words, "--config=trainer/cpu").code == 0
    else:
        by_two_processes(tmp_path, [[*words, "--config=trainer/ddp"]])
    newest = max(tmp_path.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert torch.load(newest, weights_only=True)["global_step"] == step + 2
