"""Recurrent language models, on three engines: torch's kernels, the written-out loop, NumPy with gradients by hand."""

from typing import Literal

from seq_modules.nets.rnn.language_net import RNNNet
from seq_modules.systems.language_model import LanguageModel
from seq_modules.training.optim import Schedule
from seqlight.core.checks import required
from seqlight.core.errors import UserError


class RNNLanguageModel(LanguageModel):
    """Next-token prediction with an RNN, LSTM or GRU.

    Args:
        vocab_size: Number of tokens; comes from the data.
        cell: Recurrent cell.
        d_model: Width of the embedding.
        hidden_size: Width of the hidden state.
        num_layers: Layers on top of each other.
        dropout: Share dropped of the embedding, between layers and before the head, while training.
        forget_bias: Start of the LSTM's forget-gate bias (Jozefowicz et al. 2015); by default left as it is drawn.
        tie_weights: Use the embedding as the head's weights; needs d_model equal to hidden_size.
        backend: torch.nn's fused kernels, the written-out loop ("bptt"), or NumPy with hand-written gradients. All
            three compute the same, and a checkpoint of one loads in another.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the mean squared gradient.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
        decay_fraction: For schedule "wsd": the share of the training at its end over which the rate falls.
        min_lr_ratio: What is left of the learning rate at the end of a falling schedule.
        optimizer: AdamW; Muon is for the blocks of a Transformer, and is refused.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        cell: Literal["rnn", "lstm", "gru"] = "lstm",
        d_model: int = 128,
        hidden_size: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
        forget_bias: float | None = None,
        tie_weights: bool = False,
        backend: Literal["bptt", "fused", "numpy"] = "fused",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
        decay_fraction: float = 1.0,
        min_lr_ratio: float = 0.0,
        optimizer: Literal["adamw", "muon"] = "adamw",
    ) -> None:
        if optimizer == "muon":
            raise UserError(
                "optimizer muon is for the matrices in a Transformer's blocks, which a recurrent net has not; use adamw"
            )
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            beta1=beta1,
            beta2=beta2,
            warmup_steps=warmup_steps,
            schedule=schedule,
            decay_fraction=decay_fraction,
            min_lr_ratio=min_lr_ratio,
            optimizer=optimizer,
        )
        self.save_hyperparameters(logger=False)
        self.net = RNNNet(
            required("vocab_size", vocab_size),
            d_model,
            hidden_size,
            num_layers=num_layers,
            cell=cell,
            dropout=dropout,
            forget_bias=forget_bias,
            tie_weights=tie_weights,
            backend=backend,
        )
