"""Additions to GPT-2's form that speed up the training of a small net (docs/notes/language.md); all off by default.

B batch, T time, D width, H heads, K head size, L layers, V vocabulary, N orders of n-grams.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seq_modules.nets.hashing.hashed_ngrams import NgramEmbedding
from seq_modules.nets.hashing.word_hashes import WordHashes
from seq_modules.nets.transformer.attention import Attend
from seq_modules.nets.transformer.block import Block, RMSNorm
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range

if TYPE_CHECKING:
    from seq_modules.nets.transformer.gpt import GPT, GPTConfig


@dataclass(frozen=True)
class NgramConfig:
    """Hashed n-gram embeddings that are added to the tokens' (nets/hashing/hashed_ngrams.py).

    Attributes:
        orders: Lengths of the n-grams, such as [2, 3, 4]; None for none.
        buckets: Rows of each length's table, which n-grams share by a hash, at least 2.
        dim: Width of their embeddings before they are projected to d_model.
        dropout: Fraction of the n-grams dropped while training, each as a whole, in [0, 1).
        words: Contexts of words beside them, such as [0, 1]: the word that is being written, alone (0) and with so many
            words before it. For text in characters or subwords; None for none.

    Raises:
        UserError: A value is out of its range.
    """

    orders: list[int] | None = None
    buckets: int = 16384
    dim: int = 32
    dropout: float = 0.0
    words: list[int] | None = None

    def __post_init__(self) -> None:
        orders = self.orders or []
        if len(set(orders)) < len(orders) or min(orders, default=1) < 1:
            raise UserError(f"net.ngrams.orders must be different and at least 1 each, not {orders}")
        words = self.words or []
        if len(set(words)) < len(words) or min(words, default=0) < 0:
            raise UserError(f"net.ngrams.words must be different and at least 0 each, not {words}")
        if words and not orders:
            raise UserError(
                f"net.ngrams.words {words} stand beside net.ngrams.orders; give those too, such as [2, 3, 4]"
            )
        check_range("net.ngrams.buckets", self.buckets, least=2)
        check_range("net.ngrams.dim", self.dim, least=1)
        check_range("net.ngrams.dropout", self.dropout, least=0, below=1)


@dataclass(frozen=True)
class ExtrasConfig:
    """Additions to GPT-2's form that speed up the training of a small net (docs/notes/language.md).

    Attributes:
        qk_norm: Normalise queries and keys (Henry et al. 2020).
        value_embeddings: Add a second embedding of the token to the attention's values in the first two and last two
            blocks, each with a learned gate (Zhou et al. 2024; modded-nanogpt).
        residual_mix: Normalise the embedding, and let each block start from a·x + b·embedding (modded-nanogpt).
        logit_softcap: Squash logits z to c·tanh(z/c), c above 0 (Gemma 2); None leaves them.
        zero_init: Start the last matrix of each branch, and a head of its own, at zero, the others at 0.5/√inputs, and
            token embeddings that are not the head too at unit scale.

    Raises:
        UserError: A value is out of its range.
    """

    qk_norm: bool = False
    value_embeddings: bool = False
    residual_mix: bool = False
    logit_softcap: float | None = None
    zero_init: bool = False

    def __post_init__(self) -> None:
        check_range("net.extras.logit_softcap", self.logit_softcap, above=0)


class MixedBlock(Block):
    """A block with a residual mix, a value embedding, or both.

    Args:
        residual_mix: Start from a·x + b·x0 with learned a and b, at first 1 and 0; x0 is the first block's input.
        value_embedding: Add an embedding of the token, times a learned gate, to the values (Zhou et al. 2024).
        arguments: Those of Block.
    """

    def __init__(self, *, residual_mix: bool, value_embedding: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.mix = nn.Parameter(torch.tensor([1.0, 0.0])) if residual_mix else None
        self.value_gate = nn.Parameter(torch.tensor([0.5])) if value_embedding else None

    def forward(
        self,
        x: Tensor,
        *,
        x0: Tensor | None = None,
        values: Tensor | None = None,
        mask: Tensor | None = None,
        attend: Attend | None = None,
        **arguments: Any,
    ) -> Tensor:
        """(B, T, D) to (B, T, D).

        Args:
            x: The residual stream.
            x0: The first block's input, (B, T, D); needed for the residual mix.
            values: Value embeddings (B, H, T, K); needed for a value embedding.
            mask: As for Block.
            attend: As for Block.
            arguments: Block's others.
        """
        # Mix and gate are numbers without dimensions, so that stream and values keep their precision.
        if self.mix is not None:
            assert x0 is not None
            x = self.mix[0] * x + self.mix[1] * x0
        if self.value_gate is not None:
            assert values is not None
            added, inner = self.value_gate[0] * values, attend or partial(self.attention.attend, mask=mask)

            def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
                return inner(q, k, v + added)

        return super().forward(x, mask=mask, attend=attend, **arguments)


class Extras(nn.Module):
    """What a GPT with additions has beside the plain one: n-grams, value embeddings, norm of the embedding, softcap.

    Args:
        vocab_size: V.
        config: The net's shape.
        hash_seed: Decides which n-grams share a row of a table.
    """

    def __init__(self, vocab_size: int, config: "GPTConfig", hash_seed: int) -> None:
        super().__init__()
        self.config, self.num_heads, self.num_layers = config.extras, config.num_heads, config.num_layers
        ngrams, width = config.ngrams, config.d_model
        self.ngrams: NgramEmbedding | None = None
        if ngrams.orders:
            self.ngrams = NgramEmbedding(
                width,
                ngrams.orders,
                buckets=ngrams.buckets,
                dim=ngrams.dim,
                dropout=ngrams.dropout,
                hash_seed=hash_seed,
                words=WordHashes(vocab_size, ngrams.words, config.max_seq_len) if ngrams.words else None,
            )
        self.value_embedding = nn.Embedding(vocab_size, width) if config.extras.value_embeddings else None
        self.embedding_norm = RMSNorm(width) if config.extras.residual_mix else None

    def block(self, layer: int, **arguments: Any) -> MixedBlock:
        """The block of a layer, with Block's arguments."""
        outer = layer < 2 or layer >= self.num_layers - 2
        values = self.config.value_embeddings and outer
        return MixedBlock(residual_mix=self.config.residual_mix, value_embedding=values, **arguments)

    def add_ngrams(self, x: Tensor, ids: Tensor, positions: slice | Tensor, read: Tensor | None) -> Tensor:
        """The token embeddings (B, T, D) of ids (B, T) with those of the n-grams; arguments as for ``GPT.embed``."""
        if self.ngrams is None:
            return x
        return x + self.ngrams(self.ngrams.hashes(ids) if read is None else self.ngrams.newest(read, positions))

    def normalised(self, x: Tensor) -> Tensor:
        """The blocks' input, (B, T, D)."""
        return x if self.embedding_norm is None else self.embedding_norm(x)

    def block_inputs(self, x: Tensor, ids: Tensor) -> dict[str, Tensor | None]:
        """What each block takes beside Block's inputs, of the first block's input x (B, T, D) and ids (B, T)."""
        # A copy of x, or the first block compiles by itself.
        return {"x0": None if self.embedding_norm is None else x.clone(), "values": self.values(ids, x.dtype)}

    def values(self, ids: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Value embeddings (B, H, T, K) of ids (B, T)."""
        if self.value_embedding is None:
            return None
        # (B, T, D) -> (B, T, H, K) -> (B, H, T, K)
        return self.value_embedding(ids).to(dtype).unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def capped(self, z: Tensor) -> Tensor:
        """The logits."""
        cap = self.config.logit_softcap
        return z if cap is None else cap * torch.tanh(z / cap)


def zero_init(net: "GPT") -> None:
    """What ``zero_init`` means for embeddings and head; the blocks' matrices are drawn with the rest of the net."""
    if not net.tie_weights:
        net.token_embedding.weight.normal_(std=1 / net.token_scale)
        if isinstance(net.head, nn.Linear):
            net.head.weight.zero_()
    extras = net.extras
    if extras is not None and extras.value_embedding is not None:
        extras.value_embedding.weight.normal_(std=0.5)
    if extras is not None and extras.ngrams is not None:
        extras.ngrams.table.weight.normal_(std=0.1)
        extras.ngrams.projection.weight.normal_(std=0.5 / math.sqrt(extras.ngrams.table.embedding_dim))
