"""Formal languages: an answer after each symbol, or after the last (Delétang et al. 2023)."""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from seq_modules.base import SequenceModule, Step
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.rnn.cells import State
from seq_modules.nets.symbol_net import SymbolNet, SymbolNetConfig
from seq_modules.training.metrics.steps import StepAccuracy, judged
from seq_modules.training.optim import OptimConfig, refuse_muon
from seqlight.core.hyperparameters import check_range, group_from, required


class FormalLanguageModule(SequenceModule):
    """Classifies what it has read of a string after each symbol, with cross-entropy.

    Args:
        vocab_size: Number of symbols; comes from the data.
        num_classes: Number of classes; comes from the data.
        net: A recurrent net of any cell, or a Transformer.
        input_noise: Standard deviation of Gaussian noise on the symbols' unit vectors while training, as in
            ParityModule.
        supervision: Which steps the loss counts: every one with a label ("full"), or a row's last such step.
        optim: Optimiser and schedule; no Muon.

    Raises:
        UserError: A value is out of its range, or a size is missing.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        net: SymbolNetConfig = SymbolNetConfig(),
        input_noise: float = 0.0,
        supervision: Literal["full", "last"] = "last",
        optim: OptimConfig = OptimConfig(learning_rate=5e-3),
    ) -> None:
        super().__init__({"accuracy_last": StepAccuracy("last"), "accuracy_all": StepAccuracy("all")}, optim)
        self.save_hyperparameters()
        refuse_muon(self.optim)
        check_range("input_noise", input_noise, least=0)
        self.input_noise, self.supervision = input_noise, supervision
        sizes = required("vocab_size", vocab_size), required("num_classes", num_classes)
        self.net = SymbolNet(*sizes, group_from(SymbolNetConfig, net))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State | None]:
        """Logits (B, T, C) after each symbol, and the state after the last; arguments as for `SymbolNet.forward`."""
        return self.net(input_ids, attention_mask, state, self.input_noise if self.training else 0.0)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Loss summed over the supervised steps, and logits and labels for the accuracies."""
        logits, labels = at_least_float32(self(batch["input_ids"], batch["attention_mask"])[0]), batch["labels"]
        counted = judged(labels, "all" if self.supervision == "full" else "last")
        loss = F.cross_entropy(logits[counted], labels[counted], reduction="sum")
        return Step(loss, counted.sum(), {"logits": logits, "labels": labels})

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[dict[str, Any]]:
        """One row a string: the numbers of its symbols, the answer at its end, and that after each asked symbol."""
        logits, _ = self(batch["input_ids"], batch["attention_mask"])
        rows = []
        for index, symbols, mask, labels, scores in zip(
            batch["index"].tolist(), batch["input_ids"], batch["attention_mask"], batch["labels"], logits, strict=True
        ):
            answers = scores.argmax(-1)[labels >= 0].tolist()
            rows.append({"index": index, "symbols": symbols[mask].tolist(), "answer": answers[-1], "answers": answers})
        return rows
