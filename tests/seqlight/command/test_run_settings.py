"""Settings that Lightning would fail on are refused by name."""

import pytest
from lightning.pytorch.cli import Namespace

from seqlight.command.run_settings import check_settings
from seqlight.core.errors import UserError


@pytest.mark.parametrize("seed", [-1, 2**32, -(10**30)])
def test_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(UserError, match=r"^--seed_everything must be at least 0"):
        check_settings(Namespace(seed_everything=seed, trainer=Namespace(strategy="auto")))


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork_find_unused_parameters_true", "ddp_notebook"])
def test_processes_that_are_copies(strategy: str) -> None:
    with pytest.raises(UserError, match=f"^--trainer.strategy {strategy}: .* use ddp"):
        check_settings(Namespace(seed_everything=0, trainer=Namespace(strategy=strategy)))


@pytest.mark.parametrize("seed", [0, 2**32 - 1, True, False, None])
def test_others_pass(seed: int | None) -> None:
    check_settings(Namespace(seed_everything=seed, trainer=Namespace(strategy="ddp_find_unused_parameters_true")))


@pytest.mark.parametrize(("name", "value"), [("enable_checkpointing", False), ("barebones", True)])
def test_a_run_without_files(name: str, value: bool) -> None:
    with pytest.raises(UserError, match=f"^--trainer.{name} {str(value).lower()}: .* leave it out"):
        check_settings(Namespace(seed_everything=0, trainer=Namespace(strategy="auto", **{name: value})))
    check_settings(Namespace(seed_everything=0, trainer=Namespace(strategy="auto", **{name: not value})))


def test_machines_that_nothing_names(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Namespace(seed_everything=0, trainer=Namespace(strategy="auto", num_nodes=1_000))
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match=r"^--trainer.num_nodes 1000: .* torchrun .* MASTER_ADDR"):
        check_settings(settings)
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    check_settings(settings)
