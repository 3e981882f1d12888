"""Time budget, compilation, short windows, averaged weights: what they do to training, and that it goes on exactly."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules import SequenceDataModule
from seq_modules import SequenceModule
from seq_modules.base import Step
from seq_modules.callbacks import BestCheckpoint, GracefulStop, LastCheckpoint, RNGState
from seq_modules.callbacks.average_weights import AverageWeights
from seq_modules.callbacks.compile import Compile
from seq_modules.callbacks.short_windows import ShortWindows, rewindow
from seq_modules.callbacks.time_budget import TimeBudget
from seq_modules.progress import progress_of

# The compiler looks at this of tensors, and hides the warning unless warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
EPOCH, STEPS, V = 7, 8, 11  # batches of an epoch (the last one small), tokens of a row, size of the alphabet


class Texts(Dataset):
    def __init__(self, size: int) -> None:
        self.ids = torch.randint(V, (size, STEPS + 1), generator=torch.Generator().manual_seed(size))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitems__(self, rows: list[int]) -> dict[str, Tensor]:
        ids = self.ids[rows]
        characters = torch.tensor([100 + row for row in rows])
        return {
            "input_ids": ids[:, :-1], "labels": ids[:, 1:], "characters": characters, "index": torch.tensor(rows)
        }  # fmt: skip


class TextData(SequenceDataModule):
    def __init__(self) -> None:
        super().__init__(batch_size=4, seed=0)
        self.train_set, self.val_set, self.test_set = Texts(4 * EPOCH - 1), Texts(8), Texts(9)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.dropout = nn.Linear(6, 12), nn.Linear(12, 6), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.dropout(self.up(x).relu()))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(6, V, bias=False)
        self.head.weight = self.embedding.weight  # tied

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        x = x + x.cumsum(1) / 10  # a context, and so a length that matters
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class TextModule(SequenceModule):
    def __init__(self, **training: Any) -> None:
        muon: dict[str, Any] = {"optimizer": "muon", "muon_learning_rate": 0.05, "schedule": "linear", "cooldown": 0.6}
        super().__init__({}, **{"learning_rate": 0.01, "weight_decay": 0.1, "warmup_steps": 2, **muon, **training})
        self.net = Net()

    def step(self, batch: dict[str, Tensor]) -> Step:
        logits = self.net(batch["input_ids"])
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")
        return Step(loss, torch.tensor(batch["labels"].numel()), {})


class Sees(Callback):
    """Keeps the batches' shapes, the rates, and the training weights after each step."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.characters: list[int] = []
        self.weights: list[dict[str, Tensor]] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.shapes.append(tuple(batch["input_ids"].shape))
        self.characters.append(int(batch["characters"].sum()))
        self.weights.append({name: p.detach().clone() for name, p in pl_module.named_parameters()})
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


class SignalAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _no_signal_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(GracefulStop, "received", 0)
    yield
    torch._dynamo.reset()


def trainer(folder: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    always: list[Callback] = [RNGState(), BestCheckpoint(), LastCheckpoint(), GracefulStop()]
    return Trainer(
        callbacks=[*callbacks, *always],
        default_root_dir=folder,
        **{
            "max_epochs": 3, "logger": False, "accelerator": "cpu", "enable_progress_bar": False,
            "enable_model_summary": False, "use_distributed_sampler": False, "log_every_n_steps": 2, **settings,
        },
    )  # fmt: skip


def fit(folder: Path, *callbacks: Callback, resume: Path | None = None, seed: int = 0, **settings: Any) -> TextModule:
    seed_everything(seed, verbose=False)
    module = TextModule(**settings.pop("training", {}))
    fitted = trainer(folder, *callbacks, **settings)
    fitted.fit(module, TextData(), ckpt_path=resume, weights_only=True if resume else None)
    return module


def last(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


@pytest.mark.parametrize("stop_at", [2, EPOCH - 1, EPOCH, EPOCH + 3, 2 * EPOCH - 1])
@pytest.mark.parametrize("settings", [{}, {"precision": "bf16-true"}], ids=["fp32", "bf16"])
def test_resumed_equals_uninterrupted(tmp_path: Path, stop_at: int, settings: dict[str, Any]) -> None:
    def callbacks() -> list[Callback]:
        return [AverageWeights(0.9, start_share=0.2, every_n_steps=2), ShortWindows(4, 0.5), Compile(backend="eager")]

    fit(tmp_path / "whole", *callbacks(), **settings)
    fit(tmp_path / "first", *callbacks(), SignalAt(stop_at), **settings)
    assert GracefulStop.received == signal.SIGTERM
    resume = tmp_path / "first/checkpoints/last.ckpt"
    fit(tmp_path / "rest", *callbacks(), resume=resume, seed=99, **settings)
    whole, rest = last(tmp_path / "whole"), last(tmp_path / "rest")
    assert_same(whole["state_dict"], rest["state_dict"])
    assert_same(whole["training_weights"], rest["training_weights"])
    best = [last(tmp_path / folder, "best") for folder in ("whole", "rest")]
    assert best[0]["global_step"] == best[1]["global_step"]
    assert_same(best[0]["state_dict"], best[1]["state_dict"])


@pytest.mark.parametrize(("decay", "every", "start"), [(0.5, 1, 0.0), (0.9, 3, 0.0), (0.8, 2, 0.5), (0.95, 1, 0.3)])
def test_the_average_is_that_of_a_plain_loop(tmp_path: Path, decay: float, every: int, start: float) -> None:
    sees = Sees()
    module = fit(tmp_path, sees, AverageWeights(decay, start, every))
    plain = Sees()
    fit(tmp_path / "plain", plain)
    for a, b in zip(sees.weights, plain.weights, strict=True):  # averaging and swapping leave training as it is
        assert_same(a, b)
    average: dict[str, Tensor] | None = None
    updates, total = 0, 3 * EPOCH
    for step, weights in enumerate(sees.weights, start=1):
        if step % every == 0 and step / total >= start:
            share = max(1 - decay**every, 10 / (10 + updates))
            average = (
                weights if average is None else {n: (1 - share) * average[n] + share * w for n, w in weights.items()}
            )
            updates += 1
    assert average is not None
    held = last(tmp_path)
    for name, value in average.items():
        torch.testing.assert_close(held["state_dict"][name], value)
        torch.testing.assert_close(module.state_dict()[name], value)
    assert torch.equal(held["state_dict"]["net.head.weight"], held["state_dict"]["net.embedding.weight"])
    assert_same(held["training_weights"], sees.weights[-1])


class Validated(Callback):
    """Keeps the weights that a validation's end sees, as the samples callback does."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.losses: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.weights.append({name: value.clone() for name, value in pl_module.state_dict().items()})
            self.losses.append(float(trainer.callback_metrics["val/loss"]))


def test_best_holds_the_average_that_was_validated(tmp_path: Path) -> None:
    before, after = Validated(), Validated()
    fit(tmp_path, before, AverageWeights(0.9), after)
    best = last(tmp_path, "best")
    at = before.losses.index(min(before.losses))
    assert best["global_step"] == EPOCH * (at + 1)
    for validated in (before, after):
        assert_same(best["state_dict"], validated.weights[at])
    module = TextModule()
    module.load_state_dict(best["state_dict"])
    (result,) = trainer(tmp_path / "again", AverageWeights()).validate(module, TextData(), verbose=False)
    assert result["val/loss"] == pytest.approx(min(before.losses), abs=1e-6)
    # To evaluate a checkpoint, its state dict is all that counts, with the callback or without.
    module = TextModule()
    path = str(tmp_path / "checkpoints/best.ckpt")
    (result,) = trainer(tmp_path / "again", AverageWeights()).validate(module, TextData(), path, verbose=False)
    assert result["val/loss"] == pytest.approx(min(before.losses), abs=1e-6)


def test_average_with_accumulated_gradients_counts_steps(tmp_path: Path) -> None:
    average = AverageWeights(0.9)
    fit(tmp_path, average, accumulate_grad_batches=2)
    assert average.updates == 3 * 4  # 7 batches are 4 steps


def test_average_goes_on_from_a_training_without_one(tmp_path: Path) -> None:
    sees = Sees()
    fit(tmp_path / "first", max_epochs=1)
    fit(tmp_path / "rest", sees, AverageWeights(0.0), resume=tmp_path / "first/checkpoints/last.ckpt")
    assert len(sees.weights) == 2 * EPOCH
    for name, value in sees.weights[-1].items():
        torch.testing.assert_close(last(tmp_path / "rest")["state_dict"][name], value)


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
    fit(tmp_path / "short", ShortWindows(2, share=0.5), short)
    fit(tmp_path / "long", long)
    last_rows = 3
    whole = [(4, 8) if step % EPOCH else (last_rows, 8) for step in range(1, 3 * EPOCH + 1)]
    assert long.shapes == whole
    # Steps 0 to 10 of 21 lie in the first half.
    assert short.shapes == [(4 * rows, 2) if step < 11 else (rows, 8) for step, (rows, _) in enumerate(whole)]
    assert short.characters == long.characters
    with pytest.raises(ValueError, match="window 3 does not divide the data's seq_len 8"):
        fit(tmp_path / "odd", ShortWindows(3))
    with pytest.raises(ValueError, match="window 16 does not divide the data's seq_len 8"):
        fit(tmp_path / "wide", ShortWindows(16))
    with pytest.raises(ValueError, match="the training has no end"):
        fit(tmp_path / "endless", ShortWindows(4), max_epochs=-1, training={"schedule": "constant"})


class Clock:
    """A clock that goes on by a second a batch, and by ten in a validation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("seq_modules.callbacks.time_budget.time", SimpleNamespace(monotonic=lambda: self.now))

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
    fitted = trainer(tmp_path, budget, clock.callback(), sees, validated, **settings)
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
    fit(tmp_path / "plain", ShortWindows(4, 0.5), plain)
    sees, backend = Sees(), Backend()
    counts, short, compiling = CountsAtFirstStep(backend), ShortWindows(4, 0.5), Compile(part, backend=backend)  # type: ignore[arg-type]
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
    assert backend.calls == 2 * 3 * (EPOCH - 1)
    module = TextModule(optimizer="adamw")
    module.net = nn.Linear(1, 1)  # type: ignore[assignment]
    with pytest.raises(ValueError, match="part blocks: TextModule has no net with that"):
        trainer(tmp_path / "none", Compile(), num_sanity_val_steps=0).fit(module, TextData())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TimeBudget(0), "seconds must be above 0"),
        (lambda: ShortWindows(window=0), "window must be at least 1"),
        (lambda: ShortWindows(share=1.5), "share must be from 0 to 1"),
        (lambda: AverageWeights(decay=1.0), "decay must be at least 0 and below 1"),
        (lambda: AverageWeights(start_share=-1), "start_share must be from 0 to 1"),
        (lambda: AverageWeights(every_n_steps=0), "every_n_steps must be at least 1"),
    ],
)
def test_bad_settings_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_another_optimizer_cannot_go_on(tmp_path: Path) -> None:
    fit(tmp_path / "first", max_epochs=1)
    path = tmp_path / "first/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["optimizer"] = "muon"
    torch.save(content, path)
    with pytest.raises(ValueError, match="optimizer adamw cannot go on from a training with muon"):
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
