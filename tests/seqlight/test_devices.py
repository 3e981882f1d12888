"""What a checkpoint's settings of devices become on a machine that has others."""

from typing import Any

import pytest
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from seqlight.devices import left_out, settings_here

AUTO = {"accelerator": "auto", "devices": "auto", "num_nodes": 1, "strategy": "auto"}
FOUR = {"accelerator": "gpu", "devices": 4, "num_nodes": 1, "strategy": "fsdp"}


@pytest.fixture(autouse=True)
def _started_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    graphics_cards(monkeypatch, 0)


def graphics_cards(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: False))
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: number > 0))
    monkeypatch.setattr(CUDAAccelerator, "auto_device_count", staticmethod(lambda: number))


@pytest.mark.parametrize(
    ("saved", "cards", "here"),
    [
        ({}, 0, {}),
        ({"accelerator": "cpu", "devices": 1}, 0, {"accelerator": "cpu", "devices": 1}),
        ({"accelerator": "cpu", "devices": 1}, 2, {"accelerator": "cpu", "devices": 1}),  # asked for, and there
        ({"accelerator": "cpu", "devices": 3, "strategy": "ddp"}, 0, {"accelerator": "cpu"}),
        ({"devices": "3", "num_nodes": 2, "strategy": "ddp"}, 0, {}),
        (FOUR, 0, {}),
        (FOUR, 2, {"accelerator": "gpu", "strategy": "fsdp"}),
        (FOUR, 4, {"accelerator": "gpu", "devices": 4, "strategy": "fsdp"}),
        (FOUR, 8, {"accelerator": "gpu", "devices": 4, "strategy": "fsdp"}),
        (FOUR, 1, {"accelerator": "gpu"}),  # one process needs no strategy
        ({"accelerator": "tpu", "devices": 8, "strategy": "xla"}, 0, {}),
        ({"accelerator": "evil.Evil", "devices": -1, "strategy": "xla"}, 2, {}),
        ({"accelerator": "gpu", "strategy": "evil.Evil"}, 4, {"accelerator": "gpu"}),
        ({"devices": [0, 5], "strategy": {"class_path": "evil.Evil"}}, 4, {}),
    ],
)
def test_what_is_here_stays(
    monkeypatch: pytest.MonkeyPatch, saved: dict[str, Any], cards: int, here: dict[str, Any]
) -> None:
    graphics_cards(monkeypatch, cards)
    assert settings_here(saved) == {**AUTO, **here}


def test_the_launcher_says_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"accelerator": "cpu", "devices": 3, "strategy": "ddp"}
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert settings_here(run) == {"accelerator": "cpu", "devices": 2, "num_nodes": 4, "strategy": "ddp"}
    assert settings_here(FOUR)["strategy"] == "auto"  # fsdp was for cards, of which there are none
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    for name, value in {"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "1"}.items():
        monkeypatch.setenv(name, value)
    assert settings_here(run) == {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}


def test_what_is_left_out_is_what_differs_and_was_asked_for() -> None:
    assert left_out({"accelerator": "cpu", "devices": "1", "num_nodes": 1, "strategy": "auto"}) == {}
    assert left_out(FOUR | {"num_nodes": 2}) == {
        "accelerator": "gpu", "devices": "4", "num_nodes": "2", "strategy": "fsdp"
    }  # fmt: skip
    strategy = {"class_path": "lightning.pytorch.strategies.DDPStrategy"}
    assert left_out({"devices": "auto", "strategy": strategy}) == {"strategy": strategy["class_path"]}
