"""Two processes train a language model as one does with the global batch, resume it, and predict each row once."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_metrics_of, by_two_processes

import seqlight
from seq_modules.generation.decoding_config import Decoding
from seqlight.core.plots import read_metrics

TEXT = "".join(f"{n} of the {thing}s went to the sea.\n" for n in range(40) for thing in ("dog", "cat", "old hat")) * 2
ROWS = 20  # of an epoch: batches of 8, 8 and 4 in all
COMMON = (
    "fit", "--config=text/gpt_char", "--model.net.d_model=16", "--model.net.num_layers=2", "--model.net.num_heads=2",
    "--model.net.dropout=0", "--model.optim.schedule=constant", "--data.path=text.txt", "--data.cache_dir=cache",
    "--data.seq_len=16", "--data.windows.crops=tiled", f"--data.windows.epoch_size={ROWS}", "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1", "--model.optim.warmup_steps=2",
    '--trainer.callbacks=[{"class_path":"EMA","init_args":{"decay":0.9}}]',
)  # fmt: skip
PROMPTS = ["the dogs", "1", "old", "sea.\n", "went to"]
ENSEMBLE = ("--model.ensemble_size=2", "--model.optim.optimizer=muon", "--model.net.tie_weights=false")


MODELS = {
    "gpt": ((), 2e-6),
    "ensemble_muon": (ENSEMBLE, 2e-3),  # Muon's products are in bfloat16, which shows a last digit that differs
}


def commands_of(model: tuple[str, ...]) -> list[list[str]]:
    """A training that is broken off, resumed and used for prediction."""
    ddp = "--config=trainer/ddp"
    return [
        # Two steps into the second epoch.
        [*COMMON, *model, ddp, "--data.batch_size=4", "--trainer.max_steps=5"],
        ["fit", "--ckpt_path=last", "--data.cache_dir=cache", "--trainer.max_steps=-1"],
        [
            "predict",
            "--ckpt_path=last",
            ddp,
            f"--data.prompts={json.dumps(PROMPTS)}",
            "--data.batch_size=2",
            "--decoding.max_new_tokens=12",
        ],
    ]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of the runs of each model."""
    folder = tmp_path_factory.mktemp("two")
    for number in range(len(MODELS)):
        (folder / str(number)).mkdir()
        (folder / str(number) / "text.txt").write_text(TEXT)
    by_two_processes(folder, *(commands_of(model) for model, _ in MODELS.values()))
    return {name: folder / str(number) for number, name in enumerate(MODELS)}


@pytest.mark.parametrize("kind", MODELS)
def test_two_processes_do_what_one_does(run: Run, by_two: dict[str, Path], kind: str) -> None:
    (model, tolerance), two = MODELS[kind], by_two[kind]
    Path("text.txt").write_text(TEXT)
    done = run(*COMMON, *model, "--data.batch_size=8", "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
    (whole,) = Path("runs/text/gpt_char").iterdir()
    begun, rest = assert_metrics_of(whole, two, ("train/loss", "val/loss", "val/bits_per_character"), tolerance)
    expected, resumed = (read_metrics(run / "metrics.csv") for run in (whole, rest.parents[1]))
    assert [step for step, _ in expected["train/loss"]] == list(range(6))
    # The second epoch's, of which the checkpoint held the first part: summed over both ranks, and counted once.
    for name in ("train/bits_per_character", "train/perplexity"):
        assert resumed[name][-1][1] == pytest.approx(expected[name][-1][1], rel=tolerance), name
    held = torch.load(begun, weights_only=True)["train_metrics"]
    assert held["bits_per_character"]["num_targets"] == 2 * 8 * 16  # two steps, eight windows, 16 characters each
    one = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)
    other = torch.load(rest, weights_only=True)
    for entry in ("state_dict", "training_weights"):
        for name, value in one[entry].items():
            torch.testing.assert_close(other[entry][name], value, rtol=0, atol=5 * tolerance)

    (predicted,) = two.rglob("predictions.jsonl")
    rows = [json.loads(line) for line in predicted.read_text().split("\n") if line]
    texts = seqlight.load(rest).generate(PROMPTS, Decoding(max_new_tokens=12))
    assert [(row["prompt"], row["continuation"]) for row in rows] == list(zip(PROMPTS, texts, strict=True))
