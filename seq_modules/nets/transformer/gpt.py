"""GPT: a Transformer decoder over tokens, from GPT-2's form to what trains quickest on a small text.

B batch, T time, D width, H heads, K head size, L layers, V vocabulary, N orders of n-grams, S longest context.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seq_modules.nets.hashed_ngrams import NgramEmbedding
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.transformer import gpt_decoding
from seq_modules.nets.transformer.attention import causal_mask, chosen
from seq_modules.nets.transformer.block import Block, drop, make_norm, random_bytes
from seq_modules.nets.transformer.gpt_config import GPTConfig
from seq_modules.nets.transformer.positions import rotary_tables, sinusoidal_table
from seqlight.core.checks import check_range

LayerAttend = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # attention.Attend with the layer's number before


class GPT(nn.Module):
    """Next-token net (Radford et al. 2019); transformers_weights.py loads transformers' weights.

    Parameters keep the precision they are made in. Under autocast the residual stream is in autocast's precision from
    the embedding on; logits are at least float32.

    Args:
        vocab_size: V.
        config: The net's shape.
        hash_seed: Decides which n-grams share a row of a table; members of an ensemble have different ones.
        embedding: In place of the token embedding, for ids that are no rows of one table; gives (B, T, D) of (B, T).
        head: In place of the linear layer to V logits; not tied.

    Attributes:
        max_seq_len: S.
        prefix_len: Ids at a row's beginning that stay in the context when the row outgrows it; 0 unless set.
    """

    def __init__(
        self,
        vocab_size: int,
        config: GPTConfig = GPTConfig(),
        *,
        hash_seed: int = 0,
        embedding: nn.Embedding | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_range("vocab_size", vocab_size, least=1)
        width, extras, ngrams = config.d_model, config.extras, config.ngrams
        self.config, self.max_seq_len, self.prefix_len = config, config.max_seq_len, 0
        self.token_scale = math.sqrt(width) if config.positions == "sinusoidal" else 1.0

        self.token_embedding = nn.Embedding(vocab_size, width) if embedding is None else embedding
        self.position_table: Tensor | None = None  # (S, D), learned or sinusoidal
        if config.positions == "learned":
            self.position_table = nn.Parameter(torch.empty(config.max_seq_len, width))
        sinusoids = sinusoidal_table(config.max_seq_len, width) if config.positions == "sinusoidal" else None
        rotary = rotary_tables(config.max_seq_len, config.head_size) if config.positions == "rotary" else None
        self.register_buffer("sinusoids", sinusoids, persistent=False)  # (S, D)
        self.register_buffer("rotary", rotary, persistent=False)  # (2, S, K)
        self.sinusoids: Tensor | None
        self.rotary: Tensor | None
        self.ngrams: NgramEmbedding | None = None
        if ngrams.orders:
            self.ngrams = NgramEmbedding(
                width,
                ngrams.orders,
                buckets=ngrams.buckets,
                dim=ngrams.dim,
                dropout=ngrams.dropout,
                hash_seed=hash_seed,
            )
        self.value_embedding = nn.Embedding(vocab_size, width) if extras.value_embeddings else None
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.num_heads,
                config.d_ff or 4 * width,
                norm=config.norm,
                activation=config.activation,
                bias=config.bias,
                dropout=config.dropout,
                qk_norm=extras.qk_norm,
                attention=config.attention,
                value_embedding=extras.value_embeddings and (layer < 2 or layer >= config.num_layers - 2),
                residual_mix=extras.residual_mix,
            )
            for layer in range(config.num_layers)
        )
        self.embedding_norm = make_norm("rms", width, config.bias) if extras.residual_mix else None
        self.norm = make_norm(config.norm, width, config.bias)
        self.head = nn.Linear(width, vocab_size, bias=False) if head is None else head
        self.has_logits = head is None  # another head's output is what its module needs, in the net's precision
        self.tie_weights = config.tie_weights and self.has_logits
        if self.tie_weights:
            self.head.weight = self.token_embedding.weight
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws the parameters as GPT-2: normal with 0.02, 0.02/√(2·L) at a branch's end; or as ``zero_init`` says."""
        zero_init = self.config.extras.zero_init
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=0.5 / math.sqrt(module.in_features) if zero_init else 0.02)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(std=0.02)
        if self.position_table is not None:
            self.position_table.normal_(std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            for last in (block.attention.out, block.feed_forward.down):
                last.weight.normal_(std=0.0 if zero_init else 0.02 / math.sqrt(2 * len(self.blocks)))
        if not zero_init:
            return
        if not self.tie_weights:
            self.token_embedding.weight.normal_(std=1 / self.token_scale)
            if isinstance(self.head, nn.Linear):
                self.head.weight.zero_()
        if self.value_embedding is not None:
            self.value_embedding.weight.normal_(std=0.5)
        if self.ngrams is not None:
            self.ngrams.table.weight.normal_(std=0.1)
            self.ngrams.projection.weight.normal_(std=0.5 / math.sqrt(self.ngrams.table.embedding_dim))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits of the next token at every step, (B, T, V), from ids (B, T), T at most ``max_seq_len``.

        Raises:
            ValueError: The ids are not (B, T), or too long.
        """
        return self.logits(self.hidden(input_ids))

    def hidden(self, input_ids: Tensor, attend: LayerAttend | None = None) -> Tensor:
        """What the head reads, (B, T, D), of ids (B, T).

        Args:
            input_ids: Sequences from their beginnings.
            attend: Self-attention of a layer, in place of the causal one.
        """
        if input_ids.dim() != 2 or input_ids.shape[1] > self.max_seq_len:
            shape = tuple(input_ids.shape)
            raise ValueError(f"input_ids must be (B, T) with T at most max_seq_len {self.max_seq_len}, not {shape}")
        steps = input_ids.shape[1]
        hashes = None if self.ngrams is None else self.ngrams.hashes(input_ids)
        x, rotary, values, noise = self.embed(input_ids, slice(0, steps), hashes)
        mask = None
        if attend is None and chosen(self.config.attention, x.device.type, x.dtype, steps) == "eager":
            mask = causal_mask(steps, x.device, x.dtype)  # once for all layers
        x0 = x.clone() if self.embedding_norm is not None else None  # not x, or the first block compiles by itself
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x = block(
                x,
                x0=x0,
                rotary=rotary,
                values=None if block.attention.value_gate is None else values,
                mask=mask,
                attend=None if attend is None else partial(attend, layer),
                noise=None if noise is None else noise[2 * layer : 2 * layer + 2],
            )
        return self.norm(x)

    def embed(
        self, ids: Tensor, at: slice | Tensor, hashes: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """The inputs of the blocks.

        Args:
            ids: (B, T).
            at: Their positions: one slice for all rows, or (B, T).
            hashes: Rows (B, T, N) of the n-grams that end there; None without n-grams.

        Returns:
            The residual stream (B, T, D); tables for rotation, (2, T, K) or (2, B, T, K); value embeddings
            (B, H, T, K); random bytes (2·L, B, T, D) for dropout. None for what the net has not.
        """
        x = self.token_embedding(ids)  # (B, T, D)
        if self.token_scale != 1:
            x = x * self.token_scale
        table = self.sinusoids if self.position_table is None else self.position_table
        if table is not None:
            x = x + table[at]  # (T, D), or (B, T, D)
        if self.ngrams is not None:
            x = x + self.ngrams(hashes)
        noise = None
        if self.training and self.config.dropout:
            noise = random_bytes(2 * len(self.blocks) + 1, *x.shape, device=x.device)
            x = drop(x, noise[-1], self.config.dropout)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if torch.is_autocast_enabled(x.device.type) and x.dtype == torch.float32:
            x = x.to(torch.get_autocast_dtype(x.device.type))
        rotary = None if self.rotary is None else self.rotary[:, at].to(x.dtype)
        values = None
        if self.value_embedding is not None:
            # (B, T, D) -> (B, T, H, K) -> (B, H, T, K)
            values = self.value_embedding(ids).to(x.dtype).unflatten(2, (self.config.num_heads, -1)).transpose(1, 2)
        return x, rotary, values, noise

    def logits(self, x: Tensor) -> Tensor:
        """(..., V) from the head's input (..., D), in float32 where the net is in half precision."""
        z = self.head(x)
        z = at_least_float32(z) if self.has_logits else z
        softcap = self.config.extras.logit_softcap
        return z if softcap is None else softcap * torch.tanh(z / softcap)

    # For generation, and to look at the attention: gpt_decoding.py.
    window = gpt_decoding.window
    prefill = gpt_decoding.prefill
    decode_step = gpt_decoding.decode_step
    reorder = gpt_decoding.reorder
    attention_maps = gpt_decoding.attention_maps
