"""The GPU's benchmark on a CPU: processes meet, nets train, the attention's kernel is named, a table is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = str(ROOT / "benchmarks/speed/gpu.py")


@pytest.mark.parametrize("processes", [1, 2])
def test_the_table(tmp_path: Path, processes: int) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    words = ["--sizes", "tiny", "--variants", "as written", "recomputed", "--seconds=0.05", "--report=table.md"]
    done = subprocess.run(
        [*([sys.executable] if processes == 1 else launcher), SCRIPT, *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "table.md").read_text()
    assert table.strip() == done.stdout.strip()
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


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--sizes", "huge"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "invalid choice: 'huge'" in done.stderr
