"""Speed of the recurrent backends beside torch.nn's own modules: forward and backward of one layer, one direction.

    python benchmarks/speed/cells.py

In every round each engine has a run that is not timed before the one that is. NumPy comes last and a pause follows,
because its threads spin for a while and slow down whatever runs next. timing.py says what the table has.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from timing import median, seconds, speed
from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import Recurrent

BACKENDS = ("loop", "bptt", "fused", "numpy")
MODULES: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def contenders(cell: str, input_size: int, hidden_size: int) -> dict[str, nn.Module]:
    """All engines with equal weights; torch.nn first."""
    peer = MODULES[cell](input_size, hidden_size, batch_first=True)
    modules: dict[str, nn.Module] = {"torch.nn": peer}
    for backend in BACKENDS:
        name = f"{backend} (ours)"
        modules[name] = Recurrent(input_size, hidden_size=hidden_size, cell=cell, backend=backend)  # type: ignore[arg-type]
        modules[name].load_state_dict(peer.state_dict())
    return modules


def after_one(run: Callable[[], object]) -> float:
    """Seconds of a call, after one that is not timed."""
    run()
    return seconds(run)


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
        rounds.append({name: after_one(partial(train, module)) for name, module in modules.items()})
    return [
        f"| {cell} | {name} | {1e3 * median(rounds, name):.1f} | {speed(rounds, name, 'torch.nn')} |"
        for name in modules
    ]


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
