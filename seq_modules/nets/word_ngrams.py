"""Embeddings of word n-grams, so that a bag of words knows "not good" from "good" (Joulin et al. 2017).

B batch, T time, D width of the embeddings, G lengths of n-grams.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlight.core.errors import UserError

PRIME, FACTOR = 2**31 - 1, 1_540_483_477  # a product of two numbers below the prime stays within 64 bits


def mixed(numbers: Tensor) -> Tensor:
    """Numbers below the prime, to the eye without order, of integers below it: neighbours must not share rows."""
    spread = numbers % PRIME * FACTOR % PRIME
    return spread ^ (spread >> 15)


class WordNgrams(nn.Module):
    """Sum of the embeddings of the n-grams that end at a token; they share a table's rows by a hash of the ids.

    An n-gram that would begin before the row has padding in the missing places, so that "what" as the first word is
    not "what" further on.

    Args:
        d_model: D.
        longest: Tokens of the longest n-grams, at least 2; there are those of 2 up to it.
        buckets: Rows of the table, at least 2; the first stands for "none".
        pad_id: The token of padding, where no n-gram ends.
    """

    def __init__(self, d_model: int, longest: int, buckets: int = 50_000, pad_id: int = 0) -> None:
        super().__init__()
        if longest < 2:
            raise UserError(f"word_ngrams must be at least 2, or 1 for none, not {longest}")
        if buckets < 2:
            raise UserError(f"word_buckets must be at least 2, not {buckets}")
        self.longest, self.buckets, self.pad_id = longest, buckets, pad_id
        self.table = nn.Embedding(buckets, d_model, padding_idx=0)

    def rows(self, input_ids: Tensor) -> Tensor:
        """Rows of the table, (B, T, G), 0 at padding."""
        before, hashes, found = input_ids, mixed(input_ids), []
        for length in range(2, self.longest + 1):
            before = F.pad(before, (1, 0), value=self.pad_id)[:, :-1]
            hashes = mixed(hashes + before + length)
            found.append(hashes % (self.buckets - 1) + 1)
        return torch.stack(found, -1) * (input_ids != self.pad_id)[..., None]

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T, D) of ids (B, T) that are padded on the right."""
        rows: Tensor = self.table(self.rows(input_ids))  # (B, T, G, D)
        return rows.sum(-2)
