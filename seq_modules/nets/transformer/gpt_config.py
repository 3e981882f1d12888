"""The shape of a GPT."""

from dataclasses import dataclass
from typing import Literal

from seq_modules.nets.transformer.attention import Kind
from seq_modules.nets.transformer.block import Activation, Norm
from seqlight.core.checks import check_choice, check_range
from seqlight.core.errors import UserError

Positions = Literal["learned", "sinusoidal", "rotary", "none"]


@dataclass(frozen=True)
class NgramConfig:
    """Hashed n-gram embeddings that are added to the tokens' (nets/hashed_ngrams.py).

    Attributes:
        orders: Lengths of the n-grams, such as [2, 3, 4]; None for none.
        buckets: Rows of each length's table, which n-grams share by a hash, at least 2.
        dim: Width of their embeddings before they are projected to d_model.
        dropout: Fraction of the n-grams dropped while training, each as a whole, in [0, 1).

    Raises:
        UserError: A value is out of its range.
    """

    orders: list[int] | None = None
    buckets: int = 16384
    dim: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        orders = self.orders or []
        if len(set(orders)) < len(orders) or min(orders, default=1) < 1:
            raise UserError(f"net.ngrams.orders must be different and at least 1 each, not {orders}")
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
            Vaswani et al. 2017), "rotary" queries and keys (Su et al. 2021), or "none": the causal mask alone.
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
    attention: Kind = "auto"
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
        check_choice("net.attention", self.attention, Kind)
        check_range("net.dropout", self.dropout, least=0, below=1)

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return self.d_model // self.num_heads
