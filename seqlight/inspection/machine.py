"""The processor, the memory, the GPUs, and the precisions in which they compute."""

import os
import shutil
from collections.abc import Iterator

import psutil
import torch

from seqlight.command.precision import check_available, fastest
from seqlight.core import hardware
from seqlight.core.errors import UserError
from seqlight.devices import accelerator_here
from seqlight.inspection.findings import Finding

GIB = 2**30
# Lightning's precisions with the dtype of their products.
PRECISIONS = {
    "32-true": torch.float32,
    "bf16-mixed": torch.bfloat16,
    "bf16-true": torch.bfloat16,
    "16-mixed": torch.float16,
    "16-true": torch.float16,
    "64-true": torch.float64,
}


def processor() -> Iterator[Finding]:
    """Its name and instructions, its cores and torch's threads."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = f"{usable} of {os.cpu_count()} logical cores usable, torch takes {torch.get_num_threads()} threads"
    yield Finding("CPU", "ok", f"{hardware.name('cpu')}; {threads}")


def memory() -> Iterator[Finding]:
    """That of the machine, and what a container may take of it."""
    found = psutil.virtual_memory()
    yield Finding("memory", "ok", f"{found.total / GIB:.1f} GiB, {found.available / GIB:.1f} available")


def gpus() -> Iterator[Finding]:
    """Every GPU that torch sees, with its memory."""
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, size = torch.cuda.mem_get_info(index)
        major, minor = torch.cuda.get_device_capability(index)
        found = f"{torch.cuda.get_device_name(index)}, compute capability {major}.{minor}, "
        yield Finding(f"GPU {index}", "ok", f"{found}{size / GIB:.1f} GiB, {free / GIB:.1f} free")
    if torch.backends.mps.is_available():
        yield Finding("GPU", "ok", f"Apple's, by Metal; {torch.mps.recommended_max_memory() / GIB:.1f} GiB advised")
    elif not torch.cuda.is_available():
        build = "torch is built without CUDA" if torch.version.cuda is None else f"torch has CUDA {torch.version.cuda}"
        is_there = shutil.which("nvidia-smi") is not None
        remedy = "install a build of torch that fits the driver (pytorch.org); nvidia-smi shows it" if is_there else ""
        yield Finding("GPU", "missing", f"none that torch sees; {build}", remedy)


def precisions() -> Iterator[Finding]:
    """What works on each kind of device and how quickly, and what ``--trainer.precision auto`` takes."""
    own = accelerator_here("auto") or "cpu"
    for device in dict.fromkeys(("cpu", own)):
        working = [name for name, dtype in PRECISIONS.items() if works(name, dtype, device)]
        if device in hardware.SHAPES:
            rates, per = hardware.rates(device), " on one thread" if device == "cpu" else ""
            yield Finding(f"fp32 on {device}", "ok", f"{rates.fp32:.0f} GFLOP/s{per}")
            yield bf16(device, rates, per)
            working = [name for name in working if rates.bf16 or not name.startswith("bf16")]
        yield Finding(f"precisions on {device}", "ok", ", ".join(working))
    chosen, reason = fastest(own)
    yield Finding("precision auto", "ok", f"{chosen} on {own}: {reason}")


def bf16(device: str, rates: hardware.Rates, per: str) -> Finding:
    """Products in bf16 on a device."""
    name, rate = f"bf16 on {device}", f"{rates.bf16:.0f} GFLOP/s{per}"
    if not rates.bf16:
        remedy = "set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 in the environment, or stay with --trainer.precision 32-true"
        return Finding(name, "missing", "products end the process in an illegal instruction", remedy)
    if not hardware.multiplies_bf16(device):
        return Finding(name, "missing", f"emulated, without instructions: {rate}", "use --trainer.precision auto")
    return Finding(name, "ok", rate)


def works(precision: str, dtype: torch.dtype, device: str) -> bool:
    """Whether a kind of device computes in a precision; tried on one small product, except for bf16 on a CPU.

    There the product may end the process: hardware.rates() tries it in another one.
    """
    if precision == "16-mixed" and device == "cpu":  # Lightning takes bf16-mixed in its place
        return False
    try:
        check_available(precision, device)
        if device != "cpu" or dtype != torch.bfloat16:
            one = torch.ones(2, 2, device=device, dtype=dtype)
            return bool((one @ one).sum() == 8)
    except (UserError, RuntimeError, TypeError):
        return False
    return True
