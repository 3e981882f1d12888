"""seqlight prove: a command that proves, refutes, and checks certificates."""

import json
from pathlib import Path

import torch
from conftest import Run
from helpers.commands.runs import newest
from helpers.parity_nets import two_units


def put_weights(folder: Path, module: torch.nn.Module, hidden_size: int) -> Path:
    """Writes a hand-set net into a run's best checkpoint."""
    path = folder / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"] |= module.state_dict()
    content["hyper_parameters"]["net"]["hidden_size"] = hidden_size
    torch.save(content, path)
    return path


def test_a_net_is_proved_and_its_certificate_checked(run: Run, run_folder: Path) -> None:
    path = put_weights(run_folder, two_units("lstm"), 2)
    done = run("prove", "--ckpt_path=best")
    assert done.code == 0, done.err
    assert done.out.startswith("proved: right after every bit of every string")
    made = newest("certificate.json")
    assert made.parent.parent == run_folder.relative_to(Path.cwd()) / "prove"
    assert json.loads((made.parent / "proof.json").read_text())["verdict"] == "proved"
    assert (made.parent / "sets.png").stat().st_size > 1000
    checked = run("prove", f"--ckpt_path={path}", f"--check={made}")
    assert checked.code == 0
    assert checked.out.startswith("accepted: ")
    content = json.loads(made.read_text())
    content["centres"][0][0] += 0.5
    made.write_text(json.dumps(content))
    checked = run("prove", f"--ckpt_path={path}", f"--check={made}")
    assert checked.code == 1
    assert checked.out.startswith("refused: ")


def test_a_barely_trained_net_is_refuted(run: Run, run_folder: Path) -> None:
    done = run("prove", f"--ckpt_path={run_folder}")
    assert done.code == 1
    assert done.out.startswith("refuted: wrong after bit ")
    assert "next: seqlight fit --config parity/lstm_provable" in done.out
    done = run("prove", f"--ckpt_path={run_folder}", "--check=none.json")
    assert (done.code, done.err.split(";")[0]) == (2, "seqlight: error: --check none.json: no such file")
    report = json.loads(newest("proof.json").read_text())
    assert set(report["counterexample"]) <= {"0", "1"}


def test_mistakes_are_one_line(run: Run) -> None:
    for words, message in (
        (["--ckpt_path=best"], "--ckpt_path best: no run under runs/ has a best.ckpt"),
        (["--ckpt_pth=best"], "prove: unrecognized arguments: --ckpt_pth=best; use `seqlight prove"),
    ):
        done = run("prove", *words)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 2
