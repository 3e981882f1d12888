"""One vector of a word from its characters, by convolutions or a recurrent net.

U words, C characters of the longest, W width of the vector.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.text_cnn import CNNConfig
from seq_modules.nets.text.text_encoder import TextEncoder, TextEncoderConfig
from seq_modules.nets.text.token_embedding import EmbeddingConfig
from seqlight.core.hyperparameters import check_choice, check_range

CharacterEncoder = Literal["cnn", "lstm", "none"]
PAD = 0  # id of no character


@dataclass(frozen=True)
class CharacterConfig:
    """What a tagger reads of a word's characters.

    Attributes:
        encoder: Convolutions and the maximum over the word ("cnn"; Ma & Hovy 2016), the last states of an LSTM from
            both ends ("lstm"; Lample et al. 2016), or nothing ("none").
        d_model: Width of the characters' embeddings.
        width: Width of the word's vector, even for "lstm".
        kernel_size: Characters under a filter of "cnn".
        dropout: Fraction of the characters' embeddings dropped while training.

    Raises:
        UserError: A value is out of its range.
    """

    encoder: CharacterEncoder = "cnn"
    d_model: int = 32
    width: int = 64
    kernel_size: int = 3
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("CharacterConfig.encoder", self.encoder, CharacterEncoder)
        check_range("CharacterConfig.d_model", self.d_model, least=1)
        check_range("CharacterConfig.width", self.width, least=2)
        check_range("CharacterConfig.kernel_size", self.kernel_size, least=1)
        check_range("CharacterConfig.dropout", self.dropout, least=0, below=1)


class WordCharacters(nn.Module):
    """A text encoder whose texts are words and whose tokens are characters.

    Args:
        num_characters: Number of ids of characters; 0 is padding.
        config: The encoder.

    Attributes:
        width: W; 0 for no encoder.
    """

    def __init__(self, num_characters: int, config: CharacterConfig) -> None:
        super().__init__()
        self.width, self.encoder = 0, None
        if config.encoder == "none":
            return
        shape = TextEncoderConfig(
            encoder="cnn" if config.encoder == "cnn" else "recurrent",
            pooling="max" if config.encoder == "cnn" else "last",
            d_model=config.d_model,
            embedding=EmbeddingConfig(dropout=config.dropout),
            cnn=CNNConfig(config.width, [config.kernel_size]),
            rnn=RecurrentConfig(hidden_size=config.width // 2, bidirectional=True),
        )
        self.encoder = TextEncoder(num_characters, PAD, shape)
        self.width = self.encoder.width

    def forward(self, spellings: Tensor) -> Tensor:
        """Vectors (U, W) of words as ids of characters, (U, C), padded on the right with 0."""
        if self.encoder is None:
            return spellings.new_zeros(len(spellings), 0)
        return self.encoder(spellings, spellings != PAD)
