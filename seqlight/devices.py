"""Which of a run's devices this machine has: a checkpoint's settings never start processes or wait for machines."""

import os
from collections.abc import Callable
from typing import Any

from lightning.fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.strategies import StrategyRegistry
from torch.distributed import Store, rendezvous

DEFAULTS: dict[str, Any] = {"accelerator": "auto", "devices": "auto", "num_nodes": 1, "strategy": "auto"}
# Accelerators that a name stands for, in Lightning's order of preference.
ALIASES = {"auto": ("tpu", "cuda", "mps", "cpu"), "gpu": ("mps", "cuda")}
_stores: list[Store] = []  # rank 0 serves the others from here; torch.distributed's own connection shares the server


def settings_here(saved: dict[str, Any]) -> dict[str, Any]:
    """The saved Trainer's settings of devices that this machine can follow, and its own in place of the others.

    The accelerator stays if it is here, a number of devices if there are as many, and a strategy if it still has
    several processes on the same accelerator. Under torchrun or SLURM the number of processes is the launcher's.

    Args:
        saved: Values of a run's ``trainer``, of which "accelerator", "devices", "num_nodes" and "strategy" are read.

    Returns:
        Those four.
    """
    found, launched = dict(DEFAULTS), launched_processes()
    accelerator = str(saved.get("accelerator") or "auto")
    if kept := accelerator_here(accelerator) is not None:
        found["accelerator"] = accelerator
    name = accelerator_here(str(found["accelerator"])) or "cpu"
    number = AcceleratorRegistry[name]["accelerator"].auto_device_count()
    if launched is not None:
        found["devices"], found["num_nodes"] = launched
    elif 0 < _as_number(saved.get("devices")) <= number:
        found["devices"] = number = _as_number(saved["devices"])
    several = launched != (1, 1) if launched is not None else number > 1
    strategy = str(saved.get("strategy"))
    runs_here = strategy in StrategyRegistry.available_strategies() and (name != "cpu" or strategy.startswith("ddp"))
    if kept and several and runs_here:
        found["strategy"] = strategy
    return found


def left_out(saved: dict[str, Any]) -> dict[str, str]:
    """What a run asked for and does not get here: the settings of :func:`settings_here` that differ from the saved."""
    asked = {name: saved[name] for name in DEFAULTS if saved.get(name) is not None}
    named = {name: value.get("class_path") if isinstance(value, dict) else value for name, value in asked.items()}
    here = settings_here(saved)
    return {name: str(v) for name, v in named.items() if str(v) not in (str(DEFAULTS[name]), str(here[name]))}


def accelerator_here(name: str) -> str | None:
    """The registered name of the accelerator that ``name`` stands for, or None if this machine has none such."""
    for candidate in ALIASES.get(name, (name,)):
        if candidate in AcceleratorRegistry and AcceleratorRegistry[candidate]["accelerator"].is_available():
            return candidate
    return None


def launched_processes() -> tuple[int, int] | None:
    """Processes a node and nodes, if torchrun or SLURM has started this process; else None."""
    if TorchElasticEnvironment.detect():
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1")), int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    if SLURMEnvironment.detect():
        return int(os.environ.get("SLURM_NTASKS_PER_NODE", "1")), int(os.environ.get("SLURM_NNODES", "1"))
    return None


def is_one_of_several_machines() -> bool:
    """Whether a launcher, or the variables that Lightning reads without one, say where the other machines are."""
    launchers = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)
    return "MASTER_ADDR" in os.environ or any(launcher.detect() for launcher in launchers)


def from_first_process(key: str, make: Callable[[], str]) -> str:
    """A value on which all processes that torchrun or SLURM has started agree: rank 0 makes it, and the others read it.

    They meet where torch.distributed will connect them. A single process makes its value itself, and so does one that
    Lightning starts others from.

    Args:
        key: Name of the value; it is made once for all commands of the same processes.
        make: What gives the value, called in rank 0 alone.
    """
    if launched_processes() in (None, (1, 1)):
        return make()
    environment = TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment()
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    rank = environment.global_rank()
    store, _, _ = next(rendezvous("env://", rank, environment.world_size()))
    _stores.append(store)
    return (store.get(key) if rank else store.compare_set(key, "", make())).decode()


def _as_number(value: Any) -> int:
    """A number of devices, given as such or as a string; 0 for "auto", -1 and lists."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
