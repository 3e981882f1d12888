"""Sequence to sequence: a target, token by token, of a source. The base, the Transformer, the recurrent net.

B rows, S time of the source, T time of the target, V target vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import Tensor, nn
from torchmetrics import MetricCollection

from seq_modules.base import SequenceModule, Step
from seq_modules.callbacks.text.alignments import Alignments
from seq_modules.callbacks.text.attention_page import AttentionPage
from seq_modules.generation.beam import Hypothesis
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.seq2seq import replace_unknown, translate
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.rnn.seq2seq import EncoderDecoderRNN
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seq_modules.protocols.systems import ChecksLengths
from seq_modules.training.metrics.exact_metrics import ExactMetrics
from seq_modules.training.metrics.tokens import TokenAccuracy, TokenPerplexity
from seq_modules.training.metrics.translation import SCORES, Score, translation_metrics
from seq_modules.training.optim import OptimConfig, refuse_muon
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range, group_from, required
from seqlight.core.labels import EOS, IGNORED, UNK

MAX_SOURCE_RATIO = 3.0  # where Decoding.max_source_ratio is None; an untrained net would go on to max_new_tokens


@dataclass
class TextHypothesis(Hypothesis):
    """A translation.

    Attributes:
        text: Its text, without special tokens.
    """

    text: str


class Seq2SeqModule(SequenceModule):
    """Base of the systems of sequence to sequence: smoothed loss, translation, scores of the translations.

    A subclass assigns ``net``, a :class:`seq_modules.generation.seq2seq.Seq2SeqNet`.

    Args:
        label_smoothing: Fraction of each target's probability that the loss spreads over all tokens, in [0, 1) (Szegedy
            et al. 2016). In training alone: the loss of validation and test is the negative log-likelihood.
        scores: Scores of the translations. Default: all, which are bleu, bleu_lower, chrf and exact_match. BLEU is
            0 where texts have fewer than four words.
        validate_scores: Translate the validation data, greedily, for these scores, at every validation.
        copy_unknown: Replace each unknown word of a translation by the source's word that was attended to most.
        optim: Optimiser and schedule.

    Attributes:
        decoding: How tokens are chosen in test and predict, and where a call does not say; the command line's
            --decoding.
    """

    net: nn.Module
    decoding = Decoding()

    def __init__(
        self,
        label_smoothing: float,
        scores: Sequence[Score] | None,
        validate_scores: bool,
        copy_unknown: bool,
        optim: OptimConfig | dict[str, Any],
    ) -> None:
        super().__init__({"perplexity": TokenPerplexity(), "token_accuracy": TokenAccuracy()}, optim)
        check_range("label_smoothing", label_smoothing, least=0, below=1)
        self.label_smoothing, self.validate_scores, self.copy_unknown = label_smoothing, validate_scores, copy_unknown
        self.scores = SCORES if scores is None else tuple(scores)
        if not self.scores:
            raise UserError("scores is empty; give at least one of " + ", ".join(SCORES))
        for name in self.scores:
            check_choice("scores", name, Score)
        metrics = ExactMetrics(dict(translation_metrics(self.scores)), compute_groups=False)
        self.val_scores, self.test_scores = metrics.clone(prefix="val/"), metrics.clone(prefix="test/")

    def setup(self, stage: str) -> None:
        """Takes the tokenizers of the data, if there are any.

        Raises:
            UserError: Two vocabularies are to be trained with one table of embeddings, or the net cannot read so long a
                pair.
        """
        super().setup(stage)
        data, longest = getattr(self.trainer, "datamodule", None), getattr(self.net, "max_seq_len", None)
        if longest is not None and isinstance(data, ChecksLengths):
            data.check_longest(stage, longest)
        nets = EncoderDecoderTransformer | EncoderDecoderRNN
        one_table = isinstance(self.net, nets) and self.net.config.share_embeddings == "all"
        if stage == "fit" and one_table and self.tokenizer is not None and not self.tokenizer.shared:
            raise UserError(
                "net.share_embeddings all needs one vocabulary for both sides (--data.tokens.shared true); use decoder"
            )

    def configure_callbacks(self) -> list[Callback]:
        """Adds pictures of the net's attention, if it has any, after ``test``.

        A Trainer that has such callbacks keeps its own; one without a logger has no folder for a run's pictures.
        """
        found, trainer = super().configure_callbacks(), self.trainer
        if trainer.logger is None or (isinstance(self.net, EncoderDecoderRNN) and self.net.attention is None):
            return found
        given = [type(callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        return found + [kind() for kind in (Alignments, AttentionPage) if kind not in given]

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Logits of the next target token at every step, (B, T, V).

        Args:
            source_ids: (B, S), padded on the right.
            source_mask: Booleans (B, S), true at the tokens.
            target_ids: (B, T), from the beginning-of-sequence token on.
        """
        return self.net(source_ids, source_mask, target_ids)

    def step(self, batch: dict[str, Any]) -> Step:
        """Cross-entropy in nats, smoothed while training, summed over the labels that count."""
        labels = batch["labels"].flatten()
        logits = at_least_float32(self(batch["source_ids"], batch["source_mask"], batch["target_ids"])).flatten(0, 1)
        log_probs = logits.log_softmax(-1)  # (B·T, V)
        nll = loss = F.nll_loss(log_probs, labels, ignore_index=IGNORED, reduction="sum")
        counted = labels != IGNORED
        if self.training and self.label_smoothing:
            uniform = -(log_probs.mean(-1) * counted).sum()
            loss = (1 - self.label_smoothing) * nll + self.label_smoothing * uniform
        num_right = (logits.argmax(-1) == labels).sum()
        return Step(loss, counted.sum(), {"nll_sum": nll, "num_right": num_right})

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Measures a validation batch and, with ``validate_scores``, its greedy translations."""
        super().validation_step(batch, batch_idx)
        if self.validate_scores and "references" in batch:
            greedy = replace(self.decoding, temperature=0, top_k=None, top_p=None, min_p=None, beams=1, n_best=1)
            self.score(self.val_scores, batch, self.translations(batch, greedy))

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:  # type: ignore[override]
        """Measures a test batch and its translations, of which it returns the rows, as ``predict_step`` does."""
        super().test_step(batch, batch_idx)
        found = self.translations(batch, self.decoding)
        self.score(self.test_scores, batch, found)
        return [
            {**row, "reference": reference}
            for row, reference in zip(rows_of(batch, found), batch["references"], strict=True)
        ]

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a source: its translation with its score, and all of ``decoding.n_best``."""
        return rows_of(batch, self.translations(batch, self.decoding))

    def score(self, scores: MetricCollection, batch: dict[str, Any], found: Sequence[list[TextHypothesis]]) -> None:
        """Updates the scores of translations with a batch."""
        scores.update([row[0].text for row in found], batch["references"])
        self.log_dict(scores, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)

    def translations(self, batch: dict[str, Any], decoding: Decoding) -> list[list[TextHypothesis]]:
        """The best translations of a batch's sources."""
        lengths = batch["source_mask"].sum(1).tolist()
        ids = [row[:length] for row, length in zip(batch["source_ids"].tolist(), lengths, strict=True)]
        return self.translate(ids, batch["sources"], batch["index"].tolist(), decoding)

    def generate(self, sources: Sequence[str], decoding: Decoding | None = None) -> list[list[TextHypothesis]]:
        """The best translations of texts.

        Args:
            sources: Texts to translate.
            decoding: How to choose tokens; by default ``self.decoding``.

        Returns:
            For each source its hypotheses, the best first: ``decoding.n_best``, or fewer where there are not so many.

        Raises:
            UserError: There is no tokenizer, or a source is too long for the net.
        """
        encode = required_tokenizer(self).source.encode
        ids = [[*encode(source), EOS] for source in sources]
        return self.translate(ids, sources, list(range(len(ids))), decoding or self.decoding)

    def translate(
        self, ids: list[list[int]], sources: Sequence[str], sample_ids: list[int], decoding: Decoding
    ) -> list[list[TextHypothesis]]:
        """As :meth:`generate`, of ids that end in the end-of-sequence token; their numbers are for sampling."""
        if decoding.max_source_ratio is None:
            decoding = replace(decoding, max_source_ratio=MAX_SOURCE_RATIO)
        found = translate(self.net, ids, decoding, sample_ids)
        return [
            [TextHypothesis(one.ids, one.score, one.ended, self.text_of(one.ids, source, text)) for one in hypotheses]
            for source, text, hypotheses in zip(ids, sources, found, strict=True)
        ]

    def text_of(self, ids: list[int], source_ids: list[int], source: str) -> str:
        """The text of a translation's ids, its unknown words taken from the source; nothing if the source is empty."""
        tokenizer = required_tokenizer(self)
        if not source.strip():
            return ""
        ids = ids[:-1] if ids[-1] == EOS else ids
        if not self.copy_unknown or UNK not in ids:
            return tokenizer.target.decode(ids)
        words = replace_unknown(self.net, source_ids, tokenizer.source.split(source), ids, tokenizer.target.tokens(ids))
        return tokenizer.target.decode(ids, [word for word, i in zip(words, ids, strict=True) if i == UNK])


class Seq2SeqTransformer(Seq2SeqModule):
    """Sequence to sequence with an encoder-decoder Transformer (Vaswani et al. 2017).

    Args:
        source_vocab_size: Number of the source's tokens; comes from the data.
        vocab_size: Number of the target's tokens; comes from the data.
        net: Shape of the net.
        label_smoothing: Fraction of each target's probability that the loss spreads over all tokens, in [0, 1) (Szegedy
            et al. 2016). In training alone: the loss of validation and test is the negative log-likelihood.
        scores: Scores of the translations. Default: all, which are bleu, bleu_lower, chrf and exact_match. BLEU is
            0 where texts have fewer than four words.
        validate_scores: Translate the validation data, greedily, for these scores, at every validation.
        copy_unknown: Replace each unknown word of a translation by the source's word that was attended to most.
        optim: Optimiser and schedule.

    Raises:
        UserError: A value is out of its range, or there is no vocab_size.
    """

    def __init__(
        self,
        source_vocab_size: int | None = None,
        vocab_size: int | None = None,
        net: Seq2SeqTransformerConfig = Seq2SeqTransformerConfig(),
        label_smoothing: float = 0.1,
        scores: list[Score] | None = None,
        validate_scores: bool = True,
        copy_unknown: bool = True,
        optim: OptimConfig = OptimConfig(beta2=0.98, warmup_steps=1000, schedule="inverse_sqrt", fused=True),
    ) -> None:
        super().__init__(label_smoothing, scores, validate_scores, copy_unknown, optim)
        self.save_hyperparameters()
        sizes = required("source_vocab_size", source_vocab_size), required("vocab_size", vocab_size)
        self.net = EncoderDecoderTransformer(*sizes, group_from(Seq2SeqTransformerConfig, net))


class Seq2SeqRNN(Seq2SeqModule):
    """Sequence to sequence with a recurrent encoder-decoder (Bahdanau et al. 2015; Luong et al. 2015).

    Args:
        source_vocab_size: Number of the source's tokens; comes from the data.
        vocab_size: Number of the target's tokens; comes from the data.
        net: Shape of the net.
        label_smoothing: Fraction of each target's probability that the loss spreads over all tokens, in [0, 1) (Szegedy
            et al. 2016). In training alone: the loss of validation and test is the negative log-likelihood.
        scores: Scores of the translations. Default: all, which are bleu, bleu_lower, chrf and exact_match. BLEU is
            0 where texts have fewer than four words.
        validate_scores: Translate the validation data, greedily, for these scores, at every validation.
        copy_unknown: Replace each unknown word of a translation by the source's word that was attended to most.
        optim: Optimiser and schedule; AdamW, for Muon needs the blocks of a Transformer.

    Raises:
        UserError: A value is out of its range, or there is no vocab_size.
    """

    def __init__(
        self,
        source_vocab_size: int | None = None,
        vocab_size: int | None = None,
        net: Seq2SeqRNNConfig = Seq2SeqRNNConfig(),
        label_smoothing: float = 0.1,
        scores: list[Score] | None = None,
        validate_scores: bool = True,
        copy_unknown: bool = True,
        optim: OptimConfig = OptimConfig(fused=True),
    ) -> None:
        super().__init__(label_smoothing, scores, validate_scores, copy_unknown, optim)
        self.save_hyperparameters()
        refuse_muon(self.optim)
        sizes = required("source_vocab_size", source_vocab_size), required("vocab_size", vocab_size)
        self.net = EncoderDecoderRNN(*sizes, group_from(Seq2SeqRNNConfig, net))


def rows_of(batch: dict[str, Any], found: Sequence[list[TextHypothesis]]) -> list[dict[str, Any]]:
    """Rows for files and callbacks: a source each, with its translation and, of several, all with their scores.

    An empty source has an empty translation without a score, and no others.
    """
    rows: list[dict[str, Any]] = []
    for index, source, hypotheses in zip(batch["index"].tolist(), batch["sources"], found, strict=True):
        if not source.strip():
            rows.append({"index": index, "source": source, "translation": "", "score": None})
            continue
        best = hypotheses[0]
        row: dict[str, Any] = {"index": index, "source": source, "translation": best.text, "score": best.score}
        if len(hypotheses) > 1:
            row["n_best"] = [{"translation": one.text, "score": one.score} for one in hypotheses]
        rows.append(row)
    return rows
