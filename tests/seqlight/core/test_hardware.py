"""What a machine is said to compute quickly."""

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from seqlight.core import hardware
from seqlight.core.hardware import Rates


def test_instructions_end_where_onednn_is_told_to_stop() -> None:
    limit = "avx512_core"
    program = "from seqlight.core import hardware as h; print(h.multiplies_bf16('cpu'), h.capability(), sep='|')"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": limit}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    emulated, capability = done.stdout.strip().split("|")
    assert emulated == "False"
    assert capability.endswith(f", oneDNN up to {limit.upper()}, bf16 emulated")


def test_measuring_leaves_random_numbers_and_gradients_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with torch.inference_mode():
        found = hardware.measure("cpu", seconds=0.0)
    assert torch.equal(torch.rand(4), expected)
    assert found.fp32 > 0.1  # GFLOP/s; no processor that runs torch is slower
    assert found.bf16 > 0.0
    assert found.ratio == found.bf16 / found.fp32


def test_a_machine_is_measured_once_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, str]] = []
    threads = torch.get_num_threads()

    def measure(device: str, clock: str, *args: Any) -> Rates:
        calls.append((torch.get_num_threads(), clock))
        return Rates(12.0, 34.0)

    monkeypatch.setattr(hardware, "measure", measure)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "A processor"})
    monkeypatch.setattr(hardware, "known_rates", {})
    torch.set_num_threads(2)
    try:
        assert hardware.rates("cpu") is hardware.rates("cpu")
        line = hardware.describe("cpu")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert calls == [(1, "thread_time")]
    assert line.startswith("A processor, ")
    assert line.endswith(f": 12 GFLOP/s in fp32, 34 in bf16 on one thread; threads 2; torch {torch.__version__}")


@pytest.mark.parametrize(("code", "printed", "bf16"), [(0, "30.5 900.25\n", 900.25), (-4, "", 0.0)])
def test_a_processor_that_announces_amx_is_tried_in_another_process(
    monkeypatch: pytest.MonkeyPatch, code: int, printed: str, bf16: float
) -> None:
    def run(words: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, code, printed)

    def measure(device: str, clock: str, dtypes: tuple[torch.dtype, ...], *args: Any) -> Rates:
        assert dtypes == (torch.float32,)  # the other would end this process
        return Rates(30.5, 0.0)

    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": True})
    monkeypatch.setattr(hardware.subprocess, "run", run)
    monkeypatch.setattr(hardware, "measure", measure)
    monkeypatch.setattr(hardware, "known_rates", {})
    assert hardware.rates("cpu") == Rates(30.5, bf16)


def test_that_other_process_prints_two_rates() -> None:
    words = [sys.executable, "-P", hardware.__file__]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    fp32, bf16 = map(float, done.stdout.split())
    assert fp32 > 0.1
    assert bf16 > 0.0
