"""Whether every system trains in half precision as in float32: curves of the loss, and their distance.

    python benchmarks/studies/precision_bands.py [--steps 200] [--only NAME] [--plot FILE] [--control N] [-- SETTINGS]

Each system's recipe is trained at a small size, without dropout, in 32-true, bf16-mixed and bf16-true (on a GPU in
16-mixed too), from the same weights on the same batches. A curve is smoothed by the mean over 20 steps. The distance
is the largest difference of two smoothed curves, in per cent of the first loss in float32. Bands, in which each must
stay: 2 % in mixed precision, 8 % in bf16-true, whose weights and moments have three digits. The program fails if one
does not. The machine's rates of products stand below the table.

Nets learn formal languages in jumps, and at their recipe's learning rate a change of the first weights by a millionth
moves such a jump by several steps: two curves then say nothing about precision. They are trained on shorter strings at
a lower rate. ``--control`` measures this: N further columns have the distances of trainings in float32 whose first
weights were changed by a millionth, at random. SETTINGS, such as --model.optim.learning_rate=0.002, are added to those
of a case.
"""

import argparse
import contextlib
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seqlight.core.hardware import describe
from seqlight.core.plots import read_metrics

WINDOW = 20
CHANGE = 1e-6  # of the control's first weights: the standard deviation, as a fraction of each
CONTROL = "32-true, changed "  # and the number of the change
BANDS = {"bf16-mixed": 0.02, "16-mixed": 0.02, "bf16-true": 0.08}  # of the first loss
GPT = ("--model.net.d_model=64", "--model.net.num_layers=2", "--model.net.num_heads=2", "--model.net.dropout=0")
TEXT = ("--data.seq_len=64", "--data.batch_size=16", "--data.cache_dir=cache")
MUSIC = ("--data.source.num_etudes=24", "--data.batch_size=8")
DATES = ("--data.batch_size=16", "--data.train_size=3200", "--data.val_size=64")
CYCLE = (
    "--config=formal/cycle_navigation", "--data.max_length=10", "--data.train_size=12800", "--data.val_size=64",
    "--model.optim.learning_rate=0.002",
)  # fmt: skip
SLOW = "--model.optim.learning_rate=0.001"
BERT = (
    '--model.net.encoder_config={"model_type":"bert","vocab_size":8000,"hidden_size":64,"num_hidden_layers":2,'
    '"num_attention_heads":2,"intermediate_size":128,"hidden_dropout_prob":0,"attention_probs_dropout_prob":0}',
    "--model.net.pretrained=null", "--data.tokenizer_path=null", "--model.net.dropout=0",
    "--model.optim.learning_rate=0.0005",
)  # fmt: skip
CASES: dict[str, tuple[str, ...]] = {
    "parity": ("--config=parity/lstm_full", "--model.input_noise=0"),
    "language model, GPT": ("--config=text/gpt_char", *GPT, *TEXT),
    "language model, GPT with Muon": (
        "--config=text/gpt_char", *GPT, *TEXT, "--model.optim.optimizer=muon", "--model.net.tie_weights=false",
    ),
    "language model, recurrent": ("--config=text/lstm_char", "--model.net.rnn.hidden_size=64", *TEXT),
    "classifier, recurrent": ("--config=questions/lstm", "--data.cache_dir=cache", "--model.ensemble_size=1"),
    "classifier, Transformer": ("--config=questions/transformer", "--data.cache_dir=cache"),
    "classifier, pretrained": ("--config=questions/bert", "--data.cache_dir=cache", *BERT),
    "music decoder, recurrent": ("--config=music/lstm", "--model.net.rnn.hidden_size=64", *MUSIC),
    "music decoder, Transformer": ("--config=music/transformer", *GPT, *MUSIC),
    "frame decoder": ("--config=music/jsb_lstm", "--model.net.hidden_size=64", "--model.frames.d_frame=64"),
    "sequence to sequence, Transformer": (
        "--config=translation/dates_transformer", "--model.net.d_model=64", "--model.net.num_heads=2",
        "--model.net.d_ff=128",
        *DATES,
    ),
    "sequence to sequence, recurrent": (
        "--config=translation/dates", "--model.net.rnn.hidden_size=64", "--model.net.attention_size=64", *DATES,
    ),
    "formal language, LSTM": CYCLE,
    "formal language, minGRU": (*CYCLE, "--model.net.rnn.cell=mingru", SLOW),
    "formal language, minLSTM": (*CYCLE, "--model.net.rnn.cell=minlstm", SLOW),
    "formal language, diagonal": (*CYCLE, "--model.net.rnn.cell=diagonal", SLOW),
    "formal language, DeltaNet": (*CYCLE, "--model.net.rnn.cell=deltanet", SLOW),
    "formal language, Transformer": (*CYCLE, "--model.net.backbone=transformer", SLOW),
    "tagger": ("--config=tagging/ewt_lstm",),
    "forecaster": ("--config=forecast/patch_transformer", "--data.generated.num_rows=2000", "--data.split.rows=null"),
    "perceptron": ("--config=mlp/circles",),
    "perceptron, parameters": ("--config=mlp/circles", "--model.style=parameters"),
    "perceptron, NumPy": ("--config=mlp/circles", "--model.style=numpy"),
}  # fmt: skip
NO_DROPOUT = {  # whose masks depend on the precision
    "language model, recurrent": ("--model.net.dropout=0", "--model.net.rnn.dropout=0"),
    "classifier, recurrent": (
        "--model.net.dropout=0", "--model.net.state_dropout=0", "--model.net.embedding.dropout=0",
        "--model.net.embedding.word_dropout=0", "--model.net.rnn.dropout=0",
    ),
    "classifier, Transformer": (
        "--model.net.dropout=0", "--model.net.state_dropout=0", "--model.net.embedding.dropout=0",
        "--model.net.embedding.word_dropout=0", "--model.net.transformer.dropout=0",
    ),
    "music decoder, recurrent": (
        "--model.net.dropout=0", "--model.net.rnn.dropout=0", "--model.ensemble_size=1",
    ),
    "music decoder, Transformer": ("--model.ensemble_size=1",),
    "tagger": (
        "--model.net.dropout=0", "--model.net.input_dropout=0", "--model.net.rnn.dropout=0",
        "--model.net.embedding.word_dropout=0",
    ),
    "forecaster": ("--model.net.patches.head_dropout=0", "--model.net.transformer.dropout=0"),
    "frame decoder": (
        "--model.net.dropout=0", "--model.frames.input_dropout=0", "--model.frames.frame_dropout=0",
        "--model.frames.retrieval_dropout=0",
    ),
}  # fmt: skip


def curve(name: str, precision: str, steps: int, folder: str, further: Sequence[str] = ()) -> list[float]:
    """Losses of a training, one a step, smoothed over WINDOW of them.

    Args:
        name: The case.
        precision: The Trainer's, or CONTROL with a number.
        steps: Number of steps.
        folder: Folder of the runs.
        further: Further settings.
    """
    from seqlight.command.arguments import prepare
    from seqlight.command.trainer_cli import SeqCLI

    class ChangedCLI(SeqCLI):
        def before_fit(self) -> None:
            """Changes the first weights; Lightning calls it."""
            generator = torch.Generator().manual_seed(int(precision.removeprefix(CONTROL)))
            for weights in self.model.parameters():
                weights.data.mul_(1 + CHANGE * torch.randn(weights.shape, generator=generator))

    kind = ChangedCLI if precision.startswith(CONTROL) else SeqCLI
    settings = (
        f"--trainer.precision={precision.partition(',')[0]}", f"--trainer.max_steps={steps}", "--trainer.max_epochs=-1",
        "--trainer.log_every_n_steps=1", "--trainer.limit_val_batches=1", "--trainer.callbacks=[]",
        "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={folder}",
    )  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr):
        cli = kind(prepare(["fit", *CASES[name], *NO_DROPOUT.get(name, ()), *further, *settings], ("fit",)))
    losses = torch.tensor([value for _, value in read_metrics(cli.run_folder / "metrics.csv")["train/loss"]])
    assert len(losses) == steps
    return losses.unfold(0, WINDOW, 1).mean(-1).tolist()


def distance(curve: list[float], exact: list[float]) -> float:
    """The largest difference of two curves, as a fraction of the second one's first value."""
    return max(abs(a - b) for a, b in zip(curve, exact, strict=True)) / exact[0]


def draw(curves: dict[str, dict[str, list[float]]], file: Path) -> None:
    """A panel for each system."""
    from matplotlib.figure import Figure

    rows = -(-len(curves) // 5)
    figure = Figure(figsize=(16, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, 5, squeeze=False).flatten()
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for panel, (name, found) in zip(panels, curves.items(), strict=False):
        for precision, values in found.items():
            panel.plot(range(WINDOW, WINDOW + len(values)), values, label=precision, linewidth=1)
        panel.set(title=name, xlabel="step", ylabel=f"loss, mean of {WINDOW} steps")
        panel.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=80)


def main() -> None:
    """Trains all, and prints the table."""
    from seqlight.command.quiet import quieten

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default="", help="systems whose name begins so")
    parser.add_argument("--plot", type=Path, help="picture of all curves")
    parser.add_argument("--control", type=int, default=0, help="trainings with first weights changed by a millionth")
    parser.add_argument("settings", nargs="*", help="further settings, after --")
    given = parser.parse_args()
    if given.steps < WINDOW:
        parser.error(f"--steps {given.steps}: at least {WINDOW}, over which curves are smoothed")
    gpu = torch.cuda.is_available()
    precisions = ["32-true", "bf16-mixed", "bf16-true", *(["16-mixed"] if gpu else [])]
    precisions += [f"{CONTROL}{number + 1}" for number in range(given.control)]
    quieten()
    curves: dict[str, dict[str, list[float]]] = {}
    bad = []
    lines = [
        "| system | first loss | last loss | " + " | ".join(f"{p}, distance" for p in precisions[1:]) + " |",
        "|---|---:|---:|" + "---:|" * len(precisions[1:]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in [name for name in CASES if name.startswith(given.only)]:
            found = curves[name] = {p: curve(name, p, given.steps, folder, given.settings) for p in precisions}
            exact = found["32-true"]
            away = {p: distance(found[p], exact) for p in precisions[1:]}
            bad += [
                f"{name} in {p}" for p, value in away.items() if not value < BANDS.get(p, math.inf)
            ]  # NaN is bad too
            lines.append(
                f"| {name} | {exact[0]:.3f} | {exact[-1]:.3f} | "
                + " | ".join(f"{100 * value:.2f} %" for value in away.values())
                + " |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    if given.plot:
        draw(curves, given.plot)
    print("\n".join(lines))
    print(f"\n{given.steps} steps each. {describe('cuda' if gpu else 'cpu')}.")
    if bad:
        sys.exit(f"outside of its band: {', '.join(bad)}")


if __name__ == "__main__":
    main()
