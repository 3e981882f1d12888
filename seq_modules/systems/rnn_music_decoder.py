"""Recurrent music decoders: LSTM, GRU and the plain RNN, on three engines."""

from typing import Literal

from torch import nn

from seq_modules.nets.music.event_embedding import EventEmbedding
from seq_modules.nets.rnn.language_net import RNNNet
from seq_modules.systems.music_decoder import GENERATION, MusicDecoder
from seq_modules.training.optim import Schedule


class RNNMusicDecoder(MusicDecoder):
    """Next-note prediction with an LSTM, GRU or RNN (Eck & Schmidhuber 2002 composed blues with an LSTM).

    Args:
        vocab_sizes: Ids of each field of a note; comes from the data.
        pitch_ids: Smallest and greatest id that is a pitch; comes from the data.
        ticks: Ticks by which each duration (of several voices: shift) moves the clock on; comes from the data.
        cell: Recurrent cell.
        d_model: Width of a note's embedding.
        hidden_size: Width of the hidden state.
        num_layers: Layers on top of each other.
        heads: "chained" predicts pitch, then duration given the pitch; "independent" both as if unrelated.
        relative: Also read the intervals from the last pitches, hear the scale and the metre of the piece so far, and
            predict a pitch by its distance to the last one as well, so that what is learned in one key is known in all;
            learns so much quicker that it needs more dropout.
        recalled: Look up what followed at so many places where the piece went before as it goes now, and let the heads
            point at it; 0 for not at all.
        members: Nets of this kind that take turns in training, a batch each, and whose probabilities are averaged
            afterwards.
        dropout: Share dropped of the embedding, between layers and before the heads, while training.
        forget_bias: Start of the LSTM's forget-gate bias (Jozefowicz et al. 2015); by default left as it is drawn.
        backend: torch.nn's fused kernels, the written-out loop ("bptt"), or NumPy with hand-written gradients. All
            three compute the same, and a checkpoint of one loads in another.
        max_bars: End a prediction after so many bars; by default --decoding.max_new_tokens, counting notes, ends it,
            and it does so in any case.
        lowest_pitch: Lowest MIDI pitch of a prediction, such as 36, the cello's C; by default any.
        highest_pitch: Highest MIDI pitch of a prediction.
        stop_at_end: Whether a prediction is over where the model ends the piece.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
        min_lr_ratio: What is left of the learning rate at the end of a falling schedule.
    """

    def __init__(
        self,
        vocab_sizes: list[int] | None = None,
        pitch_ids: list[int] | None = None,
        ticks: list[int] | None = None,
        cell: Literal["lstm", "gru", "rnn"] = "lstm",
        d_model: int = 192,
        hidden_size: int = 192,
        num_layers: int = 2,
        heads: Literal["chained", "independent"] = "chained",
        relative: bool = False,
        recalled: int = 0,
        members: int = 1,
        dropout: float = 0.2,
        forget_bias: float | None = None,
        backend: Literal["bptt", "fused", "numpy"] = "fused",
        max_bars: int | None = None,
        lowest_pitch: int | None = None,
        highest_pitch: int | None = None,
        stop_at_end: bool = True,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.1,
        warmup_steps: int = 50,
        schedule: Schedule = "cosine",
        min_lr_ratio: float = 0.0,
    ) -> None:
        super().__init__(
            vocab_sizes,
            max_bars,
            lowest_pitch,
            highest_pitch,
            stop_at_end,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            schedule=schedule,
            min_lr_ratio=min_lr_ratio,
        )
        self.save_hyperparameters(logger=False, ignore=GENERATION)

        def body(embedding: EventEmbedding) -> RNNNet:
            return RNNNet(
                embedding.num_embeddings,
                d_model,
                hidden_size,
                num_layers=num_layers,
                cell=cell,
                dropout=dropout,
                forget_bias=forget_bias,
                backend=backend,
                embedding=embedding,
                head=nn.Identity(),
            )

        self.assemble(body, d_model, hidden_size, heads, relative, recalled, members, pitch_ids, ticks)
