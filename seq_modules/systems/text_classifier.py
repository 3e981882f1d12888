"""Classifiers of texts without a pretrained net: recurrent, convolutional, Transformer, bag of words."""

from functools import partial
from typing import Any, Literal

from seq_modules.nets.text.text_encoder import TextEncoder
from seq_modules.nets.text.text_ensemble import TextEnsemble
from seq_modules.nets.text.word_vectors import read_vectors, start_from
from seq_modules.systems.classifier import Classifier, ClassWeights
from seq_modules.systems.turns import check_members
from seq_modules.training.optim import Schedule
from seqlight.core.checks import required
from seqlight.core.errors import UserError


class TextClassifier(Classifier):
    """Embeddings, a net over them, pooling, a linear layer.

    Args:
        vocab_size: Number of tokens; comes from the data.
        num_classes: Number of classes; comes from the data.
        num_aux_classes: Classes of the other label level; comes from the data.
        pad_id: The token of padding; comes from the data.
        encoder: What reads the embeddings; "embeddings" leaves them to the pooling, a bag of words.
        pooling: How one vector is made of the states: the last true one, their mean or maximum, or their mean with
            learned weights (additive attention). Padding never counts.
        d_model: Width of the embeddings.
        hidden_size: Of the recurrent nets, in each direction.
        num_layers: Of the recurrent nets and the Transformer.
        bidirectional: Recurrent nets read from both ends.
        backend: Engine of the recurrent nets: torch.nn's fused kernels, the written-out loop ("bptt"), or NumPy with
            hand-written gradients. All three compute the same, and a checkpoint of one loads in another.
        forget_bias: Start of the LSTM's forget-gate bias (Jozefowicz et al. 2015); by default left as it is drawn.
        join_embeddings: Each state of a recurrent net stands beside its token's embedding (Lai et al. 2015).
        convolutions: Kim's convolutions read the states of a recurrent net or of the Transformer, and their maps are
            pooled (as Zhou et al. 2016 do with a bidirectional LSTM's).
        num_filters: Of the convolutions, of each width.
        kernel_sizes: Widths of the convolutions; by default Kim's 3, 4 and 5.
        num_heads: Attention heads of the Transformer; divides d_model.
        d_ff: Width inside the Transformer's feed-forward nets; by default 4 times d_model.
        positions: How the Transformer knows where a token stands.
        attention_size: Width of the additive attention's scores.
        char_ngrams: Orders of character n-grams, such as [3, 4, 5], whose embeddings are added to the token's
            (Bojanowski et al. 2017), so that a rare one resembles those it is spelt like.
        char_buckets: Rows of the n-grams' table, which they share by a hash.
        word_ngrams: Tokens of the longest word n-grams, 2 for pairs, whose embeddings are added to that of their last
            token (Joulin et al. 2017); 1 for none.
        word_buckets: Rows of their table, which they share by a hash.
        vectors: Text file of GloVe's or word2vec's vectors to start the embeddings from; their width is d_model.
        freeze_embeddings: Leave the token embeddings as they start.
        word_dropout: Share of the tokens replaced by the unknown one while training.
        embedding_dropout: Share of the embeddings' numbers dropped while training.
        state_dropout: Share of the states' numbers dropped while training, before convolutions or pooling read them.
        dropout: Share dropped between layers and of the sentence's vector while training.
        members: Nets of this kind that take turns in training, a batch each, and whose probabilities are averaged
            afterwards; attention and nearest words are shown of the first.
        aux_weight: Weight of the loss of the other label level; 0 leaves it out.
        label_smoothing: Share of the target spread over all classes while training.
        class_weights: Weight of each class's loss while training, or "balanced".
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
        decay_fraction: For schedule "wsd": the share of the training at its end over which the rate falls.
        min_lr_ratio: What is left of the learning rate at the end of a falling schedule.
        optimizer: AdamW for all, or Muon for the matrices of the Transformer's blocks and AdamW for the rest.
        muon_learning_rate: Peak learning rate of Muon.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        num_aux_classes: int = 0,
        pad_id: int = 0,
        encoder: Literal["rnn", "lstm", "gru", "cnn", "transformer", "embeddings"] = "lstm",
        pooling: Literal["last", "mean", "max", "attention"] = "max",
        d_model: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        backend: Literal["bptt", "fused", "numpy"] = "fused",
        forget_bias: float | None = None,
        join_embeddings: bool = False,
        convolutions: bool = False,
        num_filters: int = 100,
        kernel_sizes: list[int] | None = None,
        num_heads: int = 4,
        d_ff: int | None = None,
        positions: Literal["sinusoidal", "rotary", "none"] = "rotary",
        attention_size: int = 64,
        char_ngrams: list[int] | None = None,
        char_buckets: int = 20_000,
        word_ngrams: int = 1,
        word_buckets: int = 50_000,
        vectors: str | None = None,
        freeze_embeddings: bool = False,
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        state_dropout: float = 0.0,
        dropout: float = 0.0,
        members: int = 1,
        aux_weight: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
        decay_fraction: float = 1.0,
        min_lr_ratio: float = 0.0,
        optimizer: Literal["adamw", "muon"] = "adamw",
        muon_learning_rate: float = 0.02,
    ) -> None:
        weights: ClassWeights = class_weights
        super().__init__(
            required("num_classes", num_classes),
            num_aux_classes,
            aux_weight,
            label_smoothing,
            weights,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            schedule=schedule,
            decay_fraction=decay_fraction,
            min_lr_ratio=min_lr_ratio,
            optimizer=optimizer,
            muon_learning_rate=muon_learning_rate,
        )
        self.save_hyperparameters(logger=False)
        self.vectors_file = vectors
        encoder_of = partial(
            TextEncoder,
            required("vocab_size", vocab_size),
            encoder,
            pooling,
            d_model,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            backend=backend,
            forget_bias=forget_bias,
            join_embeddings=join_embeddings,
            convolutions=convolutions,
            num_filters=num_filters,
            kernel_sizes=[3, 4, 5] if kernel_sizes is None else kernel_sizes,
            num_heads=num_heads,
            d_ff=d_ff,
            positions=positions,
            attention_size=attention_size,
            char_ngrams=char_ngrams or [],
            char_buckets=char_buckets,
            word_ngrams=word_ngrams,
            word_buckets=word_buckets,
            pad_id=pad_id,
            word_dropout=word_dropout,
            embedding_dropout=embedding_dropout,
            state_dropout=state_dropout,
            dropout=dropout,
        )
        self.encoders = [encoder_of() for _ in range(check_members(members))]  # also those of an ensemble
        self.net = self.encoders[0] if members == 1 else TextEnsemble(self.encoders)
        for net in self.encoders:
            net.embedding.weight.requires_grad_(not freeze_embeddings)
        self.make_heads(self.encoders[0].width, members)

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            ValueError: Tokens are to be dropped, and the tokenizer has no unknown one.
        """
        super().setup(stage)
        if stage == "fit" and self.encoders[0].word_dropout:
            special = self.required_tokenizer().special
            if "unk" not in special:
                raise UserError(
                    "word_dropout needs a tokenizer with an unknown token, which this one has not; make it 0"
                )
            for net in self.encoders:
                net.unknown_id = special["unk"]

    def on_fit_start(self) -> None:
        """Takes from the tokenizer what embeddings can know of the tokens before any training.

        A training that goes on from a checkpoint has it all from there, and needs no file of vectors.
        """
        super().on_fit_start()
        if self.trainer.ckpt_path is None and (self.encoders[0].ngrams is not None or self.vectors_file is not None):
            self._take_pieces(self.required_tokenizer())

    def _take_pieces(self, tokenizer: Any) -> None:
        pieces = tokenizer.pieces(range(self.encoders[0].embedding.num_embeddings))
        for net in self.encoders:
            if net.ngrams is not None:
                net.ngrams.set_pieces(pieces, list(tokenizer.special.values()))
        if self.vectors_file is not None:
            found = read_vectors(self.vectors_file, pieces, self.encoders[0].embedding.embedding_dim)
            if self.trainer.is_global_zero:
                print(f"vectors: {len(found)} of {len(pieces)} tokens are in {self.vectors_file}")
            for net in self.encoders:
                start_from(net.embedding.weight.data, found)
                net.embedding.weight.data[net.embedding.padding_idx] = 0
