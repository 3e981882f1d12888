"""The nearest tokens of a word in a learned embedding."""

import csv
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.protocols.nets import HasTokenVectors
from seq_modules.protocols.systems import HasTokenizer
from seqlight.core.hyperparameters import check_choice, check_range

Distance = Literal["euclidean", "cosine"]


class Neighbours(Callback):
    """After ``test``, prints the tokens whose vectors are nearest to a word's, and writes them to ``neighbours.csv``.

    A word that the tokenizer does not know, or splits into several tokens, is reported and left out.

    Args:
        words: The words.
        count: Neighbours of each, at least 1.
        distance: "euclidean", or "cosine" for 1 minus the cosine.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, words: list[str] | None = None, count: int = 10, distance: Distance = "euclidean") -> None:
        check_range("count", count, least=1)
        check_choice("distance", distance, Distance)
        self.words = ["great", "who", "city"] if words is None else words
        self.count, self.distance = count, distance

    @rank_zero_only
    @torch.inference_mode()
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints and writes."""
        tokenizer: Any = pl_module.tokenizer if isinstance(pl_module, HasTokenizer) else None
        if tokenizer is None or not isinstance(pl_module, HasTokenVectors):
            return
        vectors = pl_module.token_vectors().float()
        special = sorted(set(tokenizer.special.values()))
        with (run_folder(trainer) / "neighbours.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("word", "place", "token", "distance"))
            for word in self.words:
                ids = [token for token in tokenizer.encode(word) if token not in special]
                if len(ids) != 1:
                    print(f"neighbours of {word!r}: it is no token of its own")
                    continue
                found = nearest(vectors, ids[0], self.count, self.distance, special)
                pieces = tokenizer.pieces([token for token, _ in found])
                print(f"neighbours of {word!r}: {' '.join(pieces)}")
                for place, (piece, (_, distance)) in enumerate(zip(pieces, found, strict=True), start=1):
                    writer.writerow((word, place, piece, f"{distance:.4f}"))


def nearest(
    vectors: Tensor, token: int, count: int, distance: Distance = "euclidean", left_out: list[int] | None = None
) -> list[tuple[int, float]]:
    """The ``count`` tokens nearest to one, nearest first, with their distances.

    Args:
        vectors: Embeddings, (V, D).
        token: The token whose neighbours are listed.
        count: How many neighbours, or as many as there are.
        distance: "euclidean" or "cosine".
        left_out: Tokens that are not listed; the token itself never is.
    """
    if distance == "cosine":
        directions = F.normalize(vectors, dim=-1)
        distances = 1 - directions @ directions[token]
    else:
        distances = (vectors - vectors[token]).norm(dim=-1)
    distances = distances.clone()
    without = sorted({token, *(left_out or [])})
    distances[without] = torch.inf
    values, tokens = distances.topk(min(count, len(vectors) - len(without)), largest=False)
    return list(zip(tokens.tolist(), values.tolist(), strict=True))
