"""Translation goes on exactly where it was broken off: batches of so many tokens, rows without end, dropout."""

import pytest
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at
from helpers.commands.translation import DATES, SHORT, TOKENS, TRANSFORMER
from helpers.toy_questions import AVERAGE

from seqlight.core.plots import read_metrics

MODELS = {
    "transformer": (*TRANSFORMER, f"--data.batch_tokens={TOKENS}"),
    "dates": (*DATES, "--model.net.dropout=0.2", "--data.batch_size=16"),
}


@pytest.mark.parametrize(("kind", "stop_at"), [("transformer", 4), ("dates", 3)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    words = (*MODELS[kind], AVERAGE)
    whole = fit(run, *words)
    with signal_at(monkeypatch, stop_at):
        stopped = fit(run, *words)
    cache = ("--data.cache_dir=cache",) if kind == "transformer" else ()
    resumed = fit(run, "--ckpt_path", str(stopped), *cache, SHORT, "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/perplexity", "val/loss", "val/chrf", "val/exact_match"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert rest["train/loss"][0][0] == stop_at + 1
