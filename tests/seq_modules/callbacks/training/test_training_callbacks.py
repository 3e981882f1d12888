"""Time budget, compilation, short windows: what they do to training."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.toy_text import (
    EPOCH,
    Sees,
    SignalAt,
    TextData,
    TextModule,
    Texts,
    Validated,
    assert_same,
    fit,
    last,
    trainer,
)
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler, TritonMissing

from seq_modules.callbacks import FinalValidation, GracefulStop, LastCheckpoint
from seq_modules.callbacks.training.compile import Compile
from seq_modules.callbacks.training.ema import EMA
from seq_modules.callbacks.training.sequence_warmup import SequenceLengthWarmup, rewindow
from seq_modules.callbacks.training.time_budget import TimeBudget
from seq_modules.training.progress import progress_of


def test_rewindow_keeps_tokens_and_characters() -> None:
    batch = Texts(6).__getitems__([3, 1, 5, 0])
    for length in (1, 2, 4, 8, 16, 32):
        cut = rewindow(batch, length)
        assert cut["input_ids"].shape == cut["labels"].shape == (32 // length, length)
        assert len(cut["characters"]) == len(cut["index"]) == 32 // length
        assert cut["characters"].sum() == batch["characters"].sum()
        assert torch.equal(cut["input_ids"].flatten(), batch["input_ids"].flatten())
        back = rewindow(cut, 8)
        assert all(torch.equal(back[name], value) for name, value in batch.items() if length <= 8), length
    assert rewindow(batch, 4)["index"].tolist() == [3, 3, 1, 1, 5, 5, 0, 0]
    assert rewindow(batch, 4)["characters"].tolist() == [103, 0, 101, 0, 105, 0, 100, 0]
    for length in (3, 5, 24):
        with pytest.raises(ValueError, match=f"window {length} does not divide"):
            rewindow(batch, length)


def test_short_windows_come_first(tmp_path: Path) -> None:
    short, long = Sees(), Sees()
    fit(tmp_path / "short", SequenceLengthWarmup(2, fraction=0.5), short)
    fit(tmp_path / "long", long)
    last_rows = 3
    whole = [(4, 8) if step % EPOCH else (last_rows, 8) for step in range(1, 3 * EPOCH + 1)]
    assert long.shapes == whole
    # Steps 0 to 10 of 21 lie in the first half.
    assert short.shapes == [(4 * rows, 2) if step < 11 else (rows, 8) for step, (rows, _) in enumerate(whole)]
    assert short.characters == long.characters
    with pytest.raises(ValueError, match="window 3 does not divide the data's seq_len 8"):
        fit(tmp_path / "odd", SequenceLengthWarmup(3))
    with pytest.raises(ValueError, match="window 16 does not divide the data's seq_len 8"):
        fit(tmp_path / "wide", SequenceLengthWarmup(16))
    with pytest.raises(ValueError, match="the training has no end"):
        fit(tmp_path / "endless", SequenceLengthWarmup(4), max_epochs=-1, training={"schedule": "constant"})


class Clock:
    """A clock that goes on by a second a batch, and by ten in a validation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(
            "seq_modules.callbacks.training.time_budget.time", SimpleNamespace(monotonic=lambda: self.now)
        )

    def callback(self, first: float = 1.0) -> Callback:
        clock = self

        class Ticks(Callback):
            def on_train_batch_start(self, *args: Any) -> None:
                clock.now += first if args[-1] == 0 and args[0].global_step == 0 else 1.0

            def on_validation_batch_start(self, *args: Any) -> None:
                clock.now += 10

        return Ticks()


@pytest.mark.parametrize("check_every", [1, 5, None])
@pytest.mark.parametrize("seconds", [4, EPOCH, EPOCH + 4])
def test_budget_ends_training_with_a_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, check_every: int | None
) -> None:
    clock, sees, validated = Clock(monkeypatch), Sees(), Validated()
    budget = TimeBudget(seconds)
    settings: dict[str, Any] = {"max_epochs": -1, "check_val_every_n_epoch": check_every, "num_sanity_val_steps": 0}
    if check_every is None:
        settings["val_check_interval"] = 100
    module = TextModule(warmup_steps=0)
    fitted = trainer(tmp_path, budget, clock.callback(), sees, validated, FinalValidation(), **settings)
    fitted.fit(module, TextData())
    assert len(sees.rates) == seconds == fitted.global_step  # validations are not counted
    ends = (seconds > EPOCH) + 1 if check_every == 1 else 1
    assert len(validated.losses) == ends
    assert (tmp_path / "checkpoints/best.ckpt").is_file()
    assert last(tmp_path)["global_step"] == seconds
    assert fitted.check_val_every_n_epoch == check_every
    # The rate that each step ends with is that of the next one: it knows the clock at the end of the one before.
    expected = [0.05 * min(1, (1 - step / seconds) / 0.6) for step in range(seconds)]
    assert sees.rates == pytest.approx(expected)
    assert budget.progress == 1 == progress_of(fitted)


@pytest.mark.parametrize("check_every", [1, 3, None])
@pytest.mark.parametrize("end", [{"max_steps": 4}, {"max_steps": EPOCH}, {"max_steps": EPOCH + 4}, {"max_epochs": 2}])
def test_every_end_is_validated(tmp_path: Path, end: dict[str, int], check_every: int | None) -> None:
    validated = Validated()
    settings: dict[str, Any] = {"max_epochs": -1, "check_val_every_n_epoch": check_every, "num_sanity_val_steps": 0}
    if check_every is None:
        settings["val_check_interval"] = 100
    fitted = trainer(tmp_path, validated, FinalValidation(), **settings | end)
    fitted.fit(TextModule(), TextData())
    steps = end.get("max_steps", 2 * EPOCH)
    assert fitted.global_step == steps == last(tmp_path, "best")["global_step"] == last(tmp_path)["global_step"]
    assert len(validated.losses) == (2 if steps > EPOCH and check_every == 1 else 1)  # and none twice
    assert fitted.check_val_every_n_epoch == check_every


def test_a_stop_that_comes_too_early_is_not_validated(tmp_path: Path) -> None:
    class Stops(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            trainer.should_stop = True

    validated = Validated()
    settings = {"max_epochs": 9, "min_epochs": 4, "check_val_every_n_epoch": 3, "num_sanity_val_steps": 0}
    fitted = trainer(tmp_path, Stops(), validated, FinalValidation(), **settings)
    fitted.fit(TextModule(), TextData())
    assert fitted.global_step == 4 * EPOCH
    assert len(validated.losses) == 1  # of the third epoch


def test_budget_goes_on_with_the_seconds_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sees = Clock(monkeypatch), Sees()
    settings: dict[str, Any] = {"max_epochs": -1, "num_sanity_val_steps": 0}
    fit(tmp_path / "first", TimeBudget(20), clock.callback(), SignalAt(8), **settings)
    GracefulStop.received = 0
    resume = tmp_path / "first/checkpoints/last.ckpt"
    assert last(tmp_path / "first")["global_step"] == 9
    clock.now += 1e6
    fit(tmp_path / "rest", TimeBudget(20), clock.callback(), sees, resume=resume, **settings)
    assert len(sees.rates) == 11
    done = tmp_path / "rest/checkpoints/last.ckpt"
    fit(tmp_path / "over", TimeBudget(20), clock.callback(), sees, resume=done, **settings)
    assert len(sees.rates) == 11  # nothing is left
    fit(tmp_path / "more", TimeBudget(22), clock.callback(), sees, resume=done, **settings)
    assert len(sees.rates) == 13


@pytest.mark.parametrize("reachable", [True, False])
def test_what_the_final_validation_found_best_is_carried_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    clock, settings = Clock(monkeypatch), {"max_epochs": -1, "num_sanity_val_steps": 0}
    fit(tmp_path / "first", TimeBudget(EPOCH + 4), clock.callback(), **settings)  # validates at EPOCH and at the end
    best, path = last(tmp_path / "first", "best"), tmp_path / "first/checkpoints/best.ckpt"
    assert best["global_step"] == EPOCH + 4
    key = next(name for name in best["callbacks"] if name.startswith("BestCheckpoint"))
    # last.ckpt was saved before that validation, and knows the first one's score alone.
    assert last(tmp_path / "first")["callbacks"][key]["best_model_score"] > best["callbacks"][key]["best_model_score"]
    if not reachable:
        best["callbacks"][key]["best_model_score"] = torch.tensor(-1.0)
        torch.save(best, path)
    resume = tmp_path / "first/checkpoints/last.ckpt"
    fit(tmp_path / "rest", TimeBudget(EPOCH + 8), clock.callback(), resume=resume, **settings)
    assert last(tmp_path / "rest", "best")["global_step"] == (EPOCH + 8 if reachable else EPOCH + 4)


@pytest.mark.parametrize(("count", "steps"), [(True, 1), (False, 6)])
def test_budget_with_and_without_the_compilation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: bool, steps: int
) -> None:
    clock, sees = Clock(monkeypatch), Sees()
    fit(tmp_path, TimeBudget(5, count), clock.callback(first=50), sees, max_epochs=-1, num_sanity_val_steps=0)
    assert len(sees.rates) == steps


class Backend:
    """A compiler that runs the graph as it is, and counts graphs and calls."""

    def __init__(self) -> None:
        self.graphs, self.calls = 0, 0

    def __call__(self, graph: Any, inputs: Any) -> Any:
        self.graphs += 1

        def run(*args: Any) -> Any:
            self.calls += 1
            return graph(*args)

        return run


class CountsAtFirstStep(Callback):
    def __init__(self, backend: Backend) -> None:
        self.backend, self.graphs = backend, 0

    def on_before_optimizer_step(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == 0:
            self.graphs = self.backend.graphs


@pytest.mark.parametrize("part", ["blocks", "net"])
@pytest.mark.parametrize("short_first", [True, False])
def test_compile_changes_nothing_but_the_speed(tmp_path: Path, part: Any, short_first: bool) -> None:
    plain = Sees()
    fit(tmp_path / "plain", SequenceLengthWarmup(4, 0.5), plain)
    sees, backend = Sees(), Backend()
    counts, short, compiling = CountsAtFirstStep(backend), SequenceLengthWarmup(4, 0.5), Compile(part, backend=backend)  # type: ignore[arg-type]
    order: list[Callback] = [short, compiling] if short_first else [compiling, short]
    module = fit(tmp_path / "compiled", *order, sees, counts)
    assert all(not key.startswith("_orig") and "_orig_mod" not in key for key in module.state_dict())
    for a, b in zip(sees.weights, plain.weights, strict=True):
        assert_same(a, b)
    # Everything is compiled before the first step ends; small batches and validation never are.
    blocks = 2 if part == "blocks" else 1
    assert counts.graphs == backend.graphs > 0
    assert backend.calls == blocks * (2 + 3 * (EPOCH - 1))
    assert all(m._compiled_call_impl is None for m in module.modules())


def test_compile_without_warming_up(tmp_path: Path) -> None:
    backend = Backend()
    fit(tmp_path, Compile(warm_up=False, backend=backend))  # type: ignore[arg-type]
    assert backend.calls == 2 * (1 + 3 * (EPOCH - 1))  # once before the first step
    module = TextModule(optimizer="adamw")
    module.net = nn.Linear(1, 1)  # type: ignore[assignment]
    with pytest.raises(ValueError, match="part blocks: TextModule has no net with that"):
        trainer(tmp_path / "none", Compile(), num_sanity_val_steps=0).fit(module, TextData())


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (InvalidCxxCompiler(), r"/no/compiler is no working C\+\+ compiler; install g\+\+, or name one by .* CXX"),
        (
            CppCompileError(["g++"], "a.cpp:1:10: fatal error: Python.h: No such file\n 1 | #include"),
            r"/no/compiler failed \(a.cpp:1:10: fatal error: Python.h: No such file\)",
        ),
        (PermissionError(13, "Permission denied", "/no/compiler"), r"/no/compiler is no working C\+\+ compiler"),
        (TritonMissing(None), r"triton is not installed; run `pip install triton`"),
        (OSError(30, "Read-only file system", "/cache/ab"), "/cache/ab: Read-only .* TORCHINDUCTOR_CACHE_DIR"),
        (
            KeyError("a fault of the compiler"),
            r"KeyError: 'a fault of the compiler' \(.*test_training_callbacks.py, line \d+; --debug shows all of it\)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("warm_up", [True, False])
def test_training_goes_on_where_nothing_can_be_compiled(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    said: str,
    warm_up: bool,
) -> None:
    def backend(graph: Any, inputs: Any) -> Any:
        raise failure

    monkeypatch.setenv("CXX", "/no/compiler")
    plain, sees = Sees(), Sees()
    fit(tmp_path / "plain", plain)
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        module = fit(tmp_path / "failed", Compile(warm_up=warm_up, backend=backend), sees)  # type: ignore[arg-type]
    lines = [record.getMessage() for record in caplog.records if "compiled" in record.getMessage()]
    assert len(lines) == 1
    assert re.fullmatch(rf"not compiled: .*{said}.*\. Training goes on uncompiled, more slowly", lines[0])
    assert len(sees.weights) == len(plain.weights) == 3 * EPOCH
    for a, b in zip(sees.weights, plain.weights, strict=True):
        assert_same(a, b)
    assert all(m._compiled_call_impl is None for m in module.modules())


def test_a_fault_of_the_net_still_ends_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: Any, batch: Any) -> Any:
        raise IndexError("a fault of the net")

    monkeypatch.setattr(TextModule, "step", step)
    with pytest.raises(IndexError, match="a fault of the net"):
        fit(tmp_path, Compile(backend=Backend()), num_sanity_val_steps=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TimeBudget(0), "seconds must be above 0"),
        (lambda: SequenceLengthWarmup(window=0), "window must be at least 1"),
        (lambda: SequenceLengthWarmup(fraction=1.5), "fraction must be at least 0 and at most 1"),
        (lambda: EMA(decay=1.0), "decay must be at least 0 and below 1"),
        (lambda: EMA(start_fraction=-1), "start_fraction must be at least 0 and at most 1"),
        (lambda: EMA(every_n_steps=0), "every_n_steps must be at least 1"),
    ],
)
def test_bad_settings_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_another_optimizer_cannot_resume(tmp_path: Path) -> None:
    fit(tmp_path / "first", max_epochs=1)
    path = tmp_path / "first/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["optim"] = {"optimizer": "muon"}
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"optim\.optimizer adamw cannot go on from a training with muon"):
        fit(tmp_path / "rest", resume=path, training={"optimizer": "adamw"})


def test_rates_given_anew_win(tmp_path: Path) -> None:
    fit(tmp_path / "first", max_epochs=1, training={"schedule": "constant"})
    path = tmp_path / "first/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= {"learning_rate": 0.01, "muon_learning_rate": 0.05}
    torch.save(content, path)
    anew = {"schedule": "constant", "muon_learning_rate": 0.1, "learning_rate": 0.03, "beta2": 0.9, "weight_decay": 0.7}
    fit(tmp_path / "rest", resume=path, training=anew, max_epochs=2)
    hidden, rest = last(tmp_path / "rest")["optimizer_states"][0]["param_groups"]
    assert (hidden["lr"], hidden["weight_decay"]) == (pytest.approx(0.1), 0.7)
    assert (rest["lr"], rest["weight_decay"], rest["betas"]) == (pytest.approx(0.03), 0.0, (0.9, 0.9))


@pytest.mark.parametrize(("took", "saves"), [(0.0, 8), (2.0, 6)])
def test_last_checkpoint_is_saved_by_the_minute_and_slow_ones_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: float, saves: int
) -> None:
    now = 0.0
    monkeypatch.setattr("seq_modules.callbacks.run.last_checkpoint.time", SimpleNamespace(monotonic=lambda: now))
    saved: list[Path] = []

    def save_checkpoint(path: Path, weights_only: bool) -> None:
        nonlocal now
        now += took
        saved.append(path)

    whole = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
    loop: Any = SimpleNamespace(
        log_dir=None, default_root_dir=tmp_path, should_stop=False, global_step=0, max_steps=-1, world_size=1,
        num_training_batches=1000, strategy=whole, save_checkpoint=save_checkpoint,
        accumulate_grad_batches=1, is_last_batch=False,
    )  # fmt: skip
    callback: Any = LastCheckpoint()
    callback.setup(loop, None, "fit")
    while now < 580:  # ten seconds a step
        now += 10
        loop.global_step += 1
        callback.on_train_batch_end(loop, None, None, None, 0)
    assert len(saved) == saves  # the first step after 60 seconds, and after 100, which is 50 times 2
