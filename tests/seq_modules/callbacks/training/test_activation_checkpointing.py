"""Checkpointed blocks: the same training to the bit, with dropout, and far fewer bytes kept for the backward pass."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.systems import DATA, STEPS, VOCAB, gpt, system
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor

from seq_modules import GPTLanguageModel, SequenceModule, TextClassifier
from seq_modules.callbacks import ActivationCheckpointing, Compile
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import UserError

RATE = OptimConfig(learning_rate=1e-2)


def with_dropout(name: str) -> SequenceModule:
    seed_everything(0, verbose=False)
    if name == "gpt":
        return GPTLanguageModel(VOCAB, gpt(dropout=0.3), optim=RATE)
    if name == "gpt with extras":
        extras = ExtrasConfig(qk_norm=True, value_embeddings=True, residual_mix=True)
        return GPTLanguageModel(VOCAB, gpt(dropout=0.3, extras=extras, positions="rotary"), optim=RATE)
    if name == "classifier":
        transformer = TransformerEncoderConfig(2, 2, dropout=0.3)
        net = TextEncoderConfig("transformer", d_model=16, dropout=0.3, transformer=transformer)
        return TextClassifier(DATA["classifier"](4).vocab_size, 3, net=net, optim=RATE)  # type: ignore[attr-defined]
    return system(name)


def trained(name: str, folder: Path, *callbacks: Callback) -> SequenceModule:
    module = with_dropout(name)
    settings: dict[str, Any] = {"max_epochs": 2, "limit_val_batches": 0}
    data = DATA[name if name in DATA else "gpt"](4)
    quiet_trainer(folder, *callbacks, **settings).fit(module, data)
    return module


@pytest.mark.parametrize("name", ["gpt", "gpt with extras", "classifier", "music transformer", "frame transformer"])
def test_training_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    seen = Entered()
    plain, saving = trained(name, tmp_path), trained(name, tmp_path, ActivationCheckpointing(), seen)
    assert seen.twice  # each block ran once forward and once more for its gradients
    assert plain.state_dict().keys() == saving.state_dict().keys()
    for key, value in plain.state_dict().items():
        assert torch.equal(value, saving.state_dict()[key]), key


class Entered(Callback):
    """Counts how often the first block's attention runs in the first step."""

    twice = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.count = 0
            attention = next(part for name, part in pl_module.named_modules() if name.endswith("0.attention"))
            self.handle = attention.register_forward_hook(self.enter)

    def enter(self, *_: Any) -> None:
        self.count += 1

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.handle.remove()
            self.twice = self.count == 2


class KeptBytes(Callback):
    """Bytes that the first step keeps for its backward pass, each storage counted once, weights not."""

    total = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx:
            return
        weights = {p.untyped_storage().data_ptr() for p in pl_module.parameters()}
        kept: dict[int, int] = {}
        alive = []  # or a later tensor could take the place of an earlier one

        def keep(tensor: Tensor) -> Tensor:
            alive.append(tensor)
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            pl_module.step(batch)
        self.total = sum(kept.values())


def test_memory_is_saved(tmp_path: Path) -> None:
    def kept(*callbacks: Callback) -> int:
        counted = KeptBytes()
        module = GPTLanguageModel(VOCAB, GPTConfig(d_model=64, num_layers=6, num_heads=2, max_seq_len=STEPS))
        settings: dict[str, Any] = {"max_steps": 1, "limit_val_batches": 0}
        quiet_trainer(tmp_path, *callbacks, counted, **settings).fit(module, DATA["gpt"](16))
        return counted.total

    plain, saving = kept(), kept(ActivationCheckpointing())
    one_block = 16 * STEPS * 64 * 4  # its input, in bytes
    assert 6 * one_block <= saving < plain / 5


def test_blocks_are_as_before_after_the_fit(tmp_path: Path) -> None:
    module = trained("gpt", tmp_path, ActivationCheckpointing())
    assert all("forward" not in vars(block) for block in module.net.blocks)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("order", [0, 1])
def test_with_compilation(tmp_path: Path, order: int) -> None:
    both = [ActivationCheckpointing(), Compile(backend="aot_eager")]
    plain, saving = trained("gpt", tmp_path), trained("gpt", tmp_path, *(both if order else both[::-1]))
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(saving.state_dict()[key], value, rtol=0, atol=1e-5)


def test_a_net_without_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a net of Transformer blocks, which ParityModule has not"):
        trained("parity", tmp_path, ActivationCheckpointing())
