"""The random number generators' state in the checkpoint: a resumed run draws the numbers of an unbroken one."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from seqlight.core.errors import UserError


class RNGState(Callback):
    """Saves and restores the generators of Python, NumPy, torch and the current CUDA device.

    Restored when training starts: after the sanity check and the making of the loaders, which also draw. Ranks share a
    seed, so that they build the same net; from the start of training on, each draws its own noise and dropout.
    """

    def __init__(self) -> None:
        self._loaded: list[dict[str, Any]] | None = None
        self._before: dict[str, Any] | None = None  # within a validation: the states at its start

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the states, from which a validation that is broken off will be made again."""
        self._before = self._own_state()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets them."""
        self._before = None

    def state_dict(self) -> dict[str, Any]:
        """The states of all ranks; Lightning calls this on every rank."""
        own = self._before or self._own_state()
        if not torch.distributed.is_initialized():
            return {"ranks": [own]}
        ranks: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def _own_state(self) -> dict[str, Any]:
        """This process's states as plain values and tensors, which load under ``weights_only``."""
        version, words, gauss = random.getstate()
        kind, keys, *rest = np.random.get_state(legacy=True)
        state: dict[str, Any] = {
            "python": [version, torch.tensor(words), gauss],
            "numpy": [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
            "torch": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the states until training starts.

        Raises:
            UserError: They are no states of these generators.
        """
        try:
            for state in state_dict["ranks"]:
                _set(state, random.Random(), np.random.RandomState(), torch.Generator())
        except (ValueError, TypeError, LookupError, RuntimeError, OverflowError, AttributeError) as error:
            raise UserError(
                "the checkpoint's `callbacks.RNGState` holds no states of random number generators; use another "
                "checkpoint"
            ) from error
        self._loaded = state_dict["ranks"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores what the checkpoint held."""
        states, self._loaded = self._loaded, None
        if states is None or len(states) != trainer.world_size:
            if trainer.global_rank:
                torch.manual_seed(torch.initial_seed() + trainer.global_rank)
            return
        state = states[trainer.global_rank]
        _set(state, random, np.random, torch.default_generator)
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"].cpu())


def _set(state: dict[str, Any], python: Any, numpy: Any, of_torch: Any) -> None:
    """Puts generators of the three kinds in a saved state."""
    version, words, gauss = state["python"]
    python.setstate((version, tuple(torch.as_tensor(words).tolist()), gauss))
    kind, keys, *rest = state["numpy"]
    numpy.set_state((kind, torch.as_tensor(keys).cpu().numpy().astype(np.uint32), *rest))
    of_torch.set_state(state["torch"].cpu())
