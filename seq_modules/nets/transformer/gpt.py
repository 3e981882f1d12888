"""GPT: a Transformer decoder over tokens.

B batch, T time, D width, H heads, K head size, L layers, V vocabulary, S longest context.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.transformer import gpt_decoding
from seq_modules.nets.transformer.attention import AttentionKind, LayerAttend, causal_mask, resolve_kind, rotary_tables
from seq_modules.nets.transformer.block import Activation, Block, Norm, drop_embedding, make_norm
from seq_modules.nets.transformer.gpt_extras import Extras, ExtrasConfig, NgramConfig, zero_init
from seq_modules.nets.transformer.positions import Positions, alibi_slopes, causal_alibi, sinusoidal_table
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a GPT; the defaults are GPT-2's form.

    Attributes:
        d_model: Width of the residual stream.
        num_layers: Blocks.
        num_heads: Attention heads; divides d_model.
        max_seq_len: Longest context in tokens.
        d_ff: Width inside the feed-forward nets; by default 4·d_model ("swiglu" then has half as many weights again).
        positions: "learned" vectors, "sinusoidal" vectors (token embeddings are then multiplied by √d_model, as in
            Vaswani et al. 2017), "rotary" (Su et al. 2021), "alibi" (Press et al. 2022), or "none": the mask alone.
        norm: Layer norm, or root-mean-square norm without a gain.
        activation: Of the feed-forward nets.
        bias: Whether linear layers (never the head) and layer norms have a bias.
        dropout: Fraction dropped of the embedding and of each branch's output while training, in steps of 1/256.
        tie_weights: Use the token embedding as the head's weights (Press & Wolf 2017).
        attention: torch's kernel ("sdpa"), two products written out ("eager"), or "auto", the quicker by measurement.
        ngrams: Hashed n-gram embeddings.
        extras: Additions to GPT-2's form.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    d_model: int = 384
    num_layers: int = 6
    num_heads: int = 6
    max_seq_len: int = 256
    d_ff: int | None = None
    positions: Positions = "learned"
    norm: Norm = "layer"
    activation: Activation = "gelu_tanh"
    bias: bool = True
    dropout: float = 0.0
    tie_weights: bool = True
    attention: AttentionKind = "auto"
    ngrams: NgramConfig = NgramConfig()
    extras: ExtrasConfig = ExtrasConfig()

    def __post_init__(self) -> None:
        for name in ("d_model", "num_layers", "num_heads", "max_seq_len", "d_ff"):
            check_range(f"net.{name}", getattr(self, name), least=1)
        if self.d_model % self.num_heads:
            raise UserError(f"net.num_heads {self.num_heads} must divide net.d_model {self.d_model}")
        if self.positions == "rotary" and self.head_size % 2:
            raise UserError(f"net.positions rotary needs an even head size (d_model / num_heads), not {self.head_size}")
        check_choice("net.positions", self.positions, Positions)
        check_choice("net.norm", self.norm, Norm)
        check_choice("net.activation", self.activation, Activation)
        check_choice("net.attention", self.attention, AttentionKind)
        check_range("net.dropout", self.dropout, least=0, below=1)

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return self.d_model // self.num_heads


class GPT(nn.Module):
    """Next-token net (Radford et al. 2019); transformers_weights.py loads GPT-2's weights.

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
        if config.ngrams.words and embedding is not None:
            raise UserError(f"net.ngrams.words {config.ngrams.words} are for text; leave them out")
        width, extras, positions = config.d_model, config.extras, config.positions
        self.config, self.max_seq_len, self.prefix_len = config, config.max_seq_len, 0
        self.token_scale = math.sqrt(width) if positions == "sinusoidal" else 1.0

        self.token_embedding = nn.Embedding(vocab_size, width) if embedding is None else embedding
        self.position_table: Tensor | None  # (S, D), learned or sinusoidal
        if positions == "learned":
            self.position_table = nn.Parameter(torch.empty(config.max_seq_len, width))
        else:
            sinusoids = sinusoidal_table(config.max_seq_len, width) if positions == "sinusoidal" else None
            self.register_buffer("position_table", sinusoids, persistent=False)
        rotary = rotary_tables(config.max_seq_len, config.head_size) if positions == "rotary" else None
        self.register_buffer("rotary", rotary, persistent=False)
        self.register_buffer(
            "alibi", alibi_slopes(config.num_heads) if positions == "alibi" else None, persistent=False
        )
        self.rotary: Tensor | None  # (2, S, K)
        self.alibi: Tensor | None  # (H,)
        has_extras = config.ngrams.orders or extras != GPTConfig.extras  # the default has none
        self.extras = Extras(vocab_size, config, hash_seed) if has_extras else None
        block: dict[str, Any] = {
            "d_model": width,
            "num_heads": config.num_heads,
            "d_ff": config.d_ff or 4 * width,
            "norm": config.norm,
            "activation": config.activation,
            "bias": config.bias,
            "dropout": config.dropout,
            "qk_norm": extras.qk_norm,
            "attention": config.attention,
        }
        self.blocks = nn.ModuleList(
            Block(**block) if self.extras is None else self.extras.block(layer, **block)
            for layer in range(config.num_layers)
        )
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
        from_zero = self.config.extras.zero_init
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=0.5 / math.sqrt(module.in_features) if from_zero else 0.02)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(std=0.02)
        if isinstance(self.position_table, nn.Parameter):
            self.position_table.normal_(std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            for last in (block.attention.out, block.feed_forward.down):
                last.weight.normal_(std=0.0 if from_zero else 0.02 / math.sqrt(2 * len(self.blocks)))
        if from_zero:
            zero_init(self)

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
        x, rotary, layer_dropout_bytes = self.embed(input_ids, slice(0, steps))
        mask = None if self.alibi is None or attend is not None else causal_alibi(self.alibi, steps, x.dtype)
        if mask is None and resolve_kind(self.config.attention, x.device.type, x.dtype, steps) == "eager":
            mask = causal_mask(steps, x.device, x.dtype)  # once for all layers
        more = {} if self.extras is None else self.extras.block_inputs(x, input_ids)
        for layer, (block, dropout_bytes) in enumerate(zip(self.blocks, layer_dropout_bytes, strict=True)):
            own = None if attend is None else partial(attend, layer)
            x = block(x, rotary=rotary, mask=mask, attend=own, dropout_bytes=dropout_bytes, **more)
        return self.norm(x)

    def embed(
        self, ids: Tensor, positions: slice | Tensor, read: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Sequence[Tensor | None]]:
        """The inputs of the blocks.

        Args:
            ids: (B, T).
            positions: One slice for all rows, or (B, T).
            read: Where ``ids`` are the newest alone, all that the rows have read, (B, S).

        Returns:
            The residual stream (B, T, D); tables for rotation, (2, T, K) or (2, B, T, K); each block's random bytes
            (2, B, T, D) for dropout. None for what the net has not.
        """
        x = self.token_embedding(ids)  # (B, T, D)
        if self.token_scale != 1:
            x = x * self.token_scale
        if self.position_table is not None:
            x = x + self.position_table[positions]  # (T, D), or (B, T, D)
        if self.extras is not None:
            x = self.extras.add_ngrams(x, ids, positions, read)
        layer_dropout_bytes: Sequence[Tensor | None] = [None] * len(self.blocks)
        if self.training and self.config.dropout:
            x, layer_dropout_bytes = drop_embedding(x, self.config.dropout, len(self.blocks))
        if self.extras is not None:
            x = self.extras.normalised(x)
        if torch.is_autocast_enabled(x.device.type) and x.dtype == torch.float32:
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x, None if self.rotary is None else self.rotary[:, positions].to(x.dtype), layer_dropout_bytes

    def logits(self, x: Tensor) -> Tensor:
        """(..., V) from the head's input (..., D), in float32 where the net is in half precision."""
        z = self.head(x)
        z = at_least_float32(z) if self.has_logits else z
        return z if self.extras is None else self.extras.capped(z)

    # For generation, and to look at the attention: gpt_decoding.py.
    window = gpt_decoding.window
    prefill = gpt_decoding.prefill
    decode_step = gpt_decoding.decode_step
    extend = gpt_decoding.extend
    free_slots = gpt_decoding.free_slots
    crop = gpt_decoding.crop
    reorder = gpt_decoding.reorder
    attention_maps = gpt_decoding.attention_maps
