"""Embeddings of n-grams that share the rows of a table by a hash (Svenstrup et al. 2017): of tokens and of characters.

An n-gram with hash h has row h mod (K - 1) + 1; row 0 stands for "no n-gram". Three variants: :class:`NgramEmbedding`
for language models, :class:`WordNgrams` and :class:`CharNgrams` for classifiers.

B batch, T time, V vocabulary, D width, E width of an n-gram's embedding, K rows of a table, N orders (lengths of
n-grams, and contexts of words), G most n-grams of a token.
"""

import zlib
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.hashing.word_hashes import BITS, FACTOR, REACH, WordHashes
from seq_modules.nets.transformer.block import drop, random_bytes
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range

GOLDEN = 0x9E3779B1  # 2³² over the golden ratio: its multiples lie far apart
PRIME, SPREAD = 2**31 - 1, 1_540_483_477


class HashedNgrams(nn.Module):
    """A table of embeddings with the rule by which n-grams share its rows.

    Args:
        orders: Lengths of the n-grams, each once and at least 1.
        buckets: K, at least 2.
        dim: Width of a row, at least 1.
        tables: Tables of K rows, one below the other.
        padding_idx: Row that stays 0.

    Raises:
        UserError: An argument is out of its range.
    """

    def __init__(
        self, orders: Sequence[int], buckets: int, dim: int, tables: int = 1, padding_idx: int | None = None
    ) -> None:
        super().__init__()
        if not orders or min(orders) < 1 or len(set(orders)) < len(orders):
            raise UserError(f"orders must be different and at least 1 each, not {list(orders)}")
        check_range("buckets", buckets, least=2)
        check_range("dim", dim, least=1)
        self.orders, self.buckets = tuple(orders), buckets
        self.table = nn.Embedding(tables * buckets, dim, padding_idx)


def row_of(h: Tensor, buckets: int) -> Tensor:
    """Row of an n-gram with hash h, from 1 to ``buckets`` - 1."""
    return h % (buckets - 1) + 1


def hashes_by_order(
    input_ids: Tensor, orders: Sequence[int], mix: Callable[[Tensor, Tensor, int], Tensor], pad_id: int = 0
) -> dict[int, Tensor]:
    """Hash of the n-gram that ends at each token, (B, T), for each order.

    Args:
        input_ids: (B, T).
        orders: Lengths of the n-grams.
        mix: Hash of n tokens from that of the last n - 1, the token before them, and n. The hash of none is 0.
        pad_id: Token at the positions before the row's first.
    """
    h, token, found = torch.zeros_like(input_ids), input_ids, {}
    for order in range(1, max(orders) + 1):
        h = mix(h, token, order)
        if order in orders:
            found[order] = h
        token = F.pad(token, (1, 0), value=pad_id)[:, :-1]
    return found


def polynomial(h: Tensor, token: Tensor, order: int) -> Tensor:
    """h = (1000003·h + id + 1) mod 2³¹."""
    return (h * FACTOR + token + 1) & BITS


def spread(h: Tensor, token: Tensor, order: int) -> Tensor:
    """h = s(h + id + n), and s(id) for the last token: s multiplies modulo a prime and folds the upper bits down."""
    total = (h + token + order if order > 1 else token) % PRIME * SPREAD % PRIME
    return total ^ (total >> 15)


def ngram_hashes(input_ids: Tensor, orders: Sequence[int], buckets: int, hash_seed: int = 0) -> Tensor:
    """Rows of the n-grams that end at each token, (B, T, N), 0 where fewer than n tokens have been seen.

    Their hashes are :func:`polynomial`; see :func:`seeded_row`.
    """
    rows = []
    by_order = hashes_by_order(input_ids, orders, polynomial)
    for order in orders:
        row = seeded_row(by_order[order], buckets, hash_seed)
        row[:, : order - 1] = 0
        rows.append(row)
    return torch.stack(rows, dim=-1)


def seeded_row(h: Tensor, buckets: int, hash_seed: int) -> Tensor:
    """Row of hashes h below 2³¹. Those that share a row under one seed seldom do under another.

    h is multiplied by an odd number that depends on the seed (1 for 0), mod 2³¹, and becomes h xor h/2¹⁷.
    """
    h = h * (2 * hash_seed * GOLDEN + 1 & BITS) & BITS
    return row_of(h ^ (h >> 17), buckets)


class NgramEmbedding(HashedNgrams):
    """Embeddings of the last n tokens, for several n side by side, projected to the width of the net.

    Args:
        d_model: D.
        orders: Lengths of the n-grams, each once and at least 1.
        buckets: Rows of each order's table, at least 2.
        dim: E, at least 1.
        dropout: Fraction of the n-grams dropped while training, each as a whole, in steps of 1/256: n-grams are quickly
            learned by heart, and shorter ones then have to do without the longer.
        hash_seed: Decides which n-grams share a row, at least 0.
        words: The last words as well, the one that is being written included; None for no words.

    Raises:
        UserError: An argument is out of its range.
    """

    def __init__(
        self,
        d_model: int,
        orders: Sequence[int],
        *,
        buckets: int,
        dim: int,
        dropout: float,
        hash_seed: int = 0,
        words: WordHashes | None = None,
    ) -> None:
        tables = len(orders) + (0 if words is None else len(words.words))
        super().__init__(orders, buckets, dim, tables)
        check_range("dropout", dropout, least=0, below=1)
        check_range("hash_seed", hash_seed, least=0)
        self.dropout, self.hash_seed, self.words = dropout, hash_seed, words
        self.span = max(*orders, 0 if words is None else REACH)  # tokens on which a token's rows depend
        self.projection = nn.Linear(tables * dim, d_model, bias=False)
        self.register_buffer("offsets", torch.arange(tables) * buckets, persistent=False)
        self.offsets: Tensor

    def hashes(self, input_ids: Tensor) -> Tensor:
        """Rows of the tables, (B, T, N): of :func:`ngram_hashes`, then of the words."""
        rows = ngram_hashes(input_ids, self.orders, self.buckets, self.hash_seed)
        if self.words is None:
            return rows
        return torch.cat((rows, seeded_row(self.words(input_ids), self.buckets, self.hash_seed)), dim=-1)

    def newest(self, input_ids: Tensor, positions: slice | Tensor) -> Tensor:
        """The rows (B, T, N) of some steps alone.

        Args:
            input_ids: (B, S), used up to the last of these steps and perhaps longer.
            positions: A slice of length T for all rows, or (B, T).
        """
        if isinstance(positions, slice):
            first = max(0, positions.start + 1 - self.span)
            return self.hashes(input_ids[:, first : positions.stop])[:, positions.start - positions.stop :]
        hashes = self.hashes(input_ids[:, : int(positions.max()) + 1])  # (B, T, N)
        return hashes.gather(1, positions[:, :, None].expand(-1, -1, hashes.shape[2]))

    def forward(self, hashes: Tensor) -> Tensor:
        """(B, T, D) of rows (B, T, N)."""
        grams = self.table(hashes + self.offsets)  # (B, T, N, E)
        if self.training and self.dropout:
            dropout_bytes = random_bytes(*hashes.shape, device=grams.device)
            grams = drop(grams, dropout_bytes.unsqueeze(-1), self.dropout)
        return self.projection(grams.flatten(-2))  # (B, T, N, E) -> (B, T, N·E) -> (B, T, D)


class WordNgrams(HashedNgrams):
    """Sum of the embeddings of the n-grams that end at a token: a bag of words knows "not good" (Joulin et al. 2017).

    An n-gram that would begin before the row has padding at the missing positions, so that "what" as the first word is
    not "what" further on.

    Args:
        d_model: D.
        orders: Lengths of the n-grams, such as [2] for pairs.
        buckets: Rows of the table, at least 2.
        pad_id: The token of padding, where no n-gram ends.
    """

    def __init__(self, d_model: int, orders: Sequence[int], buckets: int = 50_000, pad_id: int = 0) -> None:
        super().__init__(orders, buckets, d_model, padding_idx=0)
        self.pad_id = pad_id

    def rows(self, input_ids: Tensor) -> Tensor:
        """Rows of the table, (B, T, N), 0 at padding."""
        by_order = hashes_by_order(input_ids, self.orders, spread, self.pad_id)
        rows = torch.stack([row_of(by_order[order], self.buckets) for order in self.orders], -1)
        return rows * (input_ids != self.pad_id)[..., None]

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T, D) of ids (B, T) that are padded on the right."""
        grams: Tensor = self.table(self.rows(input_ids))  # (B, T, N, D)
        return grams.sum(-2)


def char_ngrams(piece: str, orders: Sequence[int]) -> list[str]:
    """Character n-grams of a token's text (Bojanowski et al. 2017), between < and > where a word begins and ends.

    A WordPiece that continues a word begins with ##, and has no <.
    """
    text = f"{piece[2:]}>" if piece.startswith("##") and len(piece) > 2 else f"<{piece}>"
    return [text[start : start + order] for order in orders for start in range(len(text) - order + 1)]


class CharNgrams(HashedNgrams):
    """Mean of the embeddings of a token's character n-grams: a rare token resembles those it is spelt like.

    A token's rows follow from its text. :meth:`set_pieces` computes them once, and the state dict holds them.

    Args:
        vocab_size: V.
        d_model: D.
        orders: Lengths of the n-grams, each once and at least 1.
        buckets: Rows of the table, at least 2.
        limit: G; n-grams of a longer text are left out at its end.
    """

    def __init__(
        self, vocab_size: int, d_model: int, orders: Sequence[int], buckets: int = 20_000, limit: int = 32
    ) -> None:
        super().__init__(orders, buckets, d_model, padding_idx=0)
        self.limit = limit
        self.register_buffer("rows", torch.zeros(vocab_size, limit, dtype=torch.int32))
        self.rows: Tensor

    def set_pieces(self, pieces: Sequence[str], left_out: Sequence[int] = ()) -> None:
        """Computes the rows of all tokens.

        Args:
            pieces: The tokens' texts, V of them.
            left_out: Tokens without n-grams: padding and other special ones.
        """
        if len(pieces) != len(self.rows):
            raise UserError(f"vocab_size {len(self.rows)} is not the tokenizer's {len(pieces)}")
        rows = torch.zeros(len(pieces), self.limit, dtype=torch.int32)
        special = set(left_out)
        for token, piece in enumerate(pieces):
            if token not in special:
                grams = char_ngrams(piece, self.orders)[: self.limit]
                hashes = [zlib.crc32(gram.encode("utf-8", "replace")) for gram in grams]
                rows[token, : len(hashes)] = row_of(torch.tensor(hashes, dtype=torch.int64), self.buckets).int()
        self.rows.copy_(rows)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T, D) of ids (B, T); zeros for a token without n-grams."""
        rows = self.rows[input_ids]  # (B, T, G)
        if not torch.compiler.is_exporting():  # a graph's shapes cannot follow from its values
            present = rows.any(0).any(0)
            rows = rows[..., : int(present.nonzero().max()) + 1 if bool(present.any()) else 1]
        counts = (rows > 0).sum(-1, keepdim=True).clamp(min=1)
        return self.table(rows).sum(-2) / counts  # (B, T, G, D) -> (B, T, D)
