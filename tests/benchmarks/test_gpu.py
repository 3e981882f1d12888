"""The GPU's benchmark on a CPU: processes meet, nets train, the attention's kernel is named, a table is written."""

import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks/speed"))

import gpu

WORDS = ["gpu.py", "--sizes", "tiny", "--variants", "as written", "recomputed", "--seconds=0.05", "--report=table.md"]


@pytest.fixture(autouse=True)
def _no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", WORDS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def as_rank(rank: int, processes: int, port: int) -> None:
    """The benchmark as one of several processes, with the variables that torchrun sets."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(processes), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    gpu.main()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_table(processes: int, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Forked, since the imports of new processes would take seconds.
    torch.multiprocessing.start_processes(as_rank, (processes, port), nprocs=processes, start_method="fork")
    table = Path("table.md").read_text()
    assert table.strip() == capfd.readouterr().out.strip()
    head, _, *rows, _, machine = table.strip().split("\n")
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    found = [dict(zip(columns, (c.strip() for c in row.strip("|").split("|")), strict=True)) for row in rows]
    assert [row["blocks"] for row in found] == ["as written", "recomputed"]
    for row in found:
        assert row["attention"] == "_scaled_dot_product_flash_attention_for_cpu"
        assert row["parameters"] == "0.03 M"  # 65·32 + 16·32 + 2·12·32² and biases
        assert float(row["tokens/s"].replace(",", "")) > 0
        assert row["MFU, datasheet"] == "-"
        assert float(row["memory, GB"]) > 0
    assert machine.startswith(f"{processes} process(es) over gloo, ")


def test_an_unknown_size_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--sizes", "huge"])
    with pytest.raises(SystemExit) as refused:
        gpu.main()
    assert refused.value.code == 2
    assert "invalid choice: 'huge'" in capsys.readouterr().err
