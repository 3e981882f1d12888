"""Embeddings of the character n-grams of each token, so that a rare one resembles those it is spelt like.

B batch, T time, V vocabulary, D width, G n-grams of the token that has the most.
"""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlight.core.errors import UserError


def piece_ngrams(piece: str, orders: Sequence[int]) -> list[str]:
    """Character n-grams of a token's text (Bojanowski et al. 2017), between < and > where a word begins and ends.

    A WordPiece that goes on a word begins with ##, and has no <.
    """
    text = f"{piece[2:]}>" if piece.startswith("##") and len(piece) > 2 else f"<{piece}>"
    return [text[at : at + order] for order in orders for at in range(len(text) - order + 1)]


class PieceNgrams(nn.Module):
    """Mean of the embeddings of a token's character n-grams, which share a table's rows by a hash.

    Which rows a token takes follows from its text; :meth:`set_pieces` is told that once, and the state dict keeps it.

    Args:
        vocab_size: V.
        d_model: D.
        orders: Lengths of the n-grams, at least 1 each.
        buckets: Rows of the table, at least 2; the first stands for "none".
        limit: Most n-grams of a token, G; those of a longer text are left out at its end.
        left_out: Tokens without n-grams: padding and other marks.
    """

    def __init__(
        self, vocab_size: int, d_model: int, orders: Sequence[int], buckets: int = 20_000, limit: int = 32
    ) -> None:
        super().__init__()
        if not orders or min(orders) < 1:
            raise UserError(f"char_ngrams must be lengths of at least 1, not {list(orders)}")
        if buckets < 2:
            raise UserError(f"char_buckets must be at least 2, not {buckets}")
        self.orders, self.buckets, self.limit = tuple(orders), buckets, limit
        self.table = nn.Embedding(buckets, d_model, padding_idx=0)
        self.register_buffer("rows", torch.zeros(vocab_size, limit, dtype=torch.int32))
        self.rows: Tensor

    def set_pieces(self, pieces: Sequence[str], left_out: Sequence[int] = ()) -> None:
        """Takes the tokens' texts, V of them, and which of them are only marks."""
        if len(pieces) != len(self.rows):
            raise UserError(f"vocab_size {len(self.rows)} is not the tokenizer's {len(pieces)}")
        rows = torch.zeros(len(pieces), self.limit, dtype=torch.int32)
        marks = set(left_out)
        for token, piece in enumerate(pieces):
            if token not in marks:
                grams = piece_ngrams(piece, self.orders)[: self.limit]
                hashes = [zlib.crc32(gram.encode("utf-8", "replace")) % (self.buckets - 1) + 1 for gram in grams]
                rows[token, : len(hashes)] = torch.tensor(hashes, dtype=torch.int32)
        self.rows.copy_(rows)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T, D) of ids (B, T); zeros for a token without n-grams."""
        rows = self.rows[input_ids]  # (B, T, G)
        present = rows.any(0).any(0)
        rows = rows[..., : int(present.nonzero().max()) + 1 if bool(present.any()) else 1]
        counts = (rows > 0).sum(-1, keepdim=True).clamp(min=1)
        return self.table(rows).sum(-2) / counts  # (B, T, G, D) -> (B, T, D)
