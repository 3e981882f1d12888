"""A text's tokens to one vector: embeddings, a net over them, pooling. None of the three depends on padding.

B batch, T time, V vocabulary, D width of the embeddings, H hidden width, W width of the vector.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import RecurrentNet, build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.pooling import Pool, Pooling
from seq_modules.nets.text.text_cnn import CNNConfig, TextCNN
from seq_modules.nets.text.token_embedding import EmbeddingConfig, TokenEmbedding
from seq_modules.nets.text.transformer_encoder import TransformerEncoder, TransformerEncoderConfig
from seq_modules.nets.transformer.block import drop, random_bytes
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Encoder = Literal["recurrent", "cnn", "transformer", "embeddings"]


@dataclass(frozen=True)
class TextEncoderConfig:
    """A net that makes one vector of a text.

    Attributes:
        encoder: What reads the embeddings: a "recurrent" net (group rnn), Kim's convolutions ("cnn"; group cnn), a
            "transformer" (group transformer), or nothing ("embeddings"), which makes a bag of words.
        pooling: How one vector is made of the states: the "last" true one, their "mean" or "max", or their mean with
            learned weights (additive "attention").
        attention_size: Width of the additive attention's scores.
        d_model: Width of the embeddings, D.
        embedding: N-grams, pretrained vectors and dropout of the embeddings.
        rnn: The recurrent net.
        cnn: The convolutions.
        transformer: The Transformer.
        join_embeddings: Append the token's embedding to each state of the recurrent net (Lai et al. 2015).
        convolutions: Convolutions (group cnn) read the states of the recurrent net or of the Transformer, and their
            feature maps are pooled (Zhou et al. 2016 do so with a bidirectional LSTM).
        state_dropout: Fraction of the states' numbers dropped while training, before convolutions or pooling, in steps
            of 1/256.
        dropout: Fraction of the vector's numbers dropped while training.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    encoder: Encoder = "recurrent"
    pooling: Pool = "max"
    attention_size: int = 64
    d_model: int = 128
    embedding: EmbeddingConfig = EmbeddingConfig()
    rnn: RecurrentConfig = RecurrentConfig()
    cnn: CNNConfig = CNNConfig()
    transformer: TransformerEncoderConfig = TransformerEncoderConfig()
    join_embeddings: bool = False
    convolutions: bool = False
    state_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("net.encoder", self.encoder, Encoder)
        check_choice("net.pooling", self.pooling, Pool)
        check_range("net.attention_size", self.attention_size, least=1)
        check_range("net.d_model", self.d_model, least=1)
        check_range("net.state_dropout", self.state_dropout, least=0, below=1)
        check_range("net.dropout", self.dropout, least=0, below=1)
        if self.convolutions and self.encoder not in ("recurrent", "transformer"):
            raise UserError(f"net.convolutions need the states of encoder recurrent or transformer, not {self.encoder}")
        if self.join_embeddings and self.encoder != "recurrent":
            raise UserError(f"net.join_embeddings is for encoder recurrent alone, not for {self.encoder}")
        if self.join_embeddings and self.pooling == "last" and not self.convolutions:
            raise UserError("net.join_embeddings with pooling last reads one token's embedding; choose max or mean")


class TextEncoder(nn.Module):
    """Embeds tokens, runs a net over them, pools.

    Args:
        vocab_size: V, at least 1.
        pad_id: The token of padding.
        config: The net's shape; or its fields by name, as ``TextEncoder(9, encoder="cnn")``.

    Attributes:
        width: W.

    Raises:
        UserError: An argument is out of its range.
    """

    def __init__(
        self, vocab_size: int, pad_id: int = 0, config: TextEncoderConfig | None = None, **fields: Any
    ) -> None:
        super().__init__()
        config = TextEncoderConfig(**fields) if config is None else config
        check_range("vocab_size", vocab_size, least=1)
        check_range("pad_id", pad_id, least=0, below=vocab_size)
        self.state_dropout, self.dropout = config.state_dropout, config.dropout
        self.join_embeddings = config.join_embeddings
        self.embedding = TokenEmbedding(vocab_size, config.d_model, pad_id, config.embedding)
        self.backbone: RecurrentNet | TextCNN | TransformerEncoder | None = None
        self.width, directions = config.d_model, 1
        if config.encoder == "recurrent":
            self.backbone = build_recurrent(config.d_model, config.rnn)
            self.width = self.backbone.output_size + config.d_model * config.join_embeddings
            directions = 1 if config.convolutions else self.backbone.num_directions
        elif config.encoder == "cnn":
            self.backbone = TextCNN(config.d_model, config.cnn)
            self.width = self.backbone.output_size
        elif config.encoder == "transformer":
            self.backbone = TransformerEncoder(config.d_model, config.transformer)
        self.convolutions: TextCNN | None = None
        if config.convolutions:
            self.convolutions = TextCNN(self.width, config.cnn)
            self.width = self.convolutions.output_size
        self.pooling = Pooling(self.width, config.pooling, directions, config.attention_size)

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The Transformer's blocks, for Muon; None where there is no Transformer."""
        return self.backbone.blocks if isinstance(self.backbone, TransformerEncoder) else None

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """The text's vector, (B, W).

        Args:
            input_ids: (B, T), padded on the right.
            mask: Booleans (B, T), true at the tokens of a row, of which there is at least one.
        """
        return F.dropout(self.pooling(*self.states(input_ids, mask)), self.dropout, self.training)

    def states(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What is pooled: states (B, T', W) and their mask (B, T'); T' is T but for convolutions."""
        x = embedded = self.embedding(input_ids)
        if isinstance(self.backbone, RecurrentNet):
            x = self.backbone(x, mask.sum(1))[0]
        elif isinstance(self.backbone, TextCNN):
            x, mask = self.backbone(x, mask)
        elif self.backbone is not None:
            x = self.backbone(x, mask)
        if self.join_embeddings:
            x = torch.cat((x, embedded), dim=-1)  # (B, T, H + D)
        if self.training and self.state_dropout:
            x = drop(x, random_bytes(*x.shape, device=x.device), self.state_dropout)
        return (x, mask) if self.convolutions is None else self.convolutions(x, mask)

    def token_weights(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of the additive attention, (B, T'), each row with the sum 1; None with another pooling."""
        attention = self.pooling.attention
        return None if attention is None else attention(*self.states(input_ids, mask))

    def attention_maps(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of the Transformer's self-attention, (B, L, H, T, T); None where there is no Transformer."""
        if not isinstance(self.backbone, TransformerEncoder):
            return None
        return self.backbone.attention_maps(self.embedding(input_ids), mask)

    def token_vectors(self) -> Tensor:
        """Embeddings of all tokens with their character n-grams, (V, D)."""
        return self.embedding.token_vectors()
