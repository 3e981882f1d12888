"""Sequence to sequence: the smoothed loss, what is measured, translations of a memorised batch, the checkpoint."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader

import seqlight
from datamodules.tokenizers import TokenizerPair
from datamodules.tokenizers.char import CharTokenizer
from seq_modules import Seq2SeqModule, Seq2SeqRNN, Seq2SeqTransformer
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.seq2seq import translate
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.labels import BOS, EOS, IGNORED, PAD, UNK

PAIRS = [("abc", "cba"), ("d", "d"), ("abca", "acba"), ("cd", "dc")]
KINDS = ["transformer", "additive", "dot", "none"]


def tokenizer() -> TokenizerPair:
    return TokenizerPair(CharTokenizer("abcd"), CharTokenizer("abcde"))


def make(kind: str, dropout: float = 0.0, **changes: Any) -> Seq2SeqModule:
    torch.manual_seed(0)
    sizes = tokenizer().source_vocab_size, tokenizer().vocab_size
    if kind == "transformer":
        shape = Seq2SeqTransformerConfig(16, 1, 1, 2, dropout=dropout, max_seq_len=12)
        module: Seq2SeqModule = Seq2SeqTransformer(*sizes, shape, **changes)
    else:
        rnn = RecurrentConfig("gru", 24, bidirectional=True)
        config = Seq2SeqRNNConfig(16, kind, 16, kind == "none", dropout, rnn=rnn)  # type: ignore[arg-type]
        module = Seq2SeqRNN(*sizes, config, **changes)
    module.tokenizer = tokenizer()
    return module


def batch_of(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    pair = tokenizer()
    sources = [[*pair.source.encode(source), EOS] for source, _ in pairs]
    targets = [pair.target.encode(target) for _, target in pairs]

    def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
        return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, filler)

    source_ids = padded(sources, PAD)
    return {
        "source_ids": source_ids, "source_mask": source_ids != PAD,
        "target_ids": padded([[BOS, *row] for row in targets], PAD),
        "labels": padded([[*row, EOS] for row in targets], IGNORED), "index": torch.arange(len(pairs)),
        "sources": [source for source, _ in pairs], "references": [target for _, target in pairs],
    }  # fmt: skip


class OneBatch(LightningDataModule):
    """The pairs as one batch, for every stage."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = tokenizer()

    def train_dataloader(self) -> DataLoader:
        return DataLoader([batch_of(PAIRS)], batch_size=None)

    val_dataloader = test_dataloader = train_dataloader

    def predict_dataloader(self) -> DataLoader:
        known = ("source_ids", "source_mask", "index", "sources")
        return DataLoader([{name: batch_of(PAIRS)[name] for name in known}], batch_size=None)


@pytest.mark.parametrize("kind", KINDS)
def test_step_sums_the_smoothed_loss_of_the_labels_that_count(kind: str) -> None:
    module, batch = make(kind, label_smoothing=0.2), batch_of(PAIRS)
    labels = batch["labels"].flatten()
    logits = module(batch["source_ids"], batch["source_mask"], batch["target_ids"]).flatten(0, 1)
    exact = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    smooth = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum", label_smoothing=0.2)
    step = module.train().step(batch)
    torch.testing.assert_close(step.loss_sum, smooth)
    torch.testing.assert_close(step.metric_inputs["nll_sum"], exact)
    assert step.num_targets == sum(len(target) + 1 for _, target in PAIRS)
    assert step.metric_inputs["num_right"] == (logits.argmax(-1) == labels)[labels >= 0].sum()
    torch.testing.assert_close(module.eval().step(batch).loss_sum, exact)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_of_a_batch_changes_no_loss(kind: str) -> None:
    module = make(kind).eval()
    together = module.step(batch_of(PAIRS))
    apart = [module.step(batch_of([pair])) for pair in PAIRS]
    torch.testing.assert_close(together.loss_sum, sum(step.loss_sum for step in apart), rtol=1e-6, atol=1e-6)
    assert together.num_targets == sum(step.num_targets for step in apart)


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_is_memorised(kind: str, tmp_path: Path) -> None:
    module = make(kind, label_smoothing=0.05, optim=OptimConfig(learning_rate=1e-2))
    trainer = quiet_trainer(tmp_path, max_epochs=150, check_val_every_n_epoch=50)
    data = OneBatch()
    trainer.fit(module, data)
    found = trainer.callback_metrics
    assert found["val/token_accuracy"] == found["val/exact_match"] == found["train/token_accuracy"] == 1
    assert found["val/perplexity"].item() == pytest.approx(math.exp(found["val/loss"].item()), rel=1e-5)
    assert found["train/perplexity"] < 1.1 < found["train/loss"].exp()  # the likelihood, not the smoothed loss
    assert found["val/chrf"] == pytest.approx(100)
    assert {"val/bleu", "val/bleu_lower"} <= found.keys()

    best = [one[0] for one in module.generate([source for source, _ in PAIRS])]
    assert [one.text for one in best] == [target for _, target in PAIRS]
    assert [one.ids[-1] for one in best] == [EOS] * 4
    batch = batch_of(PAIRS)
    log_probs = -module.eval().step(batch).metric_inputs["nll_sum"]
    assert sum(one.score * len(one.ids) for one in best) == pytest.approx(log_probs.item(), abs=1e-4)

    (results,) = trainer.test(module, data, verbose=False)
    assert results["test/exact_match"] == 1
    (rows,) = trainer.predict(module, data)  # type: ignore[misc]
    assert [row["translation"] for row in rows] == [target for _, target in PAIRS]
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["score"] == pytest.approx(best[0].score, abs=1e-5)
    assert "n_best" not in rows[0]

    path = tmp_path / "a.ckpt"
    trainer.save_checkpoint(path)
    again = seqlight.load(path)
    beams = Decoding(beams=3, n_best=2)
    one, other = (each.generate(["abc", "cd"], beams) for each in (module, again))
    assert one == other
    assert [row[0].text for row in one] == ["cba", "dc"]
    assert [len(row) for row in one] == [2, 2]
    assert one[0][0].score > one[0][1].score


def test_test_returns_the_rows_that_callbacks_read_and_decodes_as_told(tmp_path: Path) -> None:
    module, batch = make("transformer").eval(), batch_of(PAIRS)
    module.decoding = Decoding(beams=2, n_best=2, max_new_tokens=3)
    module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    rows = module.test_step(batch, 0)
    assert [(row["index"], row["source"], row["reference"]) for row in rows] == [
        (index, *pair) for index, pair in enumerate(PAIRS)
    ]
    expected = module.generate([source for source, _ in PAIRS])
    for row, hypotheses in zip(rows, expected, strict=True):
        assert row["n_best"] == [{"translation": one.text, "score": pytest.approx(one.score)} for one in hypotheses]
        assert row["translation"] == hypotheses[0].text
        assert all(len(one.ids) <= 3 for one in hypotheses)
    exact = sum(row["translation"] == row["reference"] for row in rows) / 4
    assert module.test_scores.compute()["test/exact_match"] == pytest.approx(exact)


def test_translations_get_the_scores_that_are_named(tmp_path: Path) -> None:
    module = make("dot", scores=["chrf"])
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    trainer.fit(module, OneBatch())
    names = {"loss", "perplexity", "token_accuracy", "chrf"}
    assert {name for name in trainer.callback_metrics if "val" in name} == {f"val/{name}" for name in names}
    (results,) = trainer.test(module, OneBatch(), verbose=False)
    assert set(results) == {f"test/{name}" for name in names}
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert seqlight.load(tmp_path / "a.ckpt").scores == ("chrf",)


def test_validation_translates_greedily_or_not_at_all() -> None:
    batch = batch_of(PAIRS)
    for wanted in (True, False):
        module = make("dot", validate_scores=wanted).eval()
        module.decoding = Decoding(beams=4, n_best=4)
        module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
        with mock.patch.object(module, "translate", wraps=module.translate) as translate:
            module.validation_step(batch, 0)
        decodings = [call.args[3] for call in translate.call_args_list]
        assert [(decoding.beams, decoding.greedy) for decoding in decodings] == [(1, True)] * wanted
        assert (module.val_scores["exact_match"].total == 4) == wanted
        assert module.val_metrics["token_accuracy"].total == 14
        assert module.test_scores["exact_match"].total == 0
    module = make("dot").eval()
    module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    del batch["references"]  # data whose texts are not known
    module.validation_step(batch, 0)
    assert module.val_scores["exact_match"].total == 0


class Pointing(nn.Module):
    """Says one unknown word after another, attending to the source from left to right."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = words

    def prefill(self, source_ids: Any, source_mask: Any, target_ids: Any) -> Any:
        return self.said(source_ids, 0), (source_ids, 1)

    def decode_step(self, ids: Any, state: Any) -> Any:
        return self.said(state[0], state[1]), (state[0], state[1] + 1)

    def said(self, source_ids: Any, step: int) -> Any:
        token = torch.full((len(source_ids),), UNK if step < self.words else EOS)
        return F.one_hot(token, tokenizer().vocab_size).float()

    def cross_attention(self, source_ids: Any, source_mask: Any, target_ids: Any) -> Any:
        return torch.eye(target_ids.shape[1], source_ids.shape[1])[None, None, None]


def test_unknown_words_are_copied_from_where_they_were_attended_to() -> None:
    module = make("dot")
    module.net = Pointing(2)
    assert module.generate(["zy", "ayd"])[0][0].text == "zy"
    assert module.generate(["zy", "ayd"])[1][0].text == "ay"
    module.copy_unknown = False
    assert module.generate(["zy"])[0][0].text == "\ufffd\ufffd"


def test_what_is_missing_or_wrong_is_said_in_one_line() -> None:
    for cls in (Seq2SeqTransformer, Seq2SeqRNN):
        with pytest.raises(ValueError, match=r"^source_vocab_size is not given"):
            cls()
        with pytest.raises(ValueError, match=r"^vocab_size is not given"):
            cls(9)
    with pytest.raises(ValueError, match=r"^label_smoothing must be at least 0 and below 1, not 1"):
        make("transformer", label_smoothing=1)
    with pytest.raises(ValueError, match=r"^scores must be one of .*chrf.*, not 'rouge'"):
        make("dot", scores=["chrf", "rouge"])
    with pytest.raises(ValueError, match=r"^scores is empty; give at least one of bleu,"):
        make("dot", scores=[])
    with pytest.raises(ValueError, match=r"^optim.optimizer muon .* use adamw"):
        make("dot", optim=OptimConfig(optimizer="muon"))
    module = make("transformer")
    with pytest.raises(ValueError, match=r"max_seq_len 12"):
        module.generate(["a" * 12])
    module.tokenizer = None
    with pytest.raises(ValueError, match=r"^tokenizer .* seqlight.load"):
        module.generate(["a"])


def test_two_vocabularies_are_not_trained_with_one_table() -> None:
    def module_with(shared: Any, pair: TokenizerPair) -> Seq2SeqModule:
        shape = Seq2SeqTransformerConfig(16, 1, 1, 2, share_embeddings=shared)
        module = Seq2SeqTransformer(pair.source_vocab_size, pair.vocab_size, shape)
        module._trainer = SimpleNamespace(datamodule=SimpleNamespace(tokenizer=pair))  # type: ignore[assignment]
        return module

    one, two = TokenizerPair(CharTokenizer("abcd")), TokenizerPair(CharTokenizer("abcd"), CharTokenizer("efgh"))
    module_with("all", one).setup("fit")
    module_with("decoder", two).setup("fit")
    module = module_with("all", two)
    with pytest.raises(ValueError, match=r"^net\.share_embeddings all needs one vocabulary .*; use decoder"):
        module.setup("fit")
    module.setup("test")


def test_defaults_of_the_optimiser() -> None:
    transformer, rnn = make("transformer").optim, make("dot").optim
    assert (transformer.learning_rate, transformer.beta2, transformer.warmup_steps) == (1e-3, 0.98, 1000)
    assert (transformer.schedule, transformer.fused) == ("inverse_sqrt", True)
    assert (rnn.learning_rate, rnn.schedule, rnn.fused) == (1e-3, "constant", True)


def test_an_empty_source_has_an_empty_translation() -> None:
    module = make("additive")
    decoding = Decoding(max_new_tokens=5)
    full, empty, blank = (found[0].text for found in module.generate(["abc", "", " "], decoding))
    assert full  # an untrained net writes something
    assert (empty, blank) == ("", "")


def test_without_a_limit_of_its_own_a_translation_is_bounded_by_its_source() -> None:
    module = make("additive")
    for given, ratio in ((None, 3), (1.5, 1.5)):
        with mock.patch("seq_modules.systems.seq2seq.translate", wraps=translate) as called:
            module.generate(["abc"], Decoding(max_source_ratio=given))
        assert called.call_args.args[2] == Decoding(max_source_ratio=ratio)
