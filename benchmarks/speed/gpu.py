"""What a GPU makes of the GPT's training step: tokens a second, use of its products (MFU), memory, attention's kernel.

    python benchmarks/speed/gpu.py [--report FILE]                     # one process, under ten minutes
    torchrun --nproc_per_node=gpu benchmarks/speed/gpu.py              # as many as there are GPUs, by DDP
    python benchmarks/speed/gpu.py --sizes tiny                        # the same on a CPU, in seconds

Sizes are nanoGPT's net for tiny Shakespeare (10.7 million parameters) and GPT-2 small (124 million). Each is trained in
bf16-mixed with fused AdamW for so many seconds after a warm-up: as it is written, with its blocks compiled, and with
their activations computed again (ActivationCheckpointing). Processes first add a number up over NCCL (on CPUs over
gloo), also if there is one alone. torch's profiler tells which kernel computes the attention; the program fails on a
GPU if it is not a fused one.

MFU is the fraction of the device's rate that goes into the net: 6 operations for each token and weight of a product and
12·L·T·D for each token's attention (Chowdhery et al. 2022), over the datasheet's dense bf16 rate where the device is
known, and over the rate that a large product reaches here. Memory is the most that torch has allocated (on a CPU, the
process's largest resident size so far).
"""

import argparse
import os
import resource
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import profile
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.training.optim import adamw
from seqlight.core.hardware import name, rates

DATASHEET = {"A100": 312e12, "H100": 989e12, "H200": 989e12}  # dense bf16, operations a second; SXM
FUSED = ("flash_attention", "efficient_attention", "cudnn_attention")  # in the names of torch's fused kernels
VARIANTS = ("as written", "compiled", "recomputed")


@dataclass(frozen=True)
class Size:
    """A net and its batch.

    Attributes:
        config: Shape of the net.
        vocab_size: Number of tokens.
        batch_size: Rows of a process.
    """

    config: GPTConfig
    vocab_size: int
    batch_size: int

    @property
    def tokens(self) -> int:
        """Of a step of one process."""
        return self.batch_size * self.config.max_seq_len

    @property
    def operations(self) -> float:
        """Of one token, forward and backward."""
        c = self.config
        weights = 12 * c.num_layers * c.d_model**2 + self.vocab_size * c.d_model
        return 6 * weights + 12 * c.num_layers * c.max_seq_len * c.d_model


def shape(width: int, layers: int, heads: int, window: int) -> GPTConfig:
    """GPT-2's form, with torch's attention."""
    return GPTConfig(d_model=width, num_layers=layers, num_heads=heads, max_seq_len=window, attention="sdpa")


SIZES = {
    "tiny": Size(shape(32, 2, 2, 16), 65, 4),
    "10.7M": Size(shape(384, 6, 6, 256), 65, 64),
    "124M": Size(shape(768, 12, 12, 1024), 50257, 16),
}


@dataclass
class Training:
    """One net in training.

    Attributes:
        net: The net, in DDP where there are several processes.
        optimizer: Its optimiser.
        ids: A batch (B, T + 1).
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    ids: Tensor

    def step(self) -> Tensor:
        """Trains on the batch; the loss."""
        with torch.autocast(self.ids.device.type, torch.bfloat16):
            logits = self.net(self.ids[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1).float(), self.ids[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def training(size: Size, variant: str, device: torch.device) -> Training:
    """A fresh net of a size, as one of VARIANTS."""
    torch.manual_seed(0)
    net = GPT(size.vocab_size, size.config).to(device)
    for block in net.blocks:
        if variant == "compiled":
            block.compile(dynamic=False)
        elif variant == "recomputed":
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
    wrapped = DistributedDataParallel(net) if dist.get_world_size() > 1 else net
    ids = torch.randint(size.vocab_size, (size.batch_size, size.config.max_seq_len + 1), device=device)
    return Training(wrapped, adamw(net.parameters(), 3e-4, 0.1, (0.9, 0.95), fused=True), ids)


def attention_kernel(trained: Training) -> str:
    """The operation of torch that computes the attention in a step, by the profiler."""
    with profile() as seen:
        trained.step()
    names = {event.key for event in seen.key_averages() if "scaled_dot_product" in event.key}
    return ", ".join(sorted(n.removeprefix("aten::") for n in names if n.startswith("aten::_") and "backward" not in n))


def seconds_per_step(trained: Training, seconds: float) -> tuple[float, float]:
    """Mean over so many seconds, after three steps that are not counted; and the last loss."""
    device = trained.ids.device

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        trained.step()
    wait()
    steps, used = 0, 0.0
    started = time.perf_counter()
    while used < seconds:
        for _ in range(5):
            loss = trained.step()
        wait()
        steps, used = steps + 5, time.perf_counter() - started
        more = torch.tensor(used, device=device)
        dist.all_reduce(more, dist.ReduceOp.MAX)  # all processes make the same number of steps
        used = float(more)
    return used / steps, float(loss)


def peak_memory(device: torch.device) -> float:
    """In GB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(label: str, variant: str, device: torch.device, seconds: float) -> str:
    """One line of the table."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    size = SIZES[label]
    trained = training(size, variant, device)
    trained.step()  # compiles
    kernel = attention_kernel(trained)
    if device.type == "cuda" and not any(part in kernel for part in FUSED):
        sys.exit(
            f"{label}, {variant}: the attention is computed by {kernel or 'no kernel of its own'}, not a fused one"
        )
    per_step, loss = seconds_per_step(trained, seconds)
    if not loss < 1.2 * torch.tensor(float(size.vocab_size)).log():  # NaN too
        sys.exit(f"{label}, {variant}: the loss is {loss}, worse than chance")
    rate = size.tokens / per_step  # tokens a second of one process
    used = rate * size.operations
    peaks = [peak for part, peak in DATASHEET.items() if device.type == "cuda" and part in name("cuda")]
    of_datasheet = f"{100 * used / peaks[0]:.1f} %" if peaks else "-"
    of_product = f"{100 * used / (1e9 * rates(device.type).bf16):.1f} %"
    parameters = sum(p.numel() for p in trained.net.parameters())
    return (
        f"| {label} | {parameters / 1e6:.2f} M | {variant} | {dist.get_world_size() * rate:,.0f} | {of_datasheet} | "
        f"{of_product} | {peak_memory(device):.2f} | {kernel} |"
    )


def start() -> torch.device:
    """Joins the processes, which add up a number; the device of this one."""
    gpu = torch.cuda.is_available()
    for variable, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        os.environ.setdefault(variable, value)  # torchrun sets them
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    total = torch.tensor(dist.get_rank() + 1.0, device=device)
    dist.all_reduce(total)
    world = dist.get_world_size()
    if float(total) != world * (world + 1) / 2:
        sys.exit(f"{dist.get_backend()} added {world} numbers up to {float(total)}")
    return device


def main() -> None:
    """Measures, and prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ["10.7M", "124M"] if torch.cuda.is_available() else ["tiny"]
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=default)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each training that is measured")
    parser.add_argument("--report", type=Path, help="file for the table")
    given = parser.parse_args()
    device = start()
    if device.type == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    lines = [
        "| size | parameters | blocks | tokens/s | MFU, datasheet | MFU, measured product | memory, GB | attention |",
        "|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for label in given.sizes:
        for variant in given.variants:
            lines.append(measure(label, variant, device, given.seconds))
            if dist.get_rank() == 0:
                print(lines[-1], file=sys.stderr, flush=True)
    lines.append(
        f"\n{dist.get_world_size()} process(es) over {dist.get_backend()}, {name(device.type)}, "
        f"{rates(device.type).bf16:,.0f} GFLOP/s in bf16, torch {torch.__version__}; {given.seconds:g} s each."
    )
    if dist.get_rank() == 0:
        print("\n".join(lines))
        if given.report:
            given.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
