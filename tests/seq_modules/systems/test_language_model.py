"""Language models: loss and scores against plain sums, generation, the tokenizer in the checkpoint."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

import seqlight
from datamodules.tokenizers.byte import ByteTokenizer
from seq_modules import GPTLanguageModel, LanguageModel, RNNLanguageModel
from seq_modules.callbacks import ActiveMember, ResumeTraining
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.texts import continuations, cut
from seq_modules.nets.hashing.word_hashes import WordHashes
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.gpt_extras import NgramConfig
from seq_modules.training.optim import OptimConfig

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 40


def make(kind: str, dropout: float = 0.0, **changes: Any) -> LanguageModel:
    torch.manual_seed(0)
    if kind == "rnn":
        recurrent = RNNConfig(d_model=16, dropout=dropout, rnn=RecurrentConfig(hidden_size=48))
        module: LanguageModel = RNNLanguageModel(256, recurrent, **changes)
    else:
        net = GPTConfig(16, num_layers=2, num_heads=2, max_seq_len=8, dropout=dropout, ngrams=NgramConfig([2], 64))
        module = GPTLanguageModel(256, net, **{"ensemble_size": 2 if kind == "ensemble" else 1, **changes})
    module.tokenizer = ByteTokenizer()
    return module


@pytest.mark.parametrize("kind", ["gpt", "ensemble", "rnn"])
def test_step_sums_the_loss_of_the_labels_that_count(kind: str) -> None:
    module = make(kind).eval()
    ids = torch.randint(256, (2, 6))
    labels = torch.randint(256, (2, 6))
    labels[0, :4] = -100
    step = module.step({"input_ids": ids, "labels": labels, "characters": torch.tensor([2, 5])})
    log_p = module(ids).log_softmax(-1)
    total = -sum(log_p[b, t, labels[b, t]] for b in range(2) for t in range(6) if labels[b, t] >= 0)
    torch.testing.assert_close(step.loss_sum, total)
    assert step.num_targets == 8
    assert step.metric_inputs["characters"] == 7


@pytest.mark.parametrize("kind", ["gpt", "ensemble", "rnn"])
@pytest.mark.parametrize("batch_tokens", [1, 100])
def test_score_is_the_sum_of_log_probabilities_first_token_included(kind: str, batch_tokens: int) -> None:
    module = make(kind, dropout=0.5).train()
    texts = ["a", "tea", "ß long one, far beyond the context", "the cat"]
    scores = module.score(texts, batch_tokens)
    assert module.training
    module.eval()
    for text, (value, count) in zip(texts, scores, strict=True):
        ids = list(b"\n" + text.encode())
        expected = 0.0
        for at in range(1, len(ids)):  # one token at a time, with what generation would see of the past
            window = module.net.window(ids[:at])
            expected += module(torch.tensor([window]))[0, -1].log_softmax(-1)[ids[at]].item()
        assert value == pytest.approx(expected, abs=1e-4)
        assert count == len(text.encode())


@pytest.mark.parametrize("kind", ["gpt", "ensemble", "rnn"])
def test_generate_is_seeded_and_stops_before_the_stop_string(kind: str) -> None:
    module = make(kind)
    free = Decoding(max_new_tokens=30, seed=3)
    first = module.generate(["ab", "c"], free)
    assert first == module.generate(["ab", "c"], free)
    assert first != module.generate(["ab", "c"], Decoding(max_new_tokens=30, seed=4))
    alone = module.generate(["ab"], free)
    assert alone == first[:1]
    stop = next(ch for ch in first[0][5:] if ch.isprintable())
    stopped = module.generate(["ab", "c"], free, stop=[stop])
    assert stopped[0] == first[0].partition(stop)[0]


def test_text_is_reported_as_it_grows() -> None:
    module = make("rnn")
    told: list[tuple[int, str]] = []
    module.on_text = lambda row, text: told.append((row, text))
    (text,) = continuations(
        module.net, module.tokenizer, ["a"], [[97]], Decoding(max_new_tokens=5), [7], None, module.on_text
    )
    assert told[-1] == (7, text)
    assert len(told) == 5


def test_cut() -> None:
    assert cut("abcabc", ["ca", "b"]) == "a"
    assert cut("abc", None) == "abc"


def test_a_model_without_tokenizer_is_refused() -> None:
    module = make("rnn")
    module.tokenizer = None
    with pytest.raises(ValueError, match=r"^tokenizer .* seqlight.load"):
        module.generate(["a"])
    with pytest.raises(ValueError, match=r"^vocab_size"):
        GPTLanguageModel()


class OneBatch(LightningDataModule):
    """A batch of text with its tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def train_dataloader(self) -> DataLoader:
        ids = torch.tensor([self.tokenizer.encode(TEXT[i * 9 : i * 9 + 9]) for i in range(4)])
        batch = {"input_ids": ids[:, :-1], "labels": ids[:, 1:], "characters": torch.full((4,), 8)}
        return DataLoader([batch], batch_size=None)

    val_dataloader = train_dataloader


@pytest.mark.parametrize("kind", ["gpt", "ensemble", "rnn"])
def test_one_batch_is_memorised(kind: str, tmp_path: Path) -> None:
    module = make(kind, optim=OptimConfig(learning_rate=1e-2, beta2=0.99, weight_decay=0.1 * (kind != "rnn")))
    data = OneBatch(ByteTokenizer())
    epochs = 500 if kind == "ensemble" else 250
    trainer = quiet_trainer(tmp_path, max_epochs=epochs, check_val_every_n_epoch=epochs, num_sanity_val_steps=0)
    trainer.fit(module, data)
    assert trainer.callback_metrics["train/loss"] < 0.05
    loss = trainer.callback_metrics["train/loss"].item()
    assert trainer.callback_metrics["train/perplexity"].item() == pytest.approx(math.exp(loss), rel=1e-4)
    assert trainer.callback_metrics["train/bits_per_character"].item() == pytest.approx(loss / math.log(2), rel=1e-4)
    assert trainer.callback_metrics["val/token_accuracy"] == 31 / 32  # two rows begin with a space
    (text,) = module.generate([TEXT[:3]], Decoding(max_new_tokens=5, temperature=0))
    assert text == TEXT[3:8]
    path = tmp_path / "a.ckpt"
    trainer.save_checkpoint(path)
    again = seqlight.load(path)
    assert again.generate([TEXT[:3]], Decoding(max_new_tokens=5, temperature=0)) == [text]
    assert again.score(["the"]) == module.score(["the"])


def test_members_differ_in_weights_and_in_the_hash_of_their_ngrams() -> None:
    first, second = make("ensemble").net.members
    assert first.extras.ngrams.hash_seed != second.extras.ngrams.hash_seed
    assert not torch.equal(first.token_embedding.weight, second.token_embedding.weight)
    with pytest.raises(ValueError, match=r"^ensemble_size must be at least 1"):
        make("gpt", ensemble_size=0)


def test_words_are_those_of_the_tokenizer_and_of_the_checkpoint(tmp_path: Path) -> None:
    net = GPTConfig(16, 1, 2, 8, ngrams=NgramConfig([2], 64, words=[0, 1]))
    module = GPTLanguageModel(256, net, 2)
    trainer = quiet_trainer(tmp_path, max_steps=1)
    trainer.fit(module, OneBatch(ByteTokenizer()))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = seqlight.load(tmp_path / "model.ckpt")
    contexts = [part for part in again.modules() if isinstance(part, WordHashes)]
    assert len(contexts) == 2
    for part in contexts:
        lower, upper, digit, comma = part.symbols[list(b"aA1,")].tolist()
        assert lower == upper > 0 == comma
        assert digit not in (0, lower)
    with pytest.raises(ValueError, match=r"^net.ngrams.words must be different"):
        NgramConfig([2], words=[0, 0])
    with pytest.raises(ValueError, match=r"^net.ngrams.words \[0\] stand beside net.ngrams.orders"):
        NgramConfig(words=[0])
    with pytest.raises(ValueError, match=r"^net.ngrams.words \[0, 1\] are for text"):
        GPT(5, net, embedding=torch.nn.Embedding(5, 16))


def test_an_ensemble_brings_the_callback_that_chooses_its_member() -> None:
    assert [type(callback) for callback in make("ensemble").configure_callbacks()] == [ResumeTraining, ActiveMember]
    assert [type(callback) for callback in make("gpt").configure_callbacks()] == [ResumeTraining]


def test_recurrent_nets_are_trained_with_the_same_settings_and_without_muon() -> None:
    torch.manual_seed(0)
    optim = OptimConfig(0.01, beta1=0.8, beta2=0.9, schedule="wsd", decay_fraction=0.5, min_lr_ratio=0.25)
    module = RNNLanguageModel(256, RNNConfig(4, rnn=RecurrentConfig(hidden_size=4)), optim)
    module._trainer = SimpleNamespace(estimated_stepping_batches=8, callbacks=[])  # type: ignore[assignment]
    found: Any = module.configure_optimizers()
    rates = []
    for _ in range(9):
        rates.append(found["optimizer"].param_groups[0]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    full = [0.01] * 5  # the rate falls over the last half, to a quarter
    assert rates == pytest.approx([*full, *(0.01 * (0.25 + 0.75 * left) for left in (0.75, 0.5, 0.25, 0))])
    assert {group["betas"] for group in found["optimizer"].param_groups} == {(0.8, 0.9)}
    assert isinstance(found["optimizer"], torch.optim.AdamW)
    with pytest.raises(ValueError, match=r"^optim.optimizer muon .* use adamw"):
        RNNLanguageModel(256, optim=OptimConfig(optimizer="muon"))


def test_defaults_of_the_optimiser() -> None:
    gpt, rnn = make("gpt").optim, make("rnn").optim
    assert (gpt.learning_rate, gpt.weight_decay, gpt.beta2, gpt.warmup_steps) == (1e-3, 0.1, 0.99, 100)
    assert (gpt.schedule, gpt.min_lr_ratio, gpt.fused) == ("cosine", 0.1, True)
    assert (rnn.learning_rate, rnn.weight_decay, rnn.beta2, rnn.schedule) == (3e-3, 0.0, 0.999, "constant")
