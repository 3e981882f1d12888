"""Speed of the recurrent backends beside torch.nn's own modules: forward and backward of one layer, one direction.

    flock /tmp/cpu.lock python benchmarks/speed/cells.py

All contenders run in one process, one after another in every round, so that a slow moment of the machine meets them
all. Each has a run that does not count before the one that does. NumPy comes last and a pause follows: its threads go
on spinning for a while, at the expense of whatever runs next. A round gives each contender's speed as a fraction of
torch.nn's in the same round; the table has the median of the rounds, and the smallest and largest.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.nets.rnn.recurrent_config import Backend

MODULES: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def contenders(cell: str, input_size: int, hidden_size: int) -> dict[str, nn.Module]:
    """All engines with equal weights; torch.nn first."""
    peer = MODULES[cell](input_size, hidden_size, batch_first=True)
    modules: dict[str, nn.Module] = {"torch.nn": peer}
    for backend in get_args(Backend):
        name = f"{backend} (ours)"
        modules[name] = Recurrent(input_size, hidden_size=hidden_size, cell=cell, backend=backend)  # type: ignore[arg-type]
        modules[name].load_state_dict(peer.state_dict())
    return modules


def measured(run: Callable[[], object]) -> float:
    """Milliseconds that a call takes, after one that does not count."""
    run()
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def compare(cell: str, args: argparse.Namespace) -> list[str]:
    """The rows of the table for one cell."""
    modules = contenders(cell, args.input_size, args.hidden_size)
    x = torch.randn(args.batch_size, args.seq_len, args.input_size, requires_grad=True)
    weights = torch.randn(args.batch_size, args.seq_len, args.hidden_size)

    def train(module: nn.Module) -> Tensor:
        x.grad = None
        module.zero_grad()
        outputs: Tensor = module(x)[0]
        outputs.backward(weights)
        return outputs.detach()

    expected = train(modules["torch.nn"])
    for name, module in modules.items():
        torch.testing.assert_close(train(module), expected, rtol=0, atol=1e-5, msg=f"{cell} {name} is wrong")
        for _ in range(args.warm_up):
            train(module)
    rounds = []
    for _ in range(args.rounds):
        time.sleep(0.2)
        rounds.append({name: measured(partial(train, module)) for name, module in modules.items()})
    lines = []
    for name in modules:
        ratios = [times["torch.nn"] / times[name] for times in rounds]
        milliseconds = statistics.median(times[name] for times in rounds)
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {cell} | {name} | {milliseconds:.1f} | {'1' if name == 'torch.nn' else spread} |")
    return lines


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--seq_len", type=int, default=100)
    parser.add_argument("--input_size", type=int, default=128)
    parser.add_argument("--hidden_size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warm_up", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    print(
        f"torch {torch.__version__}, float32, {args.threads} threads, B {args.batch_size}, T {args.seq_len}, "
        f"D {args.input_size}, H {args.hidden_size}, {args.rounds} rounds\n"
    )
    print("| cell | engine | ms, forward + backward | speed, torch.nn = 1: median (min to max) |\n|---|---|---:|---|")
    for cell in args.cells:
        print("\n".join(compare(cell, args)), flush=True)


if __name__ == "__main__":
    main()
