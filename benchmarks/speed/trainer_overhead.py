"""What our command costs over a bare PyTorch loop that does the same training.

    python benchmarks/speed/trainer_overhead.py [--rounds 7] [--epochs 15] [--clock wall|cpu]

Both sides use the same module, batches, optimiser, clipping and validation. The bare loop is one that a user would
write: it logs the loss every ten steps, computes the mean validation loss after each epoch, writes both to a CSV file,
and saves model and optimiser when the validation loss is the lowest so far. It has no metrics but the loss, no progress
bar, and cannot be resumed. The command does everything that it does by default: metrics, CSV logging, a best and a last
checkpoint from which training can be resumed, handling of signals, and a progress bar, which is drawn on a
pseudo-terminal. The training loop with validation is timed, without start-up. The two alternate in one process. The
table has the median, minimum and maximum of the ratio over the pairs. With ``--clock cpu`` it is the CPU time of the
process on one thread, which other work on the machine disturbs less.
"""

import argparse
import csv
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from timing import CLOCKS, Clock, spread
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datamodules import SequenceDataModule
from seq_modules import SequenceModule
from seq_modules.base import Step
from seq_modules.training.optim import OptimConfig, build_optimizer


class Mlp(SequenceModule):
    """A model whose step takes about 5 ms on two cores: enough work to matter, little enough that overhead shows."""

    def __init__(self, width: int = 512) -> None:
        super().__init__({}, OptimConfig(learning_rate=1e-3))
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(40, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def step(self, batch: dict[str, Tensor]) -> Step:
        x = nn.functional.pad(batch["input_ids"], (0, 40 - batch["input_ids"].shape[1])).float()
        return Step(self.net(x).square().sum(), torch.tensor(len(x)), {})


CASES = {
    "parity (configs/parity/lstm_last.yaml)": ["--config=parity/lstm_last", "--trainer.callbacks=[]"],
    "an MLP of about 5 ms a step": [
        "--model=trainer_overhead.Mlp", "--data=ParityDataModule", "--data.batch_size=448", "--data.train_size=44800",
        "--trainer.gradient_clip_val=1.0",
    ],
}  # fmt: skip


def fresh(made: Any) -> Any:
    """The module or datamodule anew, from its hyperparameters."""
    return type(made)(**{name: value for name, value in made.hparams.items() if not name.startswith("_")})


def bare_loop(module: SequenceModule, data: SequenceDataModule, epochs: int, folder: Path, clock: Clock) -> float:
    """The same training as one writes it in plain PyTorch; seconds."""
    optimizer = build_optimizer(module, module.optim)
    train, val = data.train_dataloader(), data.val_dataloader()
    best, step = float("inf"), 0
    started = clock()
    with (folder / "metrics.csv").open("w", newline="") as file:
        log = csv.writer(file)
        for _ in range(epochs):
            module.train()
            for batch in train:
                loss_sum, num_targets, _ = module.step(batch)
                loss = loss_sum / num_targets
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
                step += 1
                if step % 10 == 0:
                    log.writerow([step, "train/loss", loss.item()])
            module.eval()
            total, count = 0.0, 0
            with torch.inference_mode():
                for batch in val:
                    loss_sum, num_targets, _ = module.step(batch)
                    total, count = total + loss_sum.item(), count + int(num_targets)
            log.writerow([step, "val/loss", total / count])
            file.flush()
            if total / count < best:
                best = total / count
                state = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                torch.save(state, folder / "best.pt")
    return clock() - started


def command(
    words: list[str], epochs: int, folder: str, clock: Clock
) -> tuple[float, SequenceModule, SequenceDataModule]:
    """The training loop of ``seqlight fit``; seconds, and the module and data for the bare loop."""
    from lightning.pytorch import Callback
    from lightning.pytorch.trainer import Trainer

    from seqlight.command.arguments import prepare
    from seqlight.command.quiet import quieten
    from seqlight.command.trainer_cli import SeqCLI

    class Timer(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: SequenceModule) -> None:
            self.started = clock()

        def on_train_end(self, trainer: Trainer, pl_module: SequenceModule) -> None:
            self.seconds = clock() - self.started

    class Timed(SeqCLI):
        def before_fit(self) -> None:
            self.timer = Timer()
            self.trainer.callbacks.append(self.timer)

    settings = [f"--trainer.max_epochs={epochs}", f"--trainer.default_root_dir={folder}", "--trainer.accelerator=cpu"]
    quieten()
    cli = Timed(prepare(["fit", *words, *settings], ("fit",)))
    return cli.timer.seconds, cli.model, cli.datamodule


def measure(rounds: int, epochs: int, report: Path, clock: Clock) -> None:
    """Runs all cases and writes the table; called inside the pseudo-terminal."""
    lines = ["| model | ms a step, bare | through the command | ratio: median (min to max) |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, words in CASES.items():
            bare, ours, ratios = [], [], []
            for number in range(rounds + 1):
                seconds, module, data = command(words, epochs, folder, clock)
                data = fresh(data)
                plain = bare_loop(fresh(module), data, epochs, Path(tempfile.mkdtemp(dir=folder)), clock)
                if number:  # the first is a warm-up
                    steps = epochs * len(data.train_dataloader())
                    bare.append(1e3 * plain / steps)
                    ours.append(1e3 * seconds / steps)
                    ratios.append(seconds / plain)
            lines.append(
                f"| {name} | {statistics.median(bare):.2f} | {statistics.median(ours):.2f} | {spread(ratios, '.3f')} |"
            )
    lines.append(
        f"\n{rounds} pairs of {epochs} epochs each, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{'CPU' if clock is time.process_time else 'wall-clock'} time."
    )
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")


def inside_terminal(words: list[str]) -> None:
    """Runs this program again with a pseudo-terminal as its output, and reads away what it draws."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, __file__, *words], stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)

    def drain() -> None:
        try:
            while os.read(ours, 65536):
                pass
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    _, said = process.communicate()
    if process.returncode:
        sys.exit(said)


def main() -> None:
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    if options.clock == "cpu":
        torch.set_num_threads(1)
    if options.report:
        measure(options.rounds, options.epochs, options.report, CLOCKS[options.clock])
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "table.md"
        words = [f"--rounds={options.rounds}", f"--epochs={options.epochs}", f"--clock={options.clock}"]
        inside_terminal([*words, f"--report={report}"])
        print(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
