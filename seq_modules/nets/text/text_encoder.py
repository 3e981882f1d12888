"""A sentence's tokens to one vector: embeddings, a net over them, pooling. Padding counts in none of the three.

B batch, T time, V vocabulary, D width of the embeddings, H hidden width, W width of what comes out.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.hashed_ngrams import CharNgrams, WordNgrams
from seq_modules.nets.rnn.recurrent import Backend, Recurrent
from seq_modules.nets.text.pooling import Pool, Pooling
from seq_modules.nets.text.text_cnn import TextCNN
from seq_modules.nets.transformer.block import Block, drop, random_bytes
from seq_modules.nets.transformer.positions import rotary_tables, sinusoidal_table
from seqlight.core.checks import check_choice
from seqlight.core.errors import UserError

Encoder = Literal["rnn", "lstm", "gru", "cnn", "transformer", "embeddings"]
Positions = Literal["sinusoidal", "rotary", "none"]


class TransformerEncoder(nn.Module):
    """Pre-norm Transformer encoder: every token looks at every true one (Vaswani et al. 2017; Xiong et al. 2020).

    Args:
        d_model: D; a multiple of num_heads.
        num_layers: Blocks.
        num_heads: Attention heads.
        d_ff: Width inside the feed-forward nets; by default 4·D.
        positions: Vectors added to the input ("sinusoidal"), turns of queries and keys ("rotary"), or "none".
        dropout: Share of each branch's output dropped while training, in steps of 1/256.
    """

    def __init__(
        self,
        d_model: int,
        num_layers: int,
        num_heads: int,
        d_ff: int | None = None,
        positions: Positions = "rotary",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise UserError(f"num_layers must be at least 1, not {num_layers}")
        if num_heads < 1 or d_model % num_heads:
            raise UserError(f"num_heads {num_heads} must divide d_model {d_model}")
        check_choice("positions", positions, Positions)
        self.positions, self.head_size, self.dropout = positions, d_model // num_heads, dropout
        if positions == "rotary":
            rotary_tables(1, self.head_size)  # refuses an odd head size
        self.blocks = nn.ModuleList(
            Block(d_model, num_heads, d_ff or 4 * d_model, dropout=dropout, activation="gelu")
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        for block in self.blocks:
            assert isinstance(block, Block)
            for last in (block.attention.out, block.feed_forward.down):  # each branch starts small beside the stream
                nn.init.normal_(last.weight, std=0.02 / (2 * num_layers) ** 0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D), with a mask (B, T), true at the tokens that are looked at."""
        steps, device = x.shape[1], x.device
        rotary = None
        if self.positions == "rotary":
            rotary = rotary_tables(steps, self.head_size).to(device, x.dtype)
        elif self.positions == "sinusoidal":
            x = x + sinusoidal_table(steps, x.shape[2]).to(device, x.dtype)
        seen = None if bool(mask.all()) else mask[:, None, None, :]  # (B, 1, 1, T): for all heads and queries

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)

        noise = None
        if self.training and self.dropout:
            noise = random_bytes(2 * len(self.blocks), *x.shape, device=device)
        for layer, block in enumerate(self.blocks):
            dropped = None if noise is None else noise[2 * layer : 2 * layer + 2]
            x = block(x, rotary=rotary, noise=dropped, attend=attend)
        return self.norm(x)


class TextEncoder(nn.Module):
    """Embeds tokens, reads them, pools.

    Args:
        vocab_size: V.
        encoder: What reads the embeddings: a recurrent net, Kim's convolutions, a Transformer, or nothing, so that the
            pooling gets the embeddings themselves (a bag of words, as in Joulin et al. 2017).
        pooling: See Pooling.
        d_model: D.
        hidden_size: Of the recurrent nets, H.
        num_layers: Of the recurrent nets and the Transformer.
        bidirectional: Recurrent nets read from both ends.
        backend: Engine of the recurrent nets.
        forget_bias: Start of the LSTM's forget-gate bias; None leaves it as it is drawn.
        join_embeddings: Of the recurrent nets: each state stands beside its token's embedding (Lai et al. 2015).
        convolutions: Of the recurrent nets and the Transformer: Kim's convolutions read their states, and the pooling
            gets the feature maps (Zhou et al. 2016 read a bidirectional LSTM's states in this manner).
        num_filters: Of the convolutions, of each width.
        kernel_sizes: Widths of the convolutions.
        num_heads: Of the Transformer.
        d_ff: Of the Transformer; by default 4·D.
        positions: Of the Transformer.
        attention_size: Width of the additive attention's scores.
        char_ngrams: Orders of character n-grams whose embeddings are added to the token's; none by default.
        char_buckets: Rows of the n-grams' table.
        word_ngrams: Tokens of the longest word n-grams whose embeddings are added to that of their last token; 1 for
            none.
        word_buckets: Rows of their table.
        pad_id: The token of padding.
        word_dropout: Share of the tokens replaced by ``unknown_id`` while training (Iyyer et al. 2015).
        embedding_dropout: Share of the embeddings' numbers dropped while training.
        state_dropout: Share of the states' numbers dropped while training, before convolutions or pooling read them.
        dropout: Share dropped between layers and of what comes out, while training.

    Attributes:
        unknown_id: What word dropout puts in a token's place; needed where tokens are dropped.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        vocab_size: int,
        encoder: Encoder = "lstm",
        pooling: Pool = "max",
        d_model: int = 128,
        *,
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        backend: Backend = "fused",
        forget_bias: float | None = None,
        join_embeddings: bool = False,
        convolutions: bool = False,
        num_filters: int = 100,
        kernel_sizes: Sequence[int] = (3, 4, 5),
        num_heads: int = 4,
        d_ff: int | None = None,
        positions: Positions = "rotary",
        attention_size: int = 64,
        char_ngrams: Sequence[int] = (),
        char_buckets: int = 20_000,
        word_ngrams: int = 1,
        word_buckets: int = 50_000,
        pad_id: int = 0,
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        state_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("encoder", encoder, Encoder)
        for name, size in (("vocab_size", vocab_size), ("d_model", d_model)):
            if size < 1:
                raise UserError(f"{name} must be at least 1, not {size}")
        shares = {"word_dropout": word_dropout, "embedding_dropout": embedding_dropout, "state_dropout": state_dropout}
        for name, share in {**shares, "dropout": dropout}.items():
            if not 0 <= share < 1:
                raise UserError(f"{name} must be at least 0 and below 1, not {share}")
        if not 0 <= pad_id < vocab_size:
            raise UserError(f"pad_id {pad_id} is none of the {vocab_size} tokens")
        if convolutions and encoder in ("cnn", "embeddings"):
            raise UserError(f"convolutions read the states of a recurrent net or a Transformer, not of {encoder!r}")
        if join_embeddings and encoder not in ("rnn", "lstm", "gru"):
            raise UserError(f"join_embeddings is of recurrent nets, not of {encoder!r}")
        if join_embeddings and pooling == "last" and not convolutions:
            raise UserError("join_embeddings with pooling 'last' reads one token's embedding; choose max or mean")
        self.encoder = encoder
        self.word_dropout, self.embedding_dropout = word_dropout, embedding_dropout
        self.state_dropout, self.dropout, self.join_embeddings = state_dropout, dropout, join_embeddings
        self.unknown_id: int | None = None
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx=pad_id)
        self.ngrams = CharNgrams(vocab_size, d_model, char_ngrams, char_buckets) if char_ngrams else None
        self.phrases = WordNgrams(d_model, list(range(2, word_ngrams + 1)), word_buckets, pad_id) if word_ngrams != 1 else None
        with torch.no_grad():  # small, as trained vectors are: what a sentence says must not drown in the random start
            for table in (self.embedding, *(added.table for added in (self.ngrams, self.phrases) if added is not None)):
                table.weight.normal_(std=0.1)[table.padding_idx] = 0
        self.body: Recurrent | TextCNN | TransformerEncoder | None = None
        self.width = d_model
        if encoder in ("rnn", "lstm", "gru"):
            self.body = Recurrent(
                d_model,
                hidden_size,
                cell=encoder,
                num_layers=num_layers,
                bidirectional=bidirectional,
                dropout=dropout,
                forget_bias=forget_bias,
                backend=backend,
            )
            self.width = self.body.output_size + d_model * join_embeddings
        elif encoder == "cnn":
            self.body = TextCNN(d_model, num_filters, kernel_sizes)
            self.width = self.body.output_size
        elif encoder == "transformer":
            self.body = TransformerEncoder(d_model, num_layers, num_heads, d_ff, positions, dropout)
        directions = self.body.num_directions if isinstance(self.body, Recurrent) and not convolutions else 1
        self.convolutions: TextCNN | None = None
        if convolutions:
            self.convolutions = TextCNN(self.width, num_filters, kernel_sizes)
            self.width = self.convolutions.output_size
        self.pooling = Pooling(self.width, pooling, directions, attention_size)

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The Transformer's blocks, for Muon; None where there is no Transformer."""
        return self.body.blocks if isinstance(self.body, TransformerEncoder) else None

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """What the sentence says, (B, W).

        Args:
            input_ids: (B, T), padded on the right.
            mask: Booleans (B, T), true at the tokens of a row, of which there is at least one.
        """
        return F.dropout(self.pooling(*self.states(input_ids, mask)), self.dropout, self.training)

    def states(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the pooling gets: states (B, T', W) and their mask (B, T'); T' is T but for the convolutions."""
        x = embedded = self.embed(input_ids)
        if isinstance(self.body, Recurrent):
            x = self.body(x, mask.sum(1))[0]
        elif isinstance(self.body, TextCNN):
            x, mask = self.body(x, mask)
        elif self.body is not None:
            x = self.body(x, mask)
        if self.join_embeddings:
            x = torch.cat((x, embedded), dim=-1)  # (B, T, H + D)
        if self.training and self.state_dropout:
            x = drop(x, random_bytes(*x.shape, device=x.device), self.state_dropout)
        return (x, mask) if self.convolutions is None else self.convolutions(x, mask)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Embeddings (B, T, D), while training with tokens and numbers dropped."""
        if self.training and self.word_dropout and self.unknown_id is not None:
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.word_dropout
            padding = input_ids == self.embedding.padding_idx
            input_ids = input_ids.masked_fill(dropped & ~padding, self.unknown_id)
        x = self.embedding(input_ids)
        if self.ngrams is not None:
            x = x + self.ngrams(input_ids)
        if self.phrases is not None:
            x = x + self.phrases(input_ids)
        if self.training and self.embedding_dropout:
            x = drop(x, random_bytes(*x.shape, device=x.device), self.embedding_dropout)
        return x

    def looks(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Weights of the additive attention, (B, T'), each row with the sum 1.

        Raises:
            ValueError: The pooling is another.
        """
        if self.pooling.attention is None:
            raise UserError(f"pooling {self.pooling.pooling!r} weighs nothing; train with pooling attention")
        return self.pooling.attention(*self.states(input_ids, mask))

    def token_vectors(self) -> Tensor:
        """What stands for each token, n-grams with it, (V, D)."""
        weight = self.embedding.weight.detach()
        if self.ngrams is None:
            return weight
        return weight + self.ngrams(torch.arange(len(weight), device=weight.device)[None])[0].detach()
