"""The shape of an encoder-decoder Transformer."""

from dataclasses import dataclass
from typing import Literal

from seq_modules.nets.shared_embeddings import Shared
from seq_modules.nets.transformer.attention import AttentionKind
from seq_modules.nets.transformer.block import Activation, Norm
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Positions = Literal["learned", "sinusoidal", "rotary", "none"]


@dataclass(frozen=True)
class Seq2SeqTransformerConfig:
    """Shape of an encoder-decoder Transformer; the defaults are Vaswani et al. (2017) made small, with pre-norm.

    Attributes:
        d_model: Width of the residual streams.
        encoder_layers: Blocks of the encoder.
        decoder_layers: Blocks of the decoder.
        num_heads: Attention heads; divides d_model.
        d_ff: Width inside the feed-forward nets; by default 4·d_model ("swiglu" then has half as many weights again).
        dropout: Fraction dropped of the embeddings and of each branch's output while training, in steps of 1/256.
        max_seq_len: Longest source, and longest target, in tokens.
        positions: "sinusoidal" or "learned" vectors that are added to the embeddings, "rotary" queries and keys of the
            self-attention (Su et al. 2021), or "none".
        norm: Layer norm, or root-mean-square norm without a gain.
        activation: Of the feed-forward nets.
        norm_first: Norm before each branch, and once more at the end of encoder and decoder; or, false, after each
            branch, as in Vaswani et al. (2017), BART and Marian.
        share_embeddings: "decoder" uses the target embedding as the head's weights (Press & Wolf 2017), "all" one table
            for source, target and head (Vaswani et al. 2017), "none" three.
        attention: Engine of the self-attention while training: torch's kernel ("sdpa"), two products written out
            ("eager"), or "auto", the quicker by measurement.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    d_model: int = 256
    encoder_layers: int = 3
    decoder_layers: int = 3
    num_heads: int = 8
    d_ff: int | None = None
    dropout: float = 0.1
    max_seq_len: int = 256
    positions: Positions = "sinusoidal"
    norm: Norm = "layer"
    activation: Activation = "relu"
    norm_first: bool = True
    share_embeddings: Shared = "decoder"
    attention: AttentionKind = "auto"

    def __post_init__(self) -> None:
        for name in ("d_model", "encoder_layers", "decoder_layers", "num_heads", "d_ff", "max_seq_len"):
            check_range(f"net.{name}", getattr(self, name), least=1)
        if self.d_model % self.num_heads:
            raise UserError(f"net.num_heads {self.num_heads} must divide net.d_model {self.d_model}")
        if self.positions == "rotary" and self.head_size % 2:
            raise UserError(f"net.positions rotary needs an even head size (d_model / num_heads), not {self.head_size}")
        check_range("net.dropout", self.dropout, least=0, below=1)
        check_choice("net.positions", self.positions, Positions)
        check_choice("net.norm", self.norm, Norm)
        check_choice("net.activation", self.activation, Activation)
        check_choice("net.share_embeddings", self.share_embeddings, Shared)
        check_choice("net.attention", self.attention, AttentionKind)

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return self.d_model // self.num_heads
