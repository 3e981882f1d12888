"""Embeddings of tokens, to which those of hashed n-grams may be added.

B batch, T time, V vocabulary, D width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.hashing.hashed_ngrams import CharNgrams, WordNgrams
from seq_modules.nets.text.word_vectors import start_from
from seq_modules.nets.transformer.block import drop, random_bytes
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class EmbeddingConfig:
    """Embeddings of tokens and of n-grams.

    Attributes:
        char_orders: Lengths of character n-grams, such as [3, 4, 5], whose mean embedding is added to the token's
            (Bojanowski et al. 2017), so that a rare token resembles those it is spelt like. None for none.
        char_buckets: Rows of their table, which they share by a hash.
        word_orders: Lengths of word n-grams, such as [2] for pairs, whose embeddings are added to that of their last
            token (Joulin et al. 2017). None for none.
        word_buckets: Rows of their table, which they share by a hash.
        vectors: Text file of GloVe's or word2vec's vectors to start the embeddings from; their width is d_model.
        freeze: Leave the token embeddings as they start.
        word_dropout: Fraction of the tokens replaced by the unknown one while training (Iyyer et al. 2015).
        dropout: Fraction of the embeddings' numbers dropped while training, in steps of 1/256.

    Raises:
        UserError: A value is out of its range.
    """

    char_orders: list[int] | None = None
    char_buckets: int = 20_000
    word_orders: list[int] | None = None
    word_buckets: int = 50_000
    vectors: str | None = None
    freeze: bool = False
    word_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("char_orders", "word_orders"):
            orders = getattr(self, name) or []
            if len(set(orders)) < len(orders) or min(orders, default=1) < 1:
                raise UserError(f"net.embedding.{name} must be different and at least 1 each, not {orders}")
        check_range("net.embedding.char_buckets", self.char_buckets, least=2)
        check_range("net.embedding.word_buckets", self.word_buckets, least=2)
        check_range("net.embedding.word_dropout", self.word_dropout, least=0, below=1)
        check_range("net.embedding.dropout", self.dropout, least=0, below=1)


class TokenEmbedding(nn.Module):
    """Sum of the embeddings of a token, of its character n-grams, and of the word n-grams that end at it.

    Args:
        vocab_size: V.
        d_model: D.
        pad_id: The token of padding, whose embedding is 0.
        config: N-grams and dropout.

    Attributes:
        unknown_id: What word dropout puts in a token's place; None, the default, drops none.
    """

    def __init__(self, vocab_size: int, d_model: int, pad_id: int, config: EmbeddingConfig) -> None:
        super().__init__()
        self.word_dropout, self.dropout = config.word_dropout, config.dropout
        self.unknown_id: int | None = None
        self.tokens = nn.Embedding(vocab_size, d_model, padding_idx=pad_id)
        chars, words = config.char_orders, config.word_orders
        self.chars = CharNgrams(vocab_size, d_model, chars, config.char_buckets) if chars else None
        self.words = WordNgrams(d_model, words, config.word_buckets, pad_id) if words else None
        added = [ngrams.table for ngrams in (self.chars, self.words) if ngrams is not None]
        with torch.no_grad():  # small, as trained vectors are: the random start must not drown the sentence
            for table in (self.tokens, *added):
                table.weight.normal_(std=0.1)[table.padding_idx] = 0
        self.tokens.weight.requires_grad_(not config.freeze)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embeddings (B, T, D) of ids (B, T); while training with tokens and numbers dropped."""
        if self.training and self.word_dropout and self.unknown_id is not None:
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.word_dropout
            padding = input_ids == self.tokens.padding_idx
            input_ids = input_ids.masked_fill(dropped & ~padding, self.unknown_id)
        x = self.tokens(input_ids)
        if self.chars is not None:
            x = x + self.chars(input_ids)
        if self.words is not None:
            x = x + self.words(input_ids)
        if self.training and self.dropout:
            x = drop(x, random_bytes(*x.shape, device=x.device), self.dropout)
        return x

    def token_vectors(self) -> Tensor:
        """Embeddings of all tokens with their character n-grams, (V, D)."""
        weight = self.tokens.weight.detach()
        if self.chars is None:
            return weight
        return weight + self.chars(torch.arange(len(weight), device=weight.device)[None])[0].detach()

    def set_pieces(self, tokenizer: Any) -> None:
        """Computes the rows of the character n-grams from the tokenizer's ``pieces`` and ``special``."""
        if self.chars is not None:
            pieces = tokenizer.pieces(range(self.tokens.num_embeddings))
            self.chars.set_pieces(pieces, list(tokenizer.special.values()))

    def start_from(self, vectors: dict[int, Tensor]) -> None:
        """Writes pretrained vectors (D,) of some tokens into the table; see :func:`word_vectors.start_from`."""
        start_from(self.tokens.weight.data, vectors)
        self.tokens.weight.data[self.tokens.padding_idx] = 0
