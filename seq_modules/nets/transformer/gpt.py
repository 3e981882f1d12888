"""GPT: a Transformer decoder over tokens, from GPT-2's form to what trains quickest on a small text.

B batch, T time, D width, H heads, K head size, L layers, V vocabulary, N orders of n-grams.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from seq_modules.nets.hashed_ngrams import NgramEmbedding
from seq_modules.nets.transformer.attention import Kind, causal_mask, chosen, weights
from seq_modules.nets.transformer.block import Activation, Block, Norm, drop, make_norm, random_bytes
from seq_modules.nets.transformer.cache import KVCache
from seq_modules.nets.transformer.decode_step import Reading
from seq_modules.nets.transformer.positions import rotary_tables, sinusoidal_table
from seqlight.core.checks import check_choice
from seqlight.core.errors import UserError

Positions = Literal["learned", "sinusoidal", "rotary", "none"]
LayerAttend = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # as attention.Attend, told the layer first


class GPT(nn.Module):
    """Next-token net (Radford et al. 2019). The defaults are GPT-2's form; gpt2_weights.py brings weights.

    Parameters stay in the precision they are made in. Under autocast the residual stream is in autocast's precision
    from the embedding on; logits are at least float32. To compile: ``for block in net.blocks:
    block.compile(dynamic=False)``. In evaluation mode, where lengths vary, blocks run uncompiled.

    Args:
        vocab_size: V.
        d_model: Width of the residual stream, D; a multiple of num_heads.
        num_layers: Blocks, L.
        num_heads: Attention heads, H.
        max_seq_len: Longest context.
        d_ff: Width inside the feed-forward nets; by default 4·D ("swiglu" has half as many parameters again).
        positions: "learned" vectors, "sinusoidal" vectors (then token embeddings are multiplied by √D, as in Vaswani et
            al. 2017), "rotary" turns of queries and keys (Su et al. 2021), or "none": the causal mask alone tells them.
        norm: "layer", or "rms" without gain.
        activation: Of the feed-forward nets.
        bias: Whether linear layers (never the head) and layer norms have a bias.
        dropout: Share dropped of the embedding and of each branch's output while training, in steps of 1/256.
        tie_weights: Use the token embedding as the head's weights (Press & Wolf 2017).
        qk_norm: Normalise queries and keys (Henry et al. 2020).
        attention: "sdpa", "eager", or "auto", whichever was measured to be quicker (nets/attention.py).
        ngram_orders: Orders of the hashed n-gram embeddings added to the token's, such as [2, 3, 4].
        ngram_buckets: Rows of each order's table.
        ngram_dim: Width of the n-gram embeddings before they are projected.
        ngram_dropout: Share of the n-grams dropped while training, each as a whole.
        hash_seed: Decides which n-grams share a row of a table.
        value_embeddings: Add a second embedding of the token to the attention's values in the first two and last two
            blocks, each with a learned gate (Zhou et al. 2024; modded-nanogpt).
        residual_mix: Normalise the embedding, and let each block start from a·x + b·embedding (modded-nanogpt).
        logit_softcap: Squash logits z to c·tanh(z/c) (Gemma 2).
        zero_init: Start the last matrix of each branch, and a head of its own, at zero, the others at 0.5/√inputs, and
            token embeddings at unit scale, where they are not the head too. Otherwise as GPT-2: normal with 0.02, and
            0.02/√(2·L) for the last matrices; biases 0.
        embedding: In place of the token embedding, for ids that are no rows of one table; gives (B, T, D) of (B, T).
        head: In place of the linear layer to V logits; not tied.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 384,
        num_layers: int = 6,
        num_heads: int = 6,
        max_seq_len: int = 256,
        d_ff: int | None = None,
        positions: Positions = "learned",
        norm: Norm = "layer",
        activation: Activation = "gelu_tanh",
        bias: bool = True,
        dropout: float = 0.0,
        tie_weights: bool = True,
        qk_norm: bool = False,
        attention: Kind = "auto",
        ngram_orders: list[int] | None = None,
        ngram_buckets: int = 16384,
        ngram_dim: int = 32,
        ngram_dropout: float = 0.0,
        hash_seed: int = 0,
        value_embeddings: bool = False,
        residual_mix: bool = False,
        logit_softcap: float | None = None,
        zero_init: bool = False,
        embedding: nn.Embedding | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        sizes = {"vocab_size": vocab_size, "d_model": d_model, "num_layers": num_layers, "num_heads": num_heads}
        d_ff = 4 * d_model if d_ff is None else d_ff
        for name, size in (*sizes.items(), ("max_seq_len", max_seq_len), ("d_ff", d_ff)):
            if size < 1:
                raise UserError(f"{name} must be at least 1, not {size!r}")
        if d_model % num_heads:
            raise UserError(f"num_heads {num_heads} must divide d_model {d_model}")
        for name, value, choices in (
            ("positions", positions, Positions),
            ("norm", norm, Norm),
            ("activation", activation, Activation),
            ("attention", attention, Kind),
        ):
            check_choice(name, value, choices)
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1, not {dropout!r}")
        if logit_softcap is not None and not logit_softcap > 0:
            raise UserError(f"logit_softcap must be above 0, or none at all, not {logit_softcap!r}")
        self.max_seq_len, self.num_heads, self.dropout = max_seq_len, num_heads, dropout
        self.attention: Kind = attention
        self.residual_mix, self.logit_softcap = residual_mix, logit_softcap
        self.slide = max(1, max_seq_len // 2)
        self.kept = 0  # ids at a row's beginning that stay in its window when that moves on
        self.token_scale = math.sqrt(d_model) if positions == "sinusoidal" else 1.0

        self.token_embedding = nn.Embedding(vocab_size, d_model) if embedding is None else embedding
        self.position_table = nn.Parameter(torch.empty(max_seq_len, d_model)) if positions == "learned" else None
        sinusoids = sinusoidal_table(max_seq_len, d_model) if positions == "sinusoidal" else None
        rotary = rotary_tables(max_seq_len, d_model // num_heads) if positions == "rotary" else None
        self.register_buffer("sinusoids", sinusoids, persistent=False)  # (S, D)
        self.register_buffer("rotary", rotary, persistent=False)  # (2, S, K)
        self.sinusoids: Tensor | None
        self.rotary: Tensor | None
        self.ngrams = (
            NgramEmbedding(
                d_model,
                ngram_orders,
                buckets=ngram_buckets,
                dim=ngram_dim,
                dropout=ngram_dropout,
                hash_seed=hash_seed,
            )
            if ngram_orders
            else None
        )
        self.value_embedding = nn.Embedding(vocab_size, d_model) if value_embeddings else None
        self.blocks = nn.ModuleList(
            Block(
                d_model,
                num_heads,
                d_ff,
                norm=norm,
                activation=activation,
                bias=bias,
                dropout=dropout,
                qk_norm=qk_norm,
                attention=attention,
                value_embedding=value_embeddings and (layer < 2 or layer >= num_layers - 2),
                residual_mix=residual_mix,
            )
            for layer in range(num_layers)
        )
        self.embedding_norm = make_norm("rms", d_model, bias) if residual_mix else None
        self.norm = make_norm(norm, d_model, bias)
        self.head = nn.Linear(d_model, vocab_size, bias=False) if head is None else head
        self.tie_weights = tie_weights and head is None
        if self.tie_weights:
            self.head.weight = self.token_embedding.weight
        self.reset_parameters(zero_init)

    @torch.no_grad()
    def reset_parameters(self, zero_init: bool = False) -> None:
        """Draws the parameters anew; see the class."""
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
            ValueError: If the ids are not (B, T), or too long.
        """
        return self.logits(self.hidden(input_ids))

    def attention_maps(self, input_ids: Tensor) -> Tensor:
        """Where each step (row) looks: (B, L, H, T, T), each row summing to 1, from ids (B, T)."""
        maps: list[Tensor] = []

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            maps.append(weights(q, k, causal_mask(q.shape[2], q.device, q.dtype)))
            return maps[-1] @ v

        self.hidden(input_ids, attend)
        return torch.stack(maps, dim=1)  # L × (B, H, T, T) -> (B, L, H, T, T)

    def hidden(self, input_ids: Tensor, attend: LayerAttend | None = None) -> Tensor:
        """What the head sees, (B, T, D), of ids (B, T).

        Args:
            input_ids: Sequences from their beginnings.
            attend: Attention of a layer, in place of the causal one.
        """
        if input_ids.dim() != 2 or input_ids.shape[1] > self.max_seq_len:
            shape = tuple(input_ids.shape)
            raise UserError(f"input_ids must be (B, T) with T at most max_seq_len {self.max_seq_len}, not {shape}")
        hashes = None if self.ngrams is None else self.ngrams.hashes(input_ids)
        x, rotary, values, noise = self.embed(input_ids, slice(0, input_ids.shape[1]), hashes)
        mask = None
        if attend is None and chosen(self.attention, x.device.type, x.dtype, x.shape[1]) == "eager":
            mask = causal_mask(input_ids.shape[1], x.device, x.dtype)
        x0 = x.clone() if self.residual_mix else None  # were it x itself, the first block would be compiled twice
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            run = block if self.training and attend is None else uncompiled(block)
            taken = values if block.attention.value_gate is not None else None
            dropped = None if noise is None else noise[2 * layer : 2 * layer + 2]
            x = run(x, x0, rotary, taken, mask, dropped, None if attend is None else partial(attend, layer))
        return self.norm(x)

    def embed(
        self, ids: Tensor, at: slice | Tensor, hashes: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """What the blocks get.

        Args:
            ids: (B, T).
            at: Their positions: one slice for all rows, or (B, T).
            hashes: Buckets (B, T, N) of the n-grams that end there; None without n-grams.

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
        if self.training and self.dropout:
            noise = random_bytes(2 * len(self.blocks) + 1, *x.shape, device=x.device)
            x = drop(x, noise[-1], self.dropout)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if torch.is_autocast_enabled(x.device.type) and x.dtype == torch.float32:
            x = x.to(torch.get_autocast_dtype(x.device.type))
        rotary = None if self.rotary is None else self.rotary[:, at].to(x.dtype)
        values = None
        if self.value_embedding is not None:
            # (B, T, D) -> (B, T, H, K) -> (B, H, T, K)
            values = self.value_embedding(ids).to(x.dtype).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return x, rotary, values, noise

    def logits(self, x: Tensor) -> Tensor:
        """(..., V) from the head's input (..., D), in float32 where the net is in half precision."""
        z = self.head(x)
        z = z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
        return z if self.logit_softcap is None else self.logit_softcap * torch.tanh(z / self.logit_softcap)

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the net looks at.

        All of them up to ``max_seq_len``, S. Then it begins at the smallest multiple of S // 2 from which they fit: the
        beginning moves once in S // 2 tokens, so that a cache is seldom refilled, and never mid-way, so that a token's
        position and n-grams do not depend on how the window came about. The first ``kept`` ids stay before it.
        """
        return ids[: self.kept] + ids[self.kept + self._begin(len(ids)) :]

    @torch.no_grad()
    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Reading]:
        """Reads prompts.

        Args:
            input_ids: (B, T), padded on the right; T may be longer than ``max_seq_len``.
            lengths: True tokens of each row, (B,), from 1 to T.

        Returns:
            Logits (B, V) after each row's last true token, those of ``forward`` on its :meth:`window`, and the state to
            :meth:`advance` from.

        Raises:
            ValueError: If a length is out of its range.
        """
        ends = lengths.tolist()
        batch, steps = input_ids.shape
        if len(ends) != batch or not ends or min(ends) < 1 or max(ends) > steps:
            raise UserError(f"lengths must be {batch} numbers from 1 to {steps}, not {ends}")
        begins = [self.kept + self._begin(end) for end in ends]
        rows = [
            torch.cat([row[: min(self.kept, end)], row[begin:end]])
            for row, begin, end in zip(input_ids, begins, ends, strict=True)
        ]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, longest window)
        cache = KVCache(len(self.blocks), batch, self.max_seq_len, ids.device)
        cache.fill(ids, [len(row) for row in rows])
        x = self.hidden(ids, cache.attend_filled)
        last = torch.tensor(cache.lengths, device=ids.device) - 1
        return self.logits(x[torch.arange(batch, device=ids.device), last]), Reading(self.blocks, cache)

    @torch.no_grad()
    def decode_step(self, ids: Tensor, state: Reading) -> tuple[Tensor, Reading]:
        """Reads one more token of each row, (B,). Returns logits (B, V) and the state, which is changed in place."""
        cache = state.cache
        full = [row for row, length in enumerate(cache.lengths) if length == self.max_seq_len]
        if full:  # their windows move on by `slide`: what is left of them is read anew, at its new positions
            rows = torch.tensor(full, device=ids.device)
            left = torch.cat([cache.ids[rows, : self.kept], cache.ids[rows, self.kept + self.slide :]], dim=1)
            cache.fill(left, [left.shape[1]] * len(full), rows)
            if left.shape[1]:
                self.hidden(left, cache.attend_filled)
        at = cache.append(ids)
        hashes = None if self.ngrams is None else self.ngrams.newest(cache.ids, at)
        x, rotary, values, _ = self.embed(ids[:, None], at, hashes)
        if rotary is not None and rotary.dim() == 4:
            rotary = rotary[:, :, None, None]  # (2, B, 1, K) -> (2, B, 1, 1, 1, K)
        x = x0 = x[:, 0]
        for step in state.steps:
            x = step(x, x0, rotary, values)
        return self.logits(self.norm(x)), state

    def _begin(self, length: int) -> int:
        return -((self.max_seq_len - length) // self.slide) * self.slide if length > self.max_seq_len else 0


def uncompiled(block: Block) -> Callable[..., Tensor]:
    """A block's own code where it was compiled in place, so that new shapes do not compile it again."""
    return block if block._compiled_call_impl is None else block.forward
