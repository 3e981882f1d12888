"""A resumed training on streamed documents equals the uninterrupted one, with and without workers."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at

from seqlight.core.plots import read_metrics

EPOCH = 6  # steps
COMMON = (
    "--config=text/stream", "--data.path=shards", "--data.cache_dir=cache", "--data.seq_len=16", "--data.batch_size=4",
    f"--data.stream.epoch_size={4 * EPOCH}", "--data.stream.shuffle_buffer=6", "--data.tokenizer=char",
    "--model.net.d_model=16", "--model.net.num_layers=1", "--model.net.num_heads=2", "--model.net.dropout=0.2",
    "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
    '--trainer.callbacks=[{"class_path":"EMA","init_args":{"decay":0.9}}]',
)  # fmt: skip
RNN = ("--model=seq_modules.RNNLanguageModel", "--model.net.d_model=8", "--model.net.rnn.hidden_size=12")


def write_shards() -> None:
    Path("shards").mkdir()
    for shard in range(3):
        rows = [
            {"text": f"{n} of the {thing} went to sea {shard}."} for n in range(60) for thing in ("dogs", "old hat")
        ]
        Path(f"shards/{shard}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(("stop_at", "workers"), [(3, 0), (EPOCH - 1, 1), (EPOCH + 2, 2)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, stop_at: int, workers: int) -> None:
    write_shards()
    whole = fit(run, *COMMON)
    with signal_at(monkeypatch, stop_at):
        stopped = fit(run, *COMMON, f"--data.num_workers={workers}")
    assert torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)["global_step"] == stop_at + 1
    resumed = fit(run, "--ckpt_path", str(stopped), "--data.cache_dir=cache", "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "val/loss", "val/bits_per_character"):
        assert rest[name] == expected[name][-len(rest[name]) :], name


def test_a_recurrent_net_overfits_one_batch_and_is_tested(run: Run) -> None:
    write_shards()
    words = [word for word in COMMON if not word.startswith(("--config", "--model", "--trainer.callbacks"))]
    done = run(
        "fit", "--config=trainer/overfit", *RNN, "--data=datamodules.StreamingTextDataModule", *words,
        "--trainer.max_epochs=120", "--model.optim.learning_rate=0.03",
    )  # fmt: skip
    assert done.code == 0, done.err
    (folder,) = Path("runs/RNNLanguageModel").iterdir()
    losses = [value for _, value in read_metrics(folder / "metrics.csv")["train/loss"]]
    assert losses[-1] < 0.3 < 2 < losses[0]
    tested = run("test", "--ckpt_path=last", "--data.cache_dir=cache")
    assert tested.code == 0, tested.err
    assert "bits_per_character" in tested.out
    predicted = run("predict", "--ckpt_path=last", '--data.prompts=["1 of the"]', "--decoding.max_new_tokens=5")
    assert predicted.code == 0, predicted.err


def test_without_a_network_the_hub_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset_builder", unreachable)
    done = run("fit", "--config=text/stream", "--data.text.hub=owner/name", "--data.cache_dir=cache")
    assert done.code == 2
    assert "data.text.hub owner/name could not be loaded" in done.err
    assert "--data.path" in done.err
    assert "Traceback" not in done.err
