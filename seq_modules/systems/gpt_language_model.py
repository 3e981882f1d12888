"""GPT from scratch: the Transformer decoder as a language model, from GPT-2's form to what trains quickest here."""

from functools import partial
from typing import Literal

from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.transformer.gpt import GPT
from seq_modules.systems.language_model import LanguageModel
from seq_modules.systems.turns import check_members
from seq_modules.training.optim import Schedule
from seqlight.core.checks import required


class GPTLanguageModel(LanguageModel):
    """Next-token prediction with a Transformer decoder (Radford et al. 2019).

    Args:
        vocab_size: Number of tokens; comes from the data.
        d_model: Width of the residual stream.
        num_layers: Decoder blocks.
        num_heads: Attention heads; divides d_model.
        max_seq_len: Longest context, at least the data's seq_len.
        d_ff: Width inside the feed-forward nets; by default 4 times d_model.
        positions: How the net knows where a token stands.
        norm: Layer norm or root-mean-square norm.
        activation: Of the feed-forward nets.
        bias: Whether linear layers and layer norms have a bias.
        dropout: Share dropped of embeddings and of each residual branch, while training.
        tie_weights: Use the token embedding as the head's weights.
        qk_norm: Normalise queries and keys (Henry et al. 2020).
        attention: scaled_dot_product_attention, two written-out products, or whichever was measured to be quicker.
        ngram_orders: Orders of the hashed n-gram embeddings added to the token's, such as [2, 3, 4].
        ngram_buckets: Rows of each n-gram table.
        ngram_dim: Width of the n-gram embeddings before they are projected.
        ngram_dropout: Share of the n-grams dropped while training, each as a whole.
        value_embeddings: Add an embedding of the token to the attention's values in the outer blocks.
        residual_mix: Let each block mix the first layer's input into its own.
        logit_softcap: Squash the logits to within plus or minus this.
        zero_init: Start the last matrix of each branch, and the head, at zero.
        members: Nets of this kind that take turns in training, a batch each, and whose probabilities are averaged
            afterwards; what a long training of a small text is better spent on than on one net that learns it by heart.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the mean squared gradient.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
        decay_fraction: For schedule "wsd": the share of the training at its end over which the rate falls.
        min_lr_ratio: What is left of the learning rate at the end of a falling schedule.
        optimizer: AdamW for all, or Muon for the matrices inside the blocks and AdamW for the rest.
        muon_learning_rate: Peak learning rate of Muon.
        muon_iterations: Newton-Schulz iterations of Muon.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        d_model: int = 384,
        num_layers: int = 6,
        num_heads: int = 6,
        max_seq_len: int = 256,
        d_ff: int | None = None,
        positions: Literal["learned", "sinusoidal", "rotary", "none"] = "learned",
        norm: Literal["layer", "rms"] = "layer",
        activation: Literal["gelu", "gelu_tanh", "swiglu", "relu2"] = "gelu_tanh",
        bias: bool = True,
        dropout: float = 0.0,
        tie_weights: bool = True,
        qk_norm: bool = False,
        attention: Literal["auto", "sdpa", "eager"] = "auto",
        ngram_orders: list[int] | None = None,
        ngram_buckets: int = 16384,
        ngram_dim: int = 32,
        ngram_dropout: float = 0.0,
        value_embeddings: bool = False,
        residual_mix: bool = False,
        logit_softcap: float | None = None,
        zero_init: bool = False,
        members: int = 1,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.1,
        beta1: float = 0.9,
        beta2: float = 0.99,
        warmup_steps: int = 100,
        schedule: Schedule = "cosine",
        decay_fraction: float = 1.0,
        min_lr_ratio: float = 0.1,
        optimizer: Literal["adamw", "muon"] = "adamw",
        muon_learning_rate: float = 0.02,
        muon_iterations: int = 5,
    ) -> None:
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
            muon_learning_rate=muon_learning_rate,
            muon_iterations=muon_iterations,
        )
        self.save_hyperparameters(logger=False)
        net = partial(
            GPT,
            required("vocab_size", vocab_size),
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
            tie_weights=tie_weights,
            qk_norm=qk_norm,
            attention=attention,
            ngram_orders=ngram_orders or [],
            ngram_buckets=ngram_buckets,
            ngram_dim=ngram_dim,
            ngram_dropout=ngram_dropout,
            value_embeddings=value_embeddings,
            residual_mix=residual_mix,
            logit_softcap=logit_softcap,
            zero_init=zero_init,
        )
        self.net = (
            net() if check_members(members) == 1 else Ensemble([net(hash_seed=member) for member in range(members)])
        )
