"""Fine-tuning: equal to transformers' own, the right weights at the right rates, checkpoints that stand alone."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy_questions import OPENINGS, QuestionData, a_batch, overfit
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, BertModel

import seqlight
from seq_modules import PretrainedClassifier
from seq_modules.callbacks import LastCheckpoint
from seq_modules.callbacks.training.ema import EMA
from seq_modules.nets.pretrained.encoder import PretrainedEncoder, PretrainedEncoderConfig
from seq_modules.nets.pretrained.vector_cache import VectorCache
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import group_from

DATA = QuestionData()
CONFIG = BertConfig(
    vocab_size=DATA.vocab_size, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=32, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = BertModel(CONFIG)
    for parameter in model.parameters():  # large enough for every part to be told
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def make(folder: Path, **changes: Any) -> PretrainedClassifier:
    """A classifier on the encoder in a folder: fields of its net and of its optimiser by name."""
    torch.manual_seed(0)
    fields = {field.name for field in dataclasses.fields(OptimConfig)}
    optim = {name: changes.pop(name) for name in fields & changes.keys()}
    others = {
        name: changes.pop(name)
        for name in ("layer_decay", "head_learning_rate", "loss", "class_texts")
        if name in changes
    }
    return PretrainedClassifier(
        DATA.vocab_size, 3, 6,
        net=group_from(PretrainedEncoderConfig, {"pretrained": str(folder), "dropout": 0.0, **changes}),
        optim=OptimConfig(**{"learning_rate": 1e-3, "weight_decay": 0.01, "schedule": "wsd", "fused": True, **optim}),
        **others,
    )  # fmt: skip


def trainer(place: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    few = {"max_epochs": 1, "limit_val_batches": 0, "limit_train_batches": 2}
    return quiet_trainer(place, LastCheckpoint(), *callbacks, **{**few, **settings})


def test_loss_and_gradients_are_those_of_transformers(folder: Path) -> None:
    module = make(folder, pooling="pooler").train()
    theirs = BertForSequenceClassification.from_pretrained(folder, config=CONFIG).train()
    theirs.classifier.load_state_dict(module.net.head.state_dict())
    batch = a_batch()
    expected = theirs(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"])
    step = module.step(batch)
    torch.testing.assert_close(step.loss_sum / step.num_targets, expected.loss)
    torch.testing.assert_close(module(batch["input_ids"], batch["attention_mask"]), expected.logits)
    (step.loss_sum / step.num_targets).backward()
    expected.loss.backward()
    ours = dict(module.named_parameters())
    for name, parameter in theirs.named_parameters():
        mine = ours[name.replace("bert.", "net.encoder.model.").replace("classifier.", "net.head.")]
        torch.testing.assert_close(mine.grad, parameter.grad, rtol=1e-4, atol=1e-6)


def test_layers_have_rates_that_fall_with_depth_and_vectors_do_not_decay(folder: Path) -> None:
    module = make(
        folder, pooling="pooler", learning_rate=8e-4, layer_decay=0.5, head_learning_rate=1e-2, weight_decay=0.1
    )
    rates = {id(p): group["lr"] for group in module.make_optimizer().param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in module.make_optimizer().param_groups for p in group["params"]}
    expected = {
        "net.encoder.model.embeddings": 2e-4, "net.encoder.model.encoder.layer.0": 4e-4,
        "net.encoder.model.encoder.layer.1": 8e-4, "net.encoder.model.pooler": 8e-4, "net.head": 1e-2,
    }  # fmt: skip
    for name, parameter in module.named_parameters():
        (rate,) = [rate for start, rate in expected.items() if name.startswith(f"{start}.")]
        assert rates[id(parameter)] == pytest.approx(rate), name
        assert decays[id(parameter)] == (0.1 if parameter.ndim == 2 else 0.0), name
    assert len(rates) == len(list(module.parameters()))


def test_the_schedule_keeps_the_rates_apart(folder: Path, tmp_path: Path) -> None:
    seen: list[list[float]] = []

    class Sees(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    module = make(folder, layer_decay=0.5, schedule="wsd", warmup_steps=1, head_learning_rate=1e-2)
    trainer(tmp_path, Sees(), limit_train_batches=3).fit(module, QuestionData())
    peak = [group["lr"] for group in module.make_optimizer().param_groups]
    assert seen[0] == pytest.approx(peak)  # after the warm-up's one step
    assert seen[1] == pytest.approx([rate / 2 for rate in peak])
    assert len(set(peak)) == 4


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({"tuning": "full"}, {"net.encoder.model", "net.head"}),
        ({"tuning": "frozen"}, {"net.head"}),
        ({"tuning": "frozen", "pooling": "attention"}, {"net.head", "net.encoder.pooling"}),
        ({"tuning": "prefix", "prefix": {"deep": True}}, {"net.head", "net.encoder.prefix"}),
        ({"tuning": "lora"}, {"net.head", "down", "up"}),
    ],
)
def test_only_what_is_tuned_changes(folder: Path, tmp_path: Path, options: dict[str, Any], trained: set[str]) -> None:
    module = make(folder, weight_decay=0.5, **options)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    seed_everything(0, verbose=False)
    trainer(tmp_path).fit(module, QuestionData())
    changed = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}

    def wanted(name: str) -> bool:
        return name.startswith(tuple(trained)) or name.endswith(tuple(f".{part}" for part in trained))

    assert changed == {name for name in before if wanted(name)}
    assert not any("encoder.layers" in name for name in before)  # no weight has two names


def test_gradual_unfreezing_adds_a_layer_an_epoch_and_is_resumed(folder: Path, tmp_path: Path) -> None:
    class Sees(Callback):
        def __init__(self) -> None:
            self.changed: list[set[str]] = []

        def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
            self.before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}

        def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
            parts = ("head", "embeddings", "layer.0", "layer.1")
            new = {name for name, p in pl_module.named_parameters() if not torch.equal(p, self.before[name])}
            self.changed.append({part for part in parts if any(part in name for name in new)})

    whole, sees = make(folder, tuning="gradual"), Sees()
    seed_everything(0, verbose=False)
    trainer(tmp_path / "whole", sees, max_epochs=4).fit(whole, QuestionData())
    assert sees.changed == [
        {"head"}, {"head", "layer.1"}, {"head", "layer.1", "layer.0"}, {"head", "layer.1", "layer.0", "embeddings"}
    ]  # fmt: skip
    options = {"tuning": "gradual", "schedule": "constant"}
    first, rest, straight = (make(folder, **options) for _ in range(3))
    whole_epochs = {"limit_train_batches": 1.0}  # a resumed run begins behind the batches that a limit leaves out
    trainer(tmp_path / "first", max_epochs=2, **whole_epochs).fit(first, QuestionData())
    last = tmp_path / "first/checkpoints/last.ckpt"
    resumed = trainer(tmp_path / "rest", max_epochs=4, **whole_epochs)
    resumed.fit(rest, QuestionData(), ckpt_path=last, weights_only=True)
    trainer(tmp_path / "straight", max_epochs=4, **whole_epochs).fit(straight, QuestionData())
    for (name, value), other in zip(straight.state_dict().items(), rest.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_gradual_unfreezing_goes_with_averaged_weights_and_is_resumed(folder: Path, tmp_path: Path) -> None:
    def fitted(place: str, epochs: int, resume: Path | None = None) -> dict[str, Any]:
        module = make(folder, tuning="gradual", schedule="constant")
        settings: dict[str, Any] = {"max_epochs": epochs, "limit_train_batches": 1.0, "limit_val_batches": 1.0}
        averaged = trainer(tmp_path / place, EMA(0.5), **settings)
        averaged.fit(module, QuestionData(), ckpt_path=resume, weights_only=True if resume else None)
        return torch.load(tmp_path / place / "checkpoints/last.ckpt", weights_only=True)

    fitted("part", 2)
    resumed, straight = fitted("rest", 4, tmp_path / "part/checkpoints/last.ckpt"), fitted("whole", 4)
    for entry in ("state_dict", "training_weights"):
        for name, value in straight[entry].items():
            assert torch.equal(value, resumed[entry][name]), (entry, name)
    name = "net.encoder.model.embeddings.word_embeddings.weight"  # trained in the last epoch alone
    assert not torch.equal(straight["state_dict"][name], straight["training_weights"][name])


def test_rates_given_anew_win_over_the_checkpoints_and_leave_the_others(folder: Path, tmp_path: Path) -> None:
    seen: dict[str, list[float]] = {}

    class Sees(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            names = {p: name for name, p in pl_module.named_parameters()}
            for group in trainer.optimizers[0].param_groups:
                for p in group["params"]:
                    seen.setdefault(names[p], []).append(group["initial_lr"])

    old = {"learning_rate": 8e-4, "layer_decay": 0.5, "head_learning_rate": 1e-2, "schedule": "wsd"}
    whole = {"max_epochs": 1, "limit_train_batches": 1.0}
    trainer(tmp_path, **whole).fit(make(folder, **old), QuestionData())
    file = tmp_path / "checkpoints/last.ckpt"

    def rates(**changes: Any) -> list[float]:
        """Of embeddings, first layer, second layer, head."""
        seen.clear()
        resumed = trainer(tmp_path / "rest", Sees(), **{**whole, "max_epochs": 2})
        resumed.fit(make(folder, **{**old, **changes}), QuestionData(), ckpt_path=file, weights_only=True)
        parts = ("embeddings.word", "encoder.layer.0", "encoder.layer.1", "head.weight")
        found = [{v[0] for name, v in seen.items() if part in name} for part in parts]
        assert all(len(rates) == 1 for rates in found)
        return [rate for rates in found for rate in rates]

    assert rates() == [2e-4, 4e-4, 8e-4, 1e-2]
    assert rates(head_learning_rate=3e-2) == pytest.approx([2e-4, 4e-4, 8e-4, 3e-2])
    assert rates(learning_rate=1.6e-3) == pytest.approx([4e-4, 8e-4, 1.6e-3, 1e-2])
    assert rates(layer_decay=0.1) == pytest.approx([8e-6, 8e-5, 8e-4, 1e-2])


@pytest.mark.parametrize("pooling", ["pooler", "first"])
def test_without_special_tokens_there_is_no_first_token_to_pool(folder: Path, tmp_path: Path, pooling: str) -> None:
    data = QuestionData()
    data.special_tokens = False  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=rf"^net.pooling {pooling} reads the first token as \[CLS\], which the data"):
        trainer(tmp_path).fit(make(folder, pooling=pooling), data)
    trainer(tmp_path).fit(make(folder, pooling="mean"), data)


def test_texts_longer_than_the_encoder_are_refused_before_training(folder: Path, tmp_path: Path) -> None:
    module, data = make(folder, tuning="prefix", prefix={"length": 3}), QuestionData()
    room = module.encoder.model.config.max_position_embeddings - 3
    data.longest = room  # type: ignore[attr-defined]
    trainer(tmp_path).fit(module, data)
    data.longest = room + 1  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=rf"^tokens.max_seq_len: {room + 1} tokens and 3 prompts are more than the"):
        trainer(tmp_path).fit(module, data)


@pytest.mark.parametrize("tuning", ["full", "prefix", "lora", "frozen"])
def test_a_checkpoint_needs_the_pretrained_folder_no_more(folder: Path, tmp_path: Path, tuning: str) -> None:
    module = make(folder, tuning=tuning, pooling="attention", prefix={"deep": True}, loss={"aux_weight": 0.5})
    trainer(tmp_path).fit(module, QuestionData())
    shutil.rmtree(folder)
    loaded = seqlight.load(tmp_path / "checkpoints/last.ckpt")
    batch = QuestionData().predict_set.__getitems__([0, 1, 2, 3, 4])  # type: ignore[union-attr]
    module.eval()
    rows = loaded.predict_step(batch, 0)
    assert rows == module.predict_step(batch, 0)
    assert {row["label"] for row in rows} <= set(OPENINGS)
    again = PretrainedClassifier(**{key: value for key, value in loaded.hparams.items() if not key.startswith("_")})
    trainer(tmp_path, max_epochs=2).fit(
        again, QuestionData(), ckpt_path=tmp_path / "checkpoints/last.ckpt", weights_only=True
    )


@pytest.mark.parametrize("tuning", ["full", "prefix", "lora"])
def test_overfits_one_batch(folder: Path, tuning: str) -> None:
    rate = {"full": 3e-3, "prefix": 1e-1, "lora": 2e-2}[tuning]
    module = make(folder, tuning=tuning, learning_rate=rate, head_learning_rate=3e-2, prefix={"deep": True}).train()
    overfit(module, steps=80)


def test_another_vocabulary_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^vocab_size 99 of the data's tokenizer is not the encoder's"):
        PretrainedClassifier(99, 3, net=PretrainedEncoderConfig(str(folder)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"head_learning_rate": -0.1}, "head_learning_rate"),
        ({"unfreeze_layers": 0}, "net.unfreeze_layers"),
        ({"dropout": 1.0}, "net.dropout"),
        ({"attention_dropout": 1.0}, "net.attention_dropout"),
        ({"pooling": "last"}, "net.pooling"),
        ({"optimizer": "muon"}, "optim.optimizer"),
    ],
)
def test_refuses(folder: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        make(folder, **changes)


def test_an_encoder_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"^net.pretrained is not given"):
        PretrainedClassifier(9, 3)


TEXTS = {"HUM": "who is it ?", "LOC": "where is the city ?", "NUM": "how many are mine ?"}


def test_class_texts_answer_by_the_cosine_without_training(folder: Path, tmp_path: Path) -> None:
    module = make(folder, tuning="frozen", head_learning_rate=0.0, class_texts=TEXTS)
    data = QuestionData()
    trainer(tmp_path, limit_train_batches=1).fit(module.train(), data)
    encoder = BertModel.from_pretrained(folder).eval()

    @torch.no_grad()
    def vectors(texts: list[str]) -> torch.Tensor:
        rows = data.encode(texts, "texts")
        states = [encoder(torch.from_numpy(row).long()[None]).last_hidden_state for row in rows]
        return torch.cat([each.mean(1) for each in states])

    texts = ["who wrote it ?", "where does it end ?", "how many were sold ?", "what is it ?"]
    described, read = vectors([TEXTS[name] for name in data.class_names]), vectors(texts)
    cosines = torch.nn.functional.cosine_similarity(read[:, None], described[None], dim=-1)
    rows = data.encode(texts, "texts")
    module.eval()
    logits = torch.cat([module(torch.from_numpy(row).long()[None]) for row in rows])
    lengths = read.norm(dim=1, keepdim=True) / described.norm(dim=1).mean()
    torch.testing.assert_close(logits, 20 * cosines * lengths, rtol=1e-4, atol=1e-4)


def test_a_trained_head_is_not_set_anew(folder: Path, tmp_path: Path) -> None:
    module = make(folder, class_texts=TEXTS)
    first = trainer(tmp_path)
    first.fit(module.train(), QuestionData())
    trained = module.net.head.weight.detach().clone()
    first.test(module, QuestionData(), verbose=False)
    loaded = PretrainedClassifier.load_from_checkpoint(next(tmp_path.rglob("last.ckpt")))
    trainer(tmp_path / "again").test(loaded, QuestionData(), verbose=False)
    for tested in (module, loaded):
        assert torch.equal(tested.net.head.weight, trained)


@pytest.mark.parametrize(
    ("texts", "changes", "said"),
    [
        ({"HUM": "who ?", "LOC": "where ?"}, {}, "class_texts: 'NUM' has no text; the classes are HUM, LOC, NUM"),
        ({**TEXTS, "ENTY": "what ?"}, {}, "class_texts: 'ENTY' is no class of the data"),
        (TEXTS, {"pooling": "attention"}, "class_texts: net.pooling attention says nothing before it is trained"),
    ],
)
def test_class_texts_that_cannot_be_are_refused(
    folder: Path, tmp_path: Path, texts: dict[str, str], changes: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        trainer(tmp_path).fit(make(folder, class_texts=texts, **changes).train(), QuestionData())


def test_a_frozen_encoder_reads_each_text_once_and_learns_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = PretrainedEncoder.pooled

    def counted(self: PretrainedEncoder, input_ids: Tensor, mask: Tensor) -> Tensor:
        read.append(len(input_ids))
        return plain(self, input_ids, mask)

    def trained() -> tuple[dict[str, Tensor], int]:
        read.clear()
        seed_everything(1)
        module = make(folder, tuning="frozen", pooled_layers=2, standardize=True, head_learning_rate=1e-2)
        all_rows: dict[str, Any] = {"max_epochs": 3, "limit_train_batches": 1.0, "limit_val_batches": 1.0}
        data = QuestionData()
        data.cache = tmp_path / "cache"
        trainer(tmp_path, **all_rows).fit(module, data)
        return module.state_dict(), sum(read)

    monkeypatch.setattr(PretrainedEncoder, "pooled", counted)
    first, rows = trained()
    again, none = trained()  # a second training finds the vectors there
    monkeypatch.setattr(PretrainedEncoder, "use_cache", lambda *arguments: None)
    without, each_epoch = trained()
    assert none == 0
    assert 0 < rows <= each_epoch / 3
    for name, values in without.items():
        torch.testing.assert_close(first[name], values, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(again[name], values, rtol=1e-4, atol=1e-5)


def test_vectors_of_a_training_that_is_broken_off_are_kept(folder: Path, tmp_path: Path) -> None:
    class Breaks(Callback):
        def on_train_batch_end(self, *arguments: Any) -> None:
            raise KeyboardInterrupt

    data = QuestionData()
    data.cache = tmp_path / "cache"
    with pytest.raises(SystemExit):
        trainer(tmp_path, Breaks()).fit(make(folder, tuning="frozen"), data)
    (kept,) = (tmp_path / "cache/vectors").glob("*.safetensors")
    assert len(VectorCache(kept).vectors) > 0


@pytest.mark.parametrize("options", [{"tuning": "full"}, {"tuning": "frozen", "pooling": "attention"}])
def test_what_is_trained_is_read_anew(folder: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    module = make(folder, **options)
    trainer(tmp_path).fit(module, QuestionData())
    assert module.encoder.cache is None


def test_a_head_with_the_rate_0_resumes(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "first"
    first = make(folder, tuning="frozen", head_learning_rate=0.0)
    trainer(place, limit_train_batches=1.0).fit(first, QuestionData())
    for rate in (0.0, 1e-2):
        module = make(folder, tuning="frozen", head_learning_rate=rate)
        resumed = trainer(tmp_path / str(rate), max_epochs=2, limit_train_batches=1.0)
        resumed.fit(module, QuestionData(), ckpt_path=place / "checkpoints/last.ckpt", weights_only=True)
        assert torch.equal(module.net.head.weight, first.net.head.weight) == (rate == 0)
