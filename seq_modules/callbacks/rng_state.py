"""The random number generators' state in the checkpoint: a resumed run draws what the other would have."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class RNGState(Callback):
    """Saves and restores the generators of Python, NumPy, torch and the current CUDA device.

    Restored when training starts: after the sanity check and the making of the loaders, which also draw. Under DDP the
    state is that of rank 0 (a net with dropout then resumes with other masks on the other ranks).
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors alone, as weights_only loading asks."""
        version, words, gauss = random.getstate()
        kind, keys, *rest = np.random.get_state(legacy=True)
        state: dict[str, Any] = {
            "python": [version, list(words), gauss],
            "numpy": [str(kind), np.asarray(keys).tolist(), *rest],
            "torch": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the state until training starts."""
        self._loaded = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores what the checkpoint held."""
        state, self._loaded = self._loaded, None
        if state is None:
            return
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
        torch.set_rng_state(state["torch"].cpu())
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"].cpu())
