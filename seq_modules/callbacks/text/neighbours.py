"""The nearest tokens of a word in a learned embedding."""

import csv
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.errors import UserError

Distance = Literal["euclidean", "cosine"]


class Neighbours(Callback):
    """Prints, after ``test``, the tokens whose vectors are nearest to a word's, and writes them to ``neighbours.csv``.

    A word that the tokenizer does not know, or makes several tokens of, is named and left out.

    Args:
        words: The words.
        count: Neighbours of each, at least 1.
        distance: Euclidean, as in the course, or 1 minus the cosine.
    """

    def __init__(self, words: list[str] | None = None, count: int = 10, distance: Distance = "euclidean") -> None:
        if count < 1:
            raise UserError(f"count must be at least 1, not {count}")
        self.words = ["great", "who", "city"] if words is None else words
        self.count, self.distance = count, distance

    @rank_zero_only
    @torch.inference_mode()
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints and writes."""
        module: Any = pl_module
        tokenizer: Any = getattr(module, "tokenizer", None)
        net: Any = getattr(module, "net", None)
        if tokenizer is None or not hasattr(net, "token_vectors"):
            return
        vectors = net.token_vectors().float()
        marks = sorted(set(tokenizer.special.values()))
        with (run_folder(trainer) / "neighbours.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("word", "place", "token", "distance"))
            for word in self.words:
                ids = [token for token in tokenizer.encode(word) if token not in marks]
                if len(ids) != 1:
                    print(f"neighbours of {word!r}: it is no token of its own")
                    continue
                found = nearest(vectors, ids[0], self.count, self.distance, marks)
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
        token: Whose neighbours.
        count: How many, or as many as there are.
        distance: Which.
        left_out: Tokens that are nobody's neighbours, beside the token itself.
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
