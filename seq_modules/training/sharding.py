"""Fully sharded data parallelism (FSDP2): each process holds a part of every weight, gradient and moment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.optim import Optimizer

from seq_modules.nets.transformer.block import Block
from seq_modules.training.distributed import trainer_of
from seqlight.core.checkpoint_file.checksum import seal
from seqlight.core.errors import UserError
from seqlight.core.files.replacing import part_of, remove


class FullyShardedStrategy(ModelParallelStrategy):
    """Lightning's strategy for FSDP2, over all processes, with checkpoints that are always whole.

    Every process trains on rows of its own, as with DDP; :func:`shard` says what is divided. It runs on CPUs too.

    Args:
        save_distributed_checkpoint: Each process writes its own part of a checkpoint, which is then a folder. By
            default one process writes all of it into one file.
    """

    def __init__(self, save_distributed_checkpoint: bool = False) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=save_distributed_checkpoint)

    def setup_environment(self) -> None:
        """Divides the weights among all processes; Lightning's default divides them among machines alone."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def on_validation_start(self) -> None:
        """Gathers the weights: decoding reads those of blocks directly, and one process may have a batch more."""
        gather(self._sharded)

    on_test_start = on_predict_start = on_validation_start

    def on_validation_end(self) -> None:
        """Divides the weights again."""
        divide(self._sharded)

    on_test_end = on_predict_end = on_validation_end

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Weights and optimisers are restored by the methods below, after the hooks that may change a checkpoint."""
        return True

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Saves beside the old checkpoint and then renames: a process that is killed leaves a whole one."""
        path, part = self.broadcast((Path(filepath), part_of(Path(filepath))))
        super().save_checkpoint(checkpoint, part, storage_options)
        self.barrier()
        if self.is_global_zero:
            if part.is_dir():
                seal(part)  # a single file is sealed as it is written
            remove(path)
            part.replace(path)
        self.barrier()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimiser's state, in one file as one process saves it: weights by number, in the optimiser's order.

        Lightning numbers them in the module's order, and then confuses weights of one shape when it loads the file of
        an optimiser with several parameter groups.
        """
        if isinstance(optimizer, LightningOptimizer):
            optimizer = optimizer.optimizer
        whole = not self._save_distributed_checkpoint
        options = StateDictOptions(full_state_dict=whole, cpu_offload=True)
        state = get_optimizer_state_dict(self._sharded, optimizer, options=options)
        return numbered(state) if whole and self.is_global_zero else state

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a file on every process; each then takes its own part of it."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, map_location="cpu", weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Loads this process's part of whole weights."""
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(self._sharded, checkpoint["state_dict"], options=options)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Loads this process's part of the optimisers' whole states."""
        names = {parameter: name for name, parameter in self._sharded.named_parameters()}
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
            options = StateDictOptions(full_state_dict=True)
            set_optimizer_state_dict(self._sharded, optimizer, named(state, order), options=options)

    @property
    def _sharded(self) -> nn.Module:
        assert self.model is not None
        return self.model


def numbered(state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state with weights by number, as torch.optim has it, from one with weights by name."""
    names = [name for group in state["param_groups"] for name in group["params"]]
    number = {name: at for at, name in enumerate(names)}
    groups = [{**group, "params": [number[name] for name in group["params"]]} for group in state["param_groups"]]
    return {"state": {number[name]: own for name, own in state["state"].items()}, "param_groups": groups}


def named(state: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """An optimiser's state with weights by name, as torch.distributed has it; ``names`` in the optimiser's order."""
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    name = dict(zip(numbers, names, strict=True))
    groups = [{**group, "params": [name[number] for number in group["params"]]} for group in state["param_groups"]]
    return {"state": {name[number]: own for number, own in state["state"].items()}, "param_groups": groups}


def shard(module: Any, mesh: DeviceMesh) -> None:
    """Divides the weights of a system among processes; ``step`` and ``forward`` gather them as they need them.

    Each Block is gathered by itself and let go again; what is outside of blocks, embeddings above all, is gathered
    together. That is training; a validation, a test or a prediction gathers all weights once, see :func:`gather`.

    Args:
        module: A system with any net; of a net without blocks, the optimiser's state alone is divided for long.
        mesh: Of the processes: "data_parallel" and "tensor_parallel", as ModelParallelStrategy makes it.

    Raises:
        UserError: The optimiser needs whole weights, or the mesh divides single matrices.
    """
    if isinstance(module, FSDPModule):
        return  # Lightning asks again in every stage
    if (size := mesh["tensor_parallel"].size()) > 1:
        raise UserError(f"tensor_parallel_size {size}: products are not divided among processes; give 1")
    trainer: Any = trainer_of(module)
    stage = None if trainer is None else trainer.state.fn
    if stage == "fit" and module.optim.optimizer == "muon":
        raise UserError("optim.optimizer muon needs whole matrices, which this strategy divides; use adamw")
    if trainer is not None:
        leave_out_readers(trainer)
    data = mesh["data_parallel"]
    for block in [part for part in module.modules() if isinstance(part, Block)]:
        fully_shard(block, mesh=data)
    fully_shard(module, mesh=data)
    register_fsdp_forward_method(module, "step")


def gather(module: Any) -> None:
    """Gives each process all weights of a system until :func:`divide`. All processes must call it.

    In between, processes exchange no weights, and need not have the same number of batches.
    """
    # Around the forward pass in it, which has hooks of its own, a registered step would divide the weights at its end.
    vars(module).pop("step", None)
    for part in fsdp_parts(module):
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()


def divide(module: Any) -> None:
    """Undoes :func:`gather`."""
    for part in fsdp_parts(module):
        part.set_reshard_after_forward(part is not module, recurse=False)  # as FSDP has it by default
        part.reshard()
    register_fsdp_forward_method(module, "step")


def fsdp_parts(module: nn.Module) -> list[FSDPModule]:
    """The modules whose weights are divided, the outermost first."""
    return [part for part in module.modules() if isinstance(part, FSDPModule)]


def leave_out_readers(trainer: Any) -> None:
    """Takes away callbacks that need whole weights, as a class attribute of theirs says, and logs which."""
    readers = [callback for callback in trainer.callbacks if getattr(callback, "whole_weights", False)]
    for callback in readers:
        trainer.callbacks.remove(callback)
    if readers:
        names = ", ".join(type(callback).__name__ for callback in readers)
        rank_zero_info(f"left out, since the weights are divided among processes: {names}")


def class_of(module: Any) -> type:
    """A module's class as it is written; ``fully_shard`` puts one of its own in front."""
    kind = type(module)
    return kind.__bases__[1] if isinstance(module, FSDPModule) else kind
