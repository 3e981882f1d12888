"""The recurrent language model."""

from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.systems.language_model import LanguageModel
from seq_modules.training.optim import OptimConfig, refuse_muon
from seqlight.core.hyperparameters import group_from, required


class RNNLanguageModel(LanguageModel):
    """Next-token prediction with an RNN, LSTM or GRU.

    Args:
        vocab_size: Number of tokens; comes from the data.
        net: Shape of the net.
        optim: Optimiser and schedule; AdamW, for Muon needs the blocks of a Transformer.

    Raises:
        UserError: A value is out of its range, or there is no vocab_size.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        net: RNNConfig = RNNConfig(),
        optim: OptimConfig = OptimConfig(learning_rate=3e-3, fused=True),
    ) -> None:
        super().__init__(optim)
        self.save_hyperparameters()
        refuse_muon(self.optim)
        self.net = RNNNet(required("vocab_size", vocab_size), group_from(RNNConfig, net))
