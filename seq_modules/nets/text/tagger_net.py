"""Sentences to a state for each word: words with their characters, or subwords of a pretrained encoder.

B sentences, T words, S tokens, U different words of the batch, C characters, D width of the embeddings, W of the
states. A batch is that of ``TaggingTokenizer.batch``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.pretrained.encoder import PretrainedEncoder
from seq_modules.nets.rnn.recurrent import RecurrentNet, build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.crf import LinearChainCRF
from seq_modules.nets.text.token_embedding import EmbeddingConfig, TokenEmbedding
from seq_modules.nets.text.transformer_encoder import TransformerEncoder, TransformerEncoderConfig
from seq_modules.nets.text.word_characters import CharacterConfig, WordCharacters
from seqlight.core.hyperparameters import check_choice, check_range

TagEncoder = Literal["recurrent", "transformer", "embeddings"]
PAD = 0  # id of no word


@dataclass(frozen=True)
class WordEncoderConfig:
    """A net that makes a state of each word of a sentence.

    Attributes:
        encoder: What reads the sentence: a "recurrent" net (group rnn), a "transformer" (group transformer), or nothing
            ("embeddings"), which sees no other word.
        d_model: Width of the words' embeddings, D.
        embedding: N-grams, pretrained vectors and dropout of the words' embeddings.
        characters: What is read of each word's characters.
        rnn: The recurrent net.
        transformer: The Transformer, of width D.
        input_dropout: Fraction of a word's numbers, those of its characters among them, dropped while training.
        dropout: Fraction of the states' numbers dropped while training.

    Raises:
        UserError: A value is out of its range.
    """

    encoder: TagEncoder = "recurrent"
    d_model: int = 128
    embedding: EmbeddingConfig = EmbeddingConfig()
    characters: CharacterConfig = CharacterConfig()
    rnn: RecurrentConfig = field(default_factory=lambda: RecurrentConfig(bidirectional=True))
    transformer: TransformerEncoderConfig = TransformerEncoderConfig()
    input_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("net.encoder", self.encoder, TagEncoder)
        check_range("net.d_model", self.d_model, least=1)
        check_range("net.input_dropout", self.input_dropout, least=0, below=1)
        check_range("net.dropout", self.dropout, least=0, below=1)


class WordEncoder(nn.Module):
    """Embeddings of words joined with vectors of their characters, and a net over the sentence.

    Args:
        vocab_size: Number of ids of words; 0 is padding.
        num_characters: Number of ids of characters; 0 is padding.
        config: The net's shape.

    Attributes:
        width: W.
    """

    def __init__(self, vocab_size: int, num_characters: int, config: WordEncoderConfig) -> None:
        super().__init__()
        check_range("vocab_size", vocab_size, least=1)
        self.input_dropout, self.dropout = config.input_dropout, config.dropout
        self.embedding = TokenEmbedding(vocab_size, config.d_model, PAD, config.embedding)
        self.characters = WordCharacters(num_characters, config.characters)
        self.projection: nn.Linear | None = None
        self.backbone: RecurrentNet | TransformerEncoder | None = None
        self.width = config.d_model + self.characters.width
        if config.encoder == "recurrent":
            self.backbone = build_recurrent(self.width, config.rnn)
            self.width = self.backbone.output_size
        elif config.encoder == "transformer":
            self.projection = nn.Linear(self.width, config.d_model)
            self.backbone = TransformerEncoder(config.d_model, config.transformer)
            self.width = config.d_model

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The Transformer's blocks, for Muon; None where there is no Transformer."""
        return self.backbone.blocks if isinstance(self.backbone, TransformerEncoder) else None

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """States (B, T, W) of the words."""
        mask = batch["word_mask"]
        characters = self.characters(batch["spellings"])[batch["spelling_of"]]  # (U, W) -> (B, T, W)
        x = torch.cat((self.embedding(batch["input_ids"]), characters), dim=-1)
        x = F.dropout(x, self.input_dropout, self.training)
        if self.projection is not None:
            x = self.projection(x)
        if isinstance(self.backbone, TransformerEncoder):
            x = self.backbone(x, mask)
        elif self.backbone is not None:
            x = self.backbone(x, mask.sum(1))[0]
        return F.dropout(x, self.dropout, self.training)


class PieceEncoder(nn.Module):
    """A pretrained encoder of subwords: a word's state is that of its first one, joined with what its characters give.

    The characters tell an encoder that reads lower case alone which words have capitals.

    Args:
        encoder: The pretrained encoder.
        num_characters: Number of ids of characters; 0 is padding.
        characters: What is read of each word's characters.
        dropout: Fraction of the states' numbers dropped while training.

    Attributes:
        width: W.
    """

    def __init__(
        self, encoder: PretrainedEncoder, num_characters: int, characters: CharacterConfig, dropout: float
    ) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, dropout
        self.characters = WordCharacters(num_characters, characters)
        self.width = encoder.width + self.characters.width

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """States (B, T, W) of the words."""
        hidden = self.encoder.states(batch["input_ids"], batch["attention_mask"])  # (B, S, D)
        places = batch["first_tokens"][:, :, None].expand(-1, -1, hidden.shape[2])  # (B, T, D)
        characters = self.characters(batch["spellings"])[batch["spelling_of"]]
        x = torch.cat((hidden.gather(1, places), characters.to(hidden.dtype)), dim=-1)
        return F.dropout(x, self.dropout, self.training)


class TaggerNet(nn.Module):
    """An encoder, a linear layer to the labels and, where there is one, a CRF over them.

    Args:
        encoder: A batch to states (B, T, W), with its ``width``.
        num_labels: Number of labels.
        crf: Scores of neighbouring labels. None: each word's label is independent of the others, given the sentence.
    """

    def __init__(self, encoder: Any, num_labels: int, crf: LinearChainCRF | None = None) -> None:
        super().__init__()
        self.encoder, self.crf = encoder, crf
        self.head = nn.Linear(encoder.width, num_labels)

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The encoder's Transformer blocks, for Muon; None where it has none."""
        return getattr(self.encoder, "blocks", None)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of each label at each word, (B, T, number of labels)."""
        return self.head(self.encoder(batch))
