"""Chorales frame by frame with recurrent layers over the frames."""

from typing import Literal

from seq_modules.nets.music.frame_backbones import RecurrentBody
from seq_modules.systems.frame_decoder import FrameDecoder
from seq_modules.training.optim import Schedule
from seqlight.core.checks import required


class LSTMFrameDecoder(FrameDecoder):
    """Chorales frame by frame with a recurrent net.

    Args:
        vocab_size: Pitches, END and START; comes from the data.
        frame_size: Pitches of a frame at most; comes from the data.
        cell: Recurrent cell.
        d_model: Width of the recurrent layers.
        num_layers: Layers on top of each other.
        d_frame: Width of the net within a frame.
        dropout: Share dropped between the recurrent layers and of their outputs, while training.
        input_dropout: Share dropped of their inputs.
        frame_dropout: Share dropped within a frame.
        recall: Point at what followed when the melody or the harmony went like this before, in the training pieces or
            in this one (--data.recalled says how many frames are recalled; with 0 this must be false).
        recall_dropout: Share of the pieces that are trained without.
        backend: torch.nn's fused kernels, the written-out loop ("bptt"), or NumPy with hand-written gradients.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        beta2: AdamW's decay of the mean squared gradient.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        frame_size: int | None = None,
        cell: Literal["rnn", "lstm", "gru"] = "lstm",
        d_model: int = 256,
        num_layers: int = 2,
        d_frame: int = 256,
        dropout: float = 0.4,
        input_dropout: float = 0.2,
        frame_dropout: float = 0.3,
        recall: bool = True,
        recall_dropout: float = 0.1,
        backend: Literal["bptt", "fused", "numpy"] = "fused",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.1,
        beta2: float = 0.98,
        warmup_steps: int = 50,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(
            RecurrentBody(d_model, num_layers, cell, dropout, backend),
            required("vocab_size", vocab_size),
            required("frame_size", frame_size),
            d_model,
            d_frame,
            input_dropout,
            frame_dropout,
            recall,
            recall_dropout,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            beta2=beta2,
            warmup_steps=warmup_steps,
            schedule=schedule,
        )
        self.save_hyperparameters(logger=False)
