"""The shape of a recurrent encoder-decoder."""

from dataclasses import dataclass
from typing import Literal

from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.shared_embeddings import Shared
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

AttentionKind = Literal["additive", "dot", "none"]


@dataclass(frozen=True)
class Seq2SeqRNNConfig:
    """Shape of a recurrent encoder-decoder.

    Attributes:
        d_model: Width of the embeddings.
        attention: "additive" (the score of Bahdanau et al. 2015) or "dot" (Luong et al. 2015, "general"), both after
            the recurrent step, as Luong has it; or "none": the decoder knows the encoder's last state alone.
        attention_size: Width of the additive score's layer.
        input_feeding: Give each step of the decoder, beside the token's embedding, what it has of the source: with
            attention, the attention's output at the step before (Luong et al. 2015, 3.3; training then goes step by
            step, and is slower); without, the encoder's last state (Cho et al. 2014).
        dropout: Fraction dropped of the embeddings and before the head, while training, in [0, 1).
        share_embeddings: "decoder" uses the target embedding as the head's weights (Press & Wolf 2017), which needs
            d_model equal to rnn.hidden_size; "all" one table for source, target and head; "none" three.
        rnn: The recurrent layers of encoder and decoder alike; only the encoder is bidirectional, if that is true.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    d_model: int = 256
    attention: AttentionKind = "additive"
    attention_size: int = 256
    input_feeding: bool = False
    dropout: float = 0.3
    share_embeddings: Shared = "none"
    rnn: RecurrentConfig = RecurrentConfig(cell="gru", hidden_size=256, bidirectional=True)

    def __post_init__(self) -> None:
        check_range("net.d_model", self.d_model, least=1)
        check_range("net.attention_size", self.attention_size, least=1)
        check_range("net.dropout", self.dropout, least=0, below=1)
        check_choice("net.attention", self.attention, AttentionKind)
        check_choice("net.share_embeddings", self.share_embeddings, Shared)
        if self.rnn.cell == "deltanet" and self.rnn.bidirectional:
            raise UserError(
                "RecurrentConfig.cell deltanet has too large a state to join two: set bidirectional to false"
            )
        if self.rnn.cell == "deltanet" and self.input_feeding and self.attention == "none":
            raise UserError(
                "net.input_feeding without attention feeds each step the encoder's last state, and that of "
                "RecurrentConfig.cell deltanet is a matrix: give net.attention additive, or net.input_feeding false"
            )
        if self.share_embeddings != "none" and self.d_model != self.rnn.hidden_size:
            raise UserError(
                f"net.share_embeddings {self.share_embeddings} needs net.d_model ({self.d_model}) and "
                f"net.rnn.hidden_size ({self.rnn.hidden_size}) to be equal"
            )
