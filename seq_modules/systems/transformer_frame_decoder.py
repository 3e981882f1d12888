"""Chorales frame by frame with Transformer blocks over the frames."""

from seq_modules.nets.music.frame_backbones import TransformerBody
from seq_modules.systems.frame_decoder import FrameDecoder
from seq_modules.training.optim import Schedule
from seqlight.core.checks import required


class TransformerFrameDecoder(FrameDecoder):
    """Chorales frame by frame with a Transformer over the frames.

    Args:
        vocab_size: Pitches, END and START; comes from the data.
        frame_size: Pitches of a frame at most; comes from the data.
        d_model: Width of the residual stream.
        num_layers: Blocks.
        num_heads: Attention heads; divides d_model.
        max_seq_len: Longest piece in frames.
        d_frame: Width of the net within a frame.
        dropout: Share dropped of the input and of each branch, while training.
        input_dropout: Share dropped of the embedded frames before.
        frame_dropout: Share dropped within a frame.
        recall: Point at what followed when the melody or the harmony went like this before, in the training pieces or
            in this one (--data.recalled says how many frames are recalled; with 0 this must be false).
        recall_dropout: Share of the pieces that are trained without.
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
        d_model: int = 192,
        num_layers: int = 4,
        num_heads: int = 6,
        max_seq_len: int = 512,
        d_frame: int = 256,
        dropout: float = 0.3,
        input_dropout: float = 0.1,
        frame_dropout: float = 0.3,
        recall: bool = True,
        recall_dropout: float = 0.1,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.1,
        beta2: float = 0.98,
        warmup_steps: int = 100,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(
            TransformerBody(d_model, num_layers, num_heads, dropout, max_seq_len),
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
