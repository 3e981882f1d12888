"""Speed of the linear recurrences' scans beside torch.nn.GRU on long sequences: forward and backward of one layer.

    python benchmarks/speed/linear_recurrence.py

torch.nn.GRU has three times the weights of minGRU, so the products alone leave a factor of three. The rest is what the
scan saves: the GRU takes T small steps. --clock cpu takes the process's own time, for a machine that does other work.
timing.py says what the table has.
"""

import argparse
from functools import partial

import torch
from timing import CLOCKS, median, speed, time_rounds
from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig

CELLS = ("mingru", "minlstm", "diagonal", "deltanet")


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--seq_len", type=int, default=2048)
    parser.add_argument("--hidden_size", type=int, default=64, help="Width of the inputs too.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    size = args.hidden_size
    nets: dict[str, nn.Module] = {"torch.nn.GRU": nn.GRU(size, size, batch_first=True)}
    for cell in args.cells:
        nets[f"{cell}, scan"] = build_recurrent(size, RecurrentConfig(cell, size))
    if "mingru" in args.cells:
        nets["mingru, loop"] = build_recurrent(size, RecurrentConfig("mingru", size, backend="loop"))
        nets["mingru, loop"].load_state_dict(nets["mingru, scan"].state_dict())
    x = torch.randn(args.batch_size, args.seq_len, size, requires_grad=True)
    weights = torch.randn(args.batch_size, args.seq_len, size)

    def train(net: nn.Module) -> Tensor:
        x.grad = None
        net.zero_grad()
        outputs: Tensor = net(x)[0]
        outputs.backward(weights)
        return outputs.detach()

    outputs = {name: train(net) for name, net in nets.items()}  # and a first run of each, which is not timed
    if "mingru" in args.cells:
        torch.testing.assert_close(outputs["mingru, scan"], outputs["mingru, loop"], rtol=0, atol=1e-5)
    runs = {name: partial(train, net) for name, net in nets.items()}
    rounds = time_rounds(runs, args.rounds, clock=CLOCKS[args.clock])
    print(
        f"torch {torch.__version__}, float32, {args.threads} threads, {args.clock} time, B {args.batch_size}, "
        f"T {args.seq_len}, D {size}, H {size}, {args.rounds} rounds\n"
    )
    print("| net | ms, forward + backward | speed, torch.nn.GRU = 1: median (min to max) |\n|---|---:|---|")
    for name in nets:
        print(f"| {name} | {1e3 * median(rounds, name):.1f} | {speed(rounds, name, 'torch.nn.GRU')} |")


if __name__ == "__main__":
    main()
