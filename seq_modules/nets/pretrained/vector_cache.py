"""Vectors that a frozen encoder has made already: each text is read once, not once an epoch.

They stay in memory while the process lives, so that the trials of a sweep share them. Those of another encoder are
forgotten.

B batch, T time, W width of a text's vector.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

MAX_BYTES = 2**29  # of vectors; texts beyond it are read each time


class VectorCache:
    """Vectors by the ids of their texts.

    Args:
        max_bytes: Size of the vectors that are kept.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.room = max_bytes
        self.vectors: dict[bytes, Tensor] = {}

    def __call__(self, read: Callable[[Tensor, Tensor], Tensor], input_ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors (B, W) of ids (B, T) and their mask (B, T); those that are not there yet come from ``read``."""
        rows = [ids[here].numpy().tobytes() for ids, here in zip(input_ids.cpu(), mask.cpu(), strict=True)]
        new = [index for index, row in enumerate(rows) if row not in self.vectors]
        found: dict[bytes, Tensor] = {}
        if new:
            longest = int(mask[new].sum(1).max())
            vectors = read(input_ids[new, :longest], mask[new, :longest])
            found = {rows[index]: vector for index, vector in zip(new, vectors, strict=True)}
            self._keep(found)
        return torch.stack([found[row] if row in found else self.vectors[row].to(input_ids.device) for row in rows])

    def _keep(self, found: dict[bytes, Tensor]) -> None:
        for row, vector in found.items():
            if (size := vector.numel() * vector.element_size()) <= self.room:
                self.room -= size
                self.vectors[row] = vector.detach().cpu().clone()


@lru_cache(maxsize=1)
def shared_cache(fingerprint: str) -> VectorCache:
    """The process's cache for an encoder; that of another encoder is forgotten."""
    return VectorCache()


def fingerprint(module: nn.Module, *options: object) -> str:
    """Digest of all that the vectors depend on: weights and options."""
    digest = hashlib.sha256(repr(options).encode())
    for name, values in module.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
