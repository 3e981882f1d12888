"""Encoder-decoder Transformer: a source is read as a whole, a target is written token by token.

B batch, S time of the source, T time of the target, D width, H heads, K head size, L layers, V target vocabulary.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.shared_embeddings import share_embeddings
from seq_modules.nets.transformer import seq2seq_decoding
from seq_modules.nets.transformer.attention import LayerAttend, rotary_tables
from seq_modules.nets.transformer.block import Block, drop_embedding, make_norm
from seq_modules.nets.transformer.positions import sinusoidal_table
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


class EncoderOutput(NamedTuple):
    """What the decoder attends to.

    Attributes:
        states: The encoder's output, (B, S, D); or each decoder layer's keys and values of it, (B, H, S, K).
        mask: True at the tokens, (B, 1, 1, S).
    """

    states: Tensor | list[tuple[Tensor, Tensor]]
    mask: Tensor


class EncoderDecoderTransformer(nn.Module):
    """Transformer of Vaswani et al. (2017), with pre-norm or post-norm blocks.

    Token embeddings are multiplied by √D (3.4 there). Under autocast the residual streams are in autocast's precision
    from the embeddings on; logits are at least float32.

    Args:
        source_vocab_size: Rows of the source's embedding.
        vocab_size: V.
        config: The net's shape.

    Attributes:
        max_seq_len: Longest source, and longest target.

    Raises:
        UserError: The vocabularies are to share a table and differ in size.
    """

    def __init__(
        self, source_vocab_size: int, vocab_size: int, config: Seq2SeqTransformerConfig = Seq2SeqTransformerConfig()
    ) -> None:
        super().__init__()
        check_range("source_vocab_size", source_vocab_size, least=1)
        check_range("vocab_size", vocab_size, least=1)
        width = config.d_model
        self.config, self.max_seq_len, self.scale = config, config.max_seq_len, math.sqrt(width)
        self.source_embedding = nn.Embedding(source_vocab_size, width)
        self.target_embedding = nn.Embedding(vocab_size, width)
        self.source_positions: Tensor | None = None  # (longest, D), as target_positions
        self.target_positions: Tensor | None = None
        if config.positions == "learned":
            self.source_positions = nn.Parameter(torch.empty(config.max_seq_len, width))
            self.target_positions = nn.Parameter(torch.empty(config.max_seq_len, width))
        sinusoids = sinusoidal_table(config.max_seq_len, width) if config.positions == "sinusoidal" else None
        rotary = rotary_tables(config.max_seq_len, config.head_size) if config.positions == "rotary" else None
        self.register_buffer("sinusoids", sinusoids, persistent=False)  # (longest, D)
        self.register_buffer("rotary", rotary, persistent=False)  # (2, longest, K)
        self.sinusoids: Tensor | None
        self.rotary: Tensor | None
        make = partial(
            Block,
            width,
            config.num_heads,
            config.d_ff or 4 * width,
            norm=config.norm,
            activation=config.activation,
            dropout=config.dropout,
            attention=config.attention,
            norm_first=config.norm_first,
        )
        self.encoder = nn.ModuleList(make() for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(make(cross_attention=True) for _ in range(config.decoder_layers))
        # With post-norm the last block ends in a norm.
        self.encoder_norm = make_norm(config.norm, width, True) if config.norm_first else nn.Identity()
        self.decoder_norm = make_norm(config.norm, width, True) if config.norm_first else nn.Identity()
        self.head = nn.Linear(width, vocab_size, bias=False)
        share_embeddings(config.share_embeddings, self.source_embedding, self.target_embedding, self.head)
        self.reset_parameters()

    @property
    def blocks(self) -> nn.ModuleList:
        """The encoder's blocks, then the decoder's: for Muon and torch.compile."""
        return nn.ModuleList([*self.encoder, *self.decoder])

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws the parameters: matrices by Glorot & Bengio (2010), embeddings, positions and head with 1/√D."""
        modules = list(self.blocks.modules())
        for module in modules:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in modules:
            for name, count in getattr(module, "stacked", {}).items():  # matrices in one weight
                for matrix in module.get_parameter(name).chunk(count):
                    nn.init.xavier_uniform_(matrix)
        tables = [self.source_embedding.weight, self.target_embedding.weight, self.head.weight]
        for table in [*tables, self.source_positions, self.target_positions]:
            if table is not None:
                nn.init.normal_(table, std=1 / self.scale)

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Logits of the next target token at every step, (B, T, V).

        Args:
            source_ids: (B, S), padded on the right; each row has a token.
            source_mask: Booleans (B, S), true at the tokens.
            target_ids: (B, T), from the beginning-of-sequence token on. A step depends on no later one.

        Raises:
            UserError: A source or a target is longer than ``max_seq_len``.
        """
        return self.logits(self.decode(target_ids, self.encode(source_ids, source_mask)))

    def encode(self, source_ids: Tensor, source_mask: Tensor, attend: LayerAttend | None = None) -> EncoderOutput:
        """The encoder's output for a source; arguments as for :meth:`forward`.

        Args:
            source_ids: See there.
            source_mask: See there.
            attend: Self-attention of a layer, in place of the usual one.
        """
        given = self.source_embedding, self.source_positions, source_ids
        x, rotary, layer_dropout_bytes = self.embed(*given, layers=len(self.encoder))
        mask = source_mask[:, None, None]  # (B, 1, 1, S): for all heads and queries
        for layer, (block, dropout_bytes) in enumerate(zip(self.encoder, layer_dropout_bytes, strict=True)):
            x = block(
                x,
                rotary=rotary,
                mask=mask,
                attend=None if attend is None else partial(attend, layer),
                dropout_bytes=dropout_bytes,
            )
        return EncoderOutput(self.encoder_norm(x), mask)

    def decode(
        self,
        target_ids: Tensor,
        encoded: EncoderOutput,
        attend: LayerAttend | None = None,
        attend_memory: LayerAttend | None = None,
    ) -> Tensor:
        """What the head reads, (B, T, D), of a target (B, T).

        Args:
            target_ids: See :meth:`forward`.
            encoded: Of :meth:`encode`.
            attend: Self-attention of a layer, in place of the causal one.
            attend_memory: Cross-attention of a layer, in place of the usual one.
        """
        given = self.target_embedding, self.target_positions, target_ids
        x, rotary, layer_dropout_bytes = self.embed(*given, layers=len(self.decoder), branches=3)
        for layer, (block, dropout_bytes) in enumerate(zip(self.decoder, layer_dropout_bytes, strict=True)):
            x = block(
                x,
                rotary=rotary,
                attend=None if attend is None else partial(attend, layer),
                memory=encoded.states if isinstance(encoded.states, Tensor) else encoded.states[layer],
                memory_mask=encoded.mask,
                attend_memory=None if attend_memory is None else partial(attend_memory, layer),
                dropout_bytes=dropout_bytes,
            )
        return self.decoder_norm(x)

    def embed(
        self,
        embedding: nn.Embedding,
        positions: Tensor | None,
        ids: Tensor,
        *,
        layers: int = 0,
        branches: int = 2,
        start: int = 0,
    ) -> tuple[Tensor, Tensor | None, Sequence[Tensor | None]]:
        """The inputs of the blocks.

        Args:
            embedding: The source's or the target's.
            positions: Their learned positions.
            ids: (B, T).
            layers: How many blocks read them, for dropout.
            branches: Branches of a block.
            start: Position of the first id.

        Returns:
            The residual stream (B, T, D); tables for rotation, (2, T, K); each block's random bytes (branches, B, T, D)
            for dropout. None for what the net has not.
        """
        end = start + ids.shape[1]
        if end > self.max_seq_len:
            raise UserError(
                f"net.max_seq_len {self.max_seq_len} is less than the {end} tokens of a sequence; raise it, or leave "
                "long pairs out of the data"
            )
        steps = slice(start, end)
        x = embedding(ids) * self.scale  # (B, T, D)
        table = self.sinusoids if positions is None else positions
        if table is not None:
            x = x + table[steps]
        layer_dropout_bytes: Sequence[Tensor | None] = [None] * layers
        if self.training and self.config.dropout:
            x, layer_dropout_bytes = drop_embedding(x, self.config.dropout, layers, branches)
        if torch.is_autocast_enabled(x.device.type) and x.dtype == torch.float32:
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x, None if self.rotary is None else self.rotary[:, steps].to(x.dtype), layer_dropout_bytes

    def logits(self, x: Tensor) -> Tensor:
        """(..., V) from the head's input (..., D), in float32 where the net is in half precision."""
        return at_least_float32(self.head(x))

    # For generation, and to look at the attention: seq2seq_decoding.py.
    prefill = seq2seq_decoding.prefill
    decode_step = seq2seq_decoding.decode_step
    reorder = seq2seq_decoding.reorder
    cross_attention = seq2seq_decoding.cross_attention
    attention_maps = seq2seq_decoding.attention_maps
