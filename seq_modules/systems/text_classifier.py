"""Classifiers of texts without a pretrained net: recurrent, convolutional, Transformer, bag of words."""

from torch import Tensor

from seq_modules.nets.text.text_encoder import TextEncoder, TextEncoderConfig
from seq_modules.systems.classifier import Classifier, LossConfig
from seq_modules.training.optim import OptimConfig
from seq_modules.training.word_embeddings import start_embeddings, take_unknown
from seqlight.core.hyperparameters import check_range, group_from, required


class TextClassifier(Classifier):
    """Embeddings, a net over them, pooling, a linear layer.

    Args:
        vocab_size: Number of tokens; comes from the data.
        num_classes: Number of classes; comes from the data.
        num_aux_classes: Classes of the auxiliary labels; comes from the data.
        pad_id: The token of padding; comes from the data.
        net: The net that makes one vector of a text.
        loss: The loss of training.
        ensemble_size: Nets of this kind whose probabilities are averaged; a training step trains one of them, in
            rotation. Attention and nearest tokens are shown of the first.
        optim: Optimiser and schedule. Muon needs encoder transformer.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        num_aux_classes: int = 0,
        pad_id: int = 0,
        net: TextEncoderConfig = TextEncoderConfig(),
        loss: LossConfig = LossConfig(),
        ensemble_size: int = 1,
        optim: OptimConfig = OptimConfig(learning_rate=1e-3, fused=True),
    ) -> None:
        super().__init__(required("num_classes", num_classes), num_aux_classes, loss, optim)
        self.save_hyperparameters()
        check_range("ensemble_size", ensemble_size, least=1)
        config = group_from(TextEncoderConfig, net)
        self.vectors_file = config.embedding.vectors
        encoders = [TextEncoder(required("vocab_size", vocab_size), pad_id, config) for _ in range(ensemble_size)]
        self.embeddings = [encoder.embedding for encoder in encoders]  # of all members
        self.make_net(encoders)

    def text_attention(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of a Transformer's self-attention, (B, L, H, T, T); of an ensemble, the first member's.

        None with another encoder.
        """
        return self.members[0].encoder.attention_maps(input_ids, mask.bool())

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            UserError: Tokens are to be dropped, and the tokenizer has no unknown one.
        """
        super().setup(stage)
        if stage == "fit":
            take_unknown(self, self.embeddings)

    def on_fit_start(self) -> None:
        """Takes the spelling of the tokens from the tokenizer and pretrained vectors from their file."""
        start_embeddings(self, self.embeddings, self.vectors_file)
