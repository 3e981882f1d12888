"""Stochastic rounding: exact in the mean, the same again from the same generator, and steps that nearest would lose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.systems import DATA, system
from helpers.trainers import quiet_trainer
from torch.nn import Parameter
from torch.optim import SGD, AdamW, Optimizer

from seq_modules.training.optimizers import rounding
from seq_modules.training.optimizers.muon import MuonAdamW
from seq_modules.training.optimizers.rounding import BUNCH, bunches, round_stochastically, with_stochastic_rounding
from seq_modules.training.optimizers.sgd import WrittenOutSGD

OPTIMIZERS: dict[str, Callable[[Parameter], Optimizer]] = {
    "adamw": lambda p: AdamW([p], lr=1e-4),
    "fused adamw": lambda p: AdamW([p], lr=1e-4, fused=True),
    "sgd": lambda p: SGD([p], lr=1e-5, momentum=0.9),
    "written-out sgd": lambda p: WrittenOutSGD([p], lr=1e-5, momentum=0.9),
    "muon": lambda p: MuonAdamW([{"params": [p], "rule": "muon", "lr": 2e-3}]),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_mean_is_exact_and_both_neighbours_occur() -> None:
    exact = torch.tensor([1 + 0.75 / 128, -1 - 0.25 / 128, 1e-40, 3e38])
    drawn = torch.stack([round_stochastically(exact, generator(seed)) for seed in range(4000)]).double()
    lower, upper = drawn.amin(0), drawn.amax(0)
    assert ((lower < exact) & (exact < upper)).all()
    assert drawn.unique(dim=0).shape[0] > 2
    assert (torch.cat([column.unique() for column in drawn.T])).numel() == 8  # two values each
    away = (drawn.mean(0) - exact) / (upper - lower)
    assert away.abs().max() < 0.03  # four standard deviations of the mean


def test_what_bfloat16_can_represent_stays() -> None:
    exact = torch.tensor([0.0, 1.5, -(2.0**-130), float("inf"), -float("inf"), float("nan")])
    rounded = round_stochastically(exact, generator())
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0, equal_nan=True)
    assert round_stochastically(torch.tensor(0.5), generator()).shape == ()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_small_steps_add_up(name: str) -> None:
    start = torch.randn(64, 48, generator=generator()).bfloat16()
    weights = {kind: Parameter(start.clone()) for kind in ("stochastic", "nearest")}
    weights["exact"] = Parameter(start.float())
    optimizers = {kind: OPTIMIZERS[name](p) for kind, p in weights.items()}
    for kind in ("stochastic", "exact"):
        assert with_stochastic_rounding(optimizers[kind]) is optimizers[kind]
    assert type(optimizers["exact"]) is type(optimizers["nearest"]) is not type(optimizers["stochastic"])
    for step in range(60):
        gradient = (torch.randn(64, 48, generator=generator(step)) * 0.1 + 1).bfloat16()
        for kind, optimizer in optimizers.items():
            weights[kind].grad = gradient.to(weights[kind].dtype)
            optimizer.step()
            assert weights[kind].grad is not None
    moved = {kind: (p.detach().float() - start.float()) for kind, p in weights.items()}
    along = moved["exact"] / moved["exact"].square().sum()
    assert (moved["stochastic"] * along).sum() == pytest.approx(1, abs=0.1)
    assert (moved["nearest"] * along).sum() < 0.6
    state = optimizers["stochastic"].state[weights["stochastic"]]
    assert {value.dtype for key, value in state.items() if key != "step"} == {torch.bfloat16}


def test_each_weight_is_in_one_bunch() -> None:
    params = [Parameter(torch.empty(size, device="meta")) for size in (3, BUNCH, BUNCH - 1, 1, 1)]
    assert [[p.numel() for p in bunch] for bunch in bunches(params)] == [[3], [BUNCH], [BUNCH - 1, 1], [1]]
    assert list(bunches([])) == []


def test_processes_with_the_same_weights_round_alike_and_those_with_parts_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rounded(part: tuple[int, int]) -> torch.Tensor:
        monkeypatch.setattr(rounding, "part_of", lambda tensor: part)
        weight = Parameter(torch.ones(64, 48).bfloat16())
        optimizer = with_stochastic_rounding(SGD([weight], lr=1e-3))
        for _ in range(3):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        return weight.detach()

    torch.manual_seed(1)
    replica = rounded((0, 1))
    torch.manual_seed(2)  # what each process draws for itself, such as dropout
    assert torch.equal(rounded((0, 1)), replica)
    parts = [rounded((number, 3)) for number in range(3)]
    assert not any(torch.equal(parts[a], parts[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def trained(folder: Path, steps: int, **settings: Any) -> tuple[Any, dict[str, Any]]:
    module = system("gpt", learning_rate=1e-3)
    trainer = quiet_trainer(folder, max_steps=steps, precision="bf16-true", **settings)
    trainer.fit(module, DATA["gpt"](4), ckpt_path=folder / "half.ckpt" if (folder / "half.ckpt").exists() else None)
    trainer.save_checkpoint(folder / "half.ckpt")
    return module, torch.load(folder / "half.ckpt", weights_only=True)


def test_a_resumed_training_rounds_as_an_unbroken_one(tmp_path: Path) -> None:
    trained(tmp_path / "two", 3)
    _, resumed = trained(tmp_path / "two", 6)
    _, whole = trained(tmp_path / "one", 6)
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name
    assert whole["optimizer_states"][0]["param_groups"][0]["roundings"] == 6
