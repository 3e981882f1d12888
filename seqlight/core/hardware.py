"""What this machine computes quickly: its instructions, and its measured rates of matrix products.

Engines and precisions are chosen by what stands here. A choice changes rounding, and a resumed run must be able to
repeat an unbroken one to the last bit. So engines go by capability alone, which is the same in every process of a
machine. The one choice that a measurement decides, ``--trainer.precision auto``, is made once a run and saved with it
(seqlight/command/precision.py); the trials of a sweep on one machine go by one measurement (seqlight/sweep/runner.py).

oneDNN, which computes the products on CPUs, can be held to older instructions by the environment variable
ONEDNN_MAX_CPU_ISA, and torch's other kernels by ATEN_CPU_CAPABILITY; both count here.
"""

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

# Values of ONEDNN_MAX_CPU_ISA below the first instructions for bf16 products.
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
WITHOUT_AMX = (*WITHOUT_BF16, "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512")
# Rows, inputs and outputs of the layer whose products are timed: a small GPT's on a CPU, a large one's on a GPU.
SHAPES = {"cpu": (512, 128, 512), "cuda": (8192, 2048, 8192)}
SMALL_NET = 5_000  # weights; the nets of parity and the perceptrons have fewer

Clock = Literal["perf_counter", "thread_time"]
known_rates: dict[str, "Rates"] = {}  # by kind of device: what rates() has measured, or what another process has


@dataclass(frozen=True)
class Rates:
    """Measured rates of a linear layer's products, forward and backward.

    Attributes:
        fp32: Of float32, in GFLOP/s (10⁹ multiplications and additions a second).
        bf16: Of bfloat16, in GFLOP/s; 0 where such a product ends the process in an illegal instruction.
    """

    fp32: float
    bf16: float

    @property
    def ratio(self) -> float:
        """How many times as quick bf16 is as fp32."""
        return self.bf16 / self.fp32


def onednn_limit() -> str:
    """The newest instructions that oneDNN may use, or "" for all."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return "" if limit in ("ALL", "DEFAULT") else limit


# Whether this CPU has instructions for products in bf16 (the last name is Arm's); oneDNN reads its limit once too.
CPU_BF16 = onednn_limit() not in WITHOUT_BF16 and any(
    torch.cpu.get_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")
)


def multiplies_bf16(device: str) -> bool:
    """Whether a kind of device ("cpu", "cuda") has instructions for products in bf16.

    Where they are emulated, they are many times slower than float32's.
    """
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and CPU_BF16


def compute_capability() -> tuple[int, int]:
    """Lowest compute capability among the GPUs that torch sees."""
    return min(torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count()))


def rates(device: str = "cpu") -> Rates:
    """Rates of a GPU, or of one thread of a CPU; measured once in a process, in some hundredths of a second."""
    if device not in known_rates:
        known_rates[device] = measure(device) if device != "cpu" else _rates_of_cpu()
    return known_rates[device]


def _rates_of_cpu() -> Rates:
    """Rates of one thread of the CPU.

    A thread is timed by its own clock: other programs on the machine, which interrupt longer products more often, do
    not count. A processor that announces AMX is measured in a process of its own, which takes seconds: some virtual
    machines announce AMX without having it, and the first product in bf16 ends the process.
    """
    if torch.cpu.get_capabilities().get("amx_tile", False) and onednn_limit() not in WITHOUT_AMX:
        words = [sys.executable, "-P", __file__]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            fp32, bf16 = map(float, done.stdout.split())
            return Rates(fp32, bf16)
        return Rates(one_thread((torch.float32,)).fp32, 0.0)
    return one_thread()


def one_thread(dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16), seconds: float = 0.05) -> Rates:
    """:func:`measure` on one thread of the CPU, by that thread's own clock."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        return measure("cpu", "thread_time", dtypes, seconds)
    finally:
        torch.set_num_threads(before)


def measure(
    device: str,
    clock: Clock = "perf_counter",
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16),
    seconds: float = 0.05,
) -> Rates:
    """Medians over rounds in which the precisions take turns.

    Args:
        device: "cpu" or "cuda".
        clock: The function of :mod:`time` to go by.
        dtypes: Precisions to measure; the others get 0.
        seconds: How long to go on; each precision is measured at least once.
    """
    rows, inputs, outputs = SHAPES[device]
    work = 3 * 2 * rows * inputs * outputs / 1e9  # of the product and of its two gradients
    made: dict[torch.dtype, list[float]] = {dtype: [] for dtype in dtypes}
    generator = torch.Generator(device).manual_seed(0)  # the run's own random numbers stay
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(rows, inputs, generator=generator, device=device)
        weight = torch.randn(outputs, inputs, generator=generator, device=device)
        layers = {dtype: [tensor.to(dtype).requires_grad_() for tensor in (x, weight)] for dtype in dtypes}
        ahead = {dtype: torch.ones(rows, outputs, device=device, dtype=dtype) for dtype in dtypes}
        for dtype in dtypes:
            _seconds(layers[dtype], ahead[dtype], clock)  # the first call sets up the kernels
        start = time.perf_counter()
        while time.perf_counter() - start < seconds or not made[dtypes[-1]]:
            for dtype in dtypes:
                made[dtype].append(work / _seconds(layers[dtype], ahead[dtype], clock))
    found = {dtype: statistics.median(values) for dtype, values in made.items()}
    return Rates(found.get(torch.float32, 0.0), found.get(torch.bfloat16, 0.0))


def _seconds(layer: list[torch.Tensor], ahead: torch.Tensor, clock: Clock) -> float:
    """Of one product and its gradients."""
    x, weight = layer
    now = getattr(time, clock)
    start = now()
    torch.autograd.grad(torch.nn.functional.linear(x, weight), layer, ahead)
    if x.is_cuda:
        torch.cuda.synchronize()
    return now() - start


@contextlib.contextmanager
def one_thread_for_small_nets(net: torch.nn.Module) -> Iterator[None]:
    """One thread while a small net is computed; more of them where ``OMP_NUM_THREADS`` says how many.

    Threads wait for each other after each operation. Those of a small net take microseconds, of which a second thread
    saves none. Where another program takes one of the cores, each lasts until that program's turn is over: an epoch of
    parity/lstm_last then took 8 s in place of 0.3.
    """
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ and sum(weight.numel() for weight in net.parameters()) <= SMALL_NET:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(device: str = "cpu") -> str:
    """The machine in one line, to stand beside any figure that depends on its speed."""
    found = rates(device)
    threads = f" on one thread; threads {torch.get_num_threads()}" if device == "cpu" else ""
    measured = f"{found.fp32:.0f} GFLOP/s in fp32, {found.bf16:.0f} in bf16"
    return f"{name(device)}: {measured}{threads}; torch {torch.__version__}"


def name(device: str = "cpu") -> str:
    """The processor, and what it is capable of."""
    if device == "cuda":
        major, minor = compute_capability()
        return f"{torch.cuda.get_device_name()}, compute capability {major}.{minor}"
    return f"{torch.cpu.get_capabilities().get('cpu_name') or platform.machine()}, {capability()}"


def capability() -> str:
    """Vector instructions that torch's kernels use on this CPU, and whether bf16 products are emulated."""
    limit = f", oneDNN up to {onednn_limit()}" if onednn_limit() else ""
    return f"{torch.backends.cpu.get_cpu_capability()}{limit}, bf16{'' if CPU_BF16 else ' emulated'}"


if __name__ == "__main__":  # the process of its own in rates()
    found = one_thread()
    print(found.fp32, found.bf16)
