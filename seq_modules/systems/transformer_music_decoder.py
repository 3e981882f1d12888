"""A Transformer that composes: GPT's blocks over notes."""

from typing import Literal

from torch import nn

from seq_modules.nets.music.event_embedding import EventEmbedding
from seq_modules.nets.transformer.gpt import GPT
from seq_modules.systems.music_decoder import GENERATION, MusicDecoder
from seq_modules.training.optim import Schedule


class TransformerMusicDecoder(MusicDecoder):
    """Next-note prediction with a Transformer decoder (Huang et al. 2019), a note being one step (Hsiao et al. 2021).

    Args:
        vocab_sizes: Ids of each field of a note; comes from the data.
        pitch_ids: Smallest and greatest id that is a pitch; comes from the data.
        ticks: Ticks by which each duration (of several voices: shift) moves the clock on; comes from the data.
        d_model: Width of the residual stream.
        num_layers: Decoder blocks.
        num_heads: Attention heads; divides d_model.
        max_seq_len: Longest context in notes, at least the data's seq_len.
        d_ff: Width inside the feed-forward nets; by default 4 times d_model.
        positions: How the net knows where a note stands; "rotary" was measured to be the best by far.
        norm: Layer norm or root-mean-square norm.
        activation: Of the feed-forward nets.
        bias: Whether linear layers and layer norms have a bias.
        heads: "chained" predicts pitch, then duration given the pitch; "independent" both as if unrelated.
        relative: Also read the intervals from the last pitches, hear the scale and the metre of the piece so far, and
            predict a pitch by its distance to the last one as well, so that what is learned in one key is known in all;
            learns so much quicker that it needs more dropout.
        recalled: Look up what followed at so many places where the piece went before as it goes now, and let the heads
            point at it; 0 for not at all.
        members: Nets of this kind that take turns in training, a batch each, and whose probabilities are averaged
            afterwards.
        dropout: Share dropped of embeddings and of each residual branch, while training.
        qk_norm: Normalise queries and keys (Henry et al. 2020).
        max_bars: End a prediction after so many bars; by default --decoding.max_new_tokens, counting notes, ends it,
            and it does so in any case.
        lowest_pitch: Lowest MIDI pitch of a prediction, such as 36, the cello's C; by default any.
        highest_pitch: Highest MIDI pitch of a prediction.
        stop_at_end: Whether a prediction is over where the model ends the piece.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        beta2: AdamW's decay of the mean squared gradient.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
        min_lr_ratio: What is left of the learning rate at the end of a falling schedule.
        optimizer: AdamW for all, or Muon for the matrices inside the blocks and AdamW for the rest.
        muon_learning_rate: Peak learning rate of Muon.
    """

    def __init__(
        self,
        vocab_sizes: list[int] | None = None,
        pitch_ids: list[int] | None = None,
        ticks: list[int] | None = None,
        d_model: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        max_seq_len: int = 128,
        d_ff: int | None = None,
        positions: Literal["rotary", "learned", "sinusoidal", "none"] = "rotary",
        norm: Literal["layer", "rms"] = "layer",
        activation: Literal["gelu", "gelu_tanh", "swiglu", "relu2"] = "gelu_tanh",
        bias: bool = True,
        heads: Literal["chained", "independent"] = "chained",
        relative: bool = False,
        recalled: int = 0,
        members: int = 1,
        dropout: float = 0.2,
        qk_norm: bool = False,
        max_bars: int | None = None,
        lowest_pitch: int | None = None,
        highest_pitch: int | None = None,
        stop_at_end: bool = True,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.1,
        beta2: float = 0.99,
        warmup_steps: int = 100,
        schedule: Schedule = "cosine",
        min_lr_ratio: float = 0.0,
        optimizer: Literal["adamw", "muon"] = "adamw",
        muon_learning_rate: float = 0.02,
    ) -> None:
        super().__init__(
            vocab_sizes,
            max_bars,
            lowest_pitch,
            highest_pitch,
            stop_at_end,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            beta2=beta2,
            warmup_steps=warmup_steps,
            schedule=schedule,
            min_lr_ratio=min_lr_ratio,
            optimizer=optimizer,
            muon_learning_rate=muon_learning_rate,
        )
        self.save_hyperparameters(logger=False, ignore=GENERATION)

        def body(embedding: EventEmbedding) -> GPT:
            return GPT(
                embedding.num_embeddings,
                d_model=d_model,
                num_layers=num_layers,
                num_heads=num_heads,
                max_seq_len=max_seq_len,
                d_ff=d_ff,
                positions=positions,
                norm=norm,
                activation=activation,
                bias=bias,
                dropout=dropout,
                tie_weights=False,
                qk_norm=qk_norm,
                embedding=embedding,
                head=nn.Identity(),
            )

        self.assemble(body, d_model, d_model, heads, relative, recalled, members, pitch_ids, ticks)
