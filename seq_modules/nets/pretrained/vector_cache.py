"""Vectors that a frozen encoder has made already: each text is read once, not once an epoch.

They are kept in a file as well, for later trainings, tests and trials of a sweep.

B batch, T time, W width of a text's vector, N vectors.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from seqlight.core.errors import WritingError
from seqlight.core.files.replacing import replacing

MAX_BYTES = 2**29  # of vectors; texts beyond it are read each time
DIGEST_BYTES = 16  # of a text's ids


class VectorCache:
    """Vectors by the ids of their texts.

    Args:
        path: File of vectors that were kept; None: they are kept in memory alone. Its name should contain the
            :func:`fingerprint` of the encoder.
        max_bytes: Size of the vectors that are kept.
    """

    def __init__(self, path: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_bytes = path, max_bytes
        self.vectors = _load(path)
        self.size = sum(map(_bytes_of, self.vectors.values()))
        self.is_saved = True

    def __call__(self, read: Callable[[Tensor, Tensor], Tensor], input_ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors (B, W) of ids (B, T) and their mask (B, T); those that are not there yet come from ``read``."""
        rows = [_digest(ids[here]) for ids, here in zip(input_ids.cpu(), mask.cpu(), strict=True)]
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
            if self.size + _bytes_of(vector) <= self.max_bytes:
                self.size += _bytes_of(vector)
                self.vectors[row] = vector.detach().cpu().clone()
                self.is_saved = False

    def save(self) -> None:
        """Adds what is new to the file.

        Raises:
            WritingError: It cannot be written; the next call does not try it again.
        """
        if self.path is None or self.is_saved:
            return
        self.is_saved = True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"), replacing(self.path) as part:  # other processes add to it too
                vectors = {**_load(self.path), **self.vectors}
                keys = torch.frombuffer(bytearray(b"".join(vectors)), dtype=torch.uint8).view(-1, DIGEST_BYTES)
                save_file({"keys": keys, "vectors": torch.stack(list(vectors.values()))}, part)
        except (OSError, SafetensorError) as error:
            raise WritingError(
                f"{self.path}: the encoder's vectors are not kept ({error}); --data.cache_dir names another"
            ) from error


def fingerprint(module: nn.Module, *options: object) -> str:
    """Digest of all that the vectors depend on: weights and options."""
    digest = hashlib.sha256(repr(options).encode())
    for name, values in module.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(ids: Tensor) -> bytes:
    return hashlib.blake2b(ids.numpy().tobytes(), digest_size=DIGEST_BYTES).digest()


def _bytes_of(vector: Tensor) -> int:
    return vector.numel() * vector.element_size()


def _load(path: Path | None) -> dict[bytes, Tensor]:
    """The vectors of a file; none if it is not there or damaged."""
    if path is None:
        return {}
    try:
        held = load_file(path)
        return {row.numpy().tobytes(): vector for row, vector in zip(held["keys"], held["vectors"], strict=True)}
    except (OSError, SafetensorError, KeyError):
        return {}
