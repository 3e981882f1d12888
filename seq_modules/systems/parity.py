"""Bit parity with recurrent nets: the smallest system, and the model for the others."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.base import SequenceModule, Step
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.training.metrics.steps import StepAccuracy, judged
from seq_modules.training.optim import OptimConfig
from seqlight.core.hyperparameters import check_range, group_from


class ParityModule(SequenceModule):
    """Tells at each step whether the number of ones so far is odd.

    A recurrent net reads one bit a step, as -1 or 1; a linear head gives the logit of "odd".

    Args:
        net: The recurrent net.
        input_noise: Standard deviation of Gaussian noise on the bits (-1 and 1) while training. A state that is to
            survive it must correct itself, which is what lasts a million steps (docs/notes/parity.md).
        supervision: Which steps the loss counts: every one ("full") or the last alone.
        loss: Binary cross-entropy, or the mean squared error of the probability.
        optim: Optimiser and schedule.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        net: RecurrentConfig = RecurrentConfig(hidden_size=32),
        input_noise: float = 0.0,
        supervision: Literal["full", "last"] = "last",
        loss: Literal["bce", "mse"] = "bce",
        optim: OptimConfig = OptimConfig(learning_rate=1e-2),
    ) -> None:
        super().__init__({"accuracy_last": StepAccuracy("last"), "accuracy_all": StepAccuracy("all")}, optim)
        self.save_hyperparameters()
        check_range("input_noise", input_noise, least=0)
        self.input_noise, self.supervision, self.loss = input_noise, supervision, loss
        self.net = build_recurrent(1, group_from(RecurrentConfig, net))
        self.head = nn.Linear(self.net.output_size, 1)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Logits of "odd" at every step.

        Args:
            input_ids: Bits, (B, T) integers.
            attention_mask: True at the bits of a row, False at its padding, (B, T); by default all true.
            state: State to go on from, as this method returned it for the bits before.

        Returns:
            Logits (B, T), and the state after the last bit.
        """
        hidden, state = self.hidden(input_ids, attention_mask, state)
        return self.head(hidden).squeeze(-1), state

    def hidden(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """The last layer's states (B, T, H), of which :meth:`forward` makes its logits; arguments as there."""
        lengths = None if attention_mask is None else attention_mask.sum(1)
        signs = 2 * input_ids.unsqueeze(-1).to(self.head.weight.dtype) - 1
        if self.training and self.input_noise:  # drawn for padding too, which the net never reads
            signs = signs + self.input_noise * torch.randn_like(signs)
        return self.net(signs, lengths, state)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Loss summed over the supervised steps, and logits and labels for the accuracies."""
        logits, _ = self(batch["input_ids"], batch["attention_mask"])
        logits, labels = at_least_float32(logits), batch["labels"]
        counted = judged(labels, "all" if self.supervision == "full" else "last")
        loss = self.loss_sum(logits[counted], labels[counted].to(logits.dtype))
        return Step(loss, counted.sum(), {"logits": logits, "labels": labels})

    def loss_sum(self, logits: Tensor, target: Tensor) -> Tensor:
        """Sum of the chosen loss over logits and targets of one shape."""
        if self.loss == "bce":
            return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        return F.mse_loss(logits.sigmoid(), target, reduction="sum")

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[dict[str, Any]]:
        """One row a string: its bits, the parity of the whole, the probability of "odd", the answer at each step."""
        logits, _ = self(batch["input_ids"], batch["attention_mask"])
        lengths = batch["attention_mask"].sum(1).tolist()
        rows = []
        for index, bits, row, length in zip(batch["index"].tolist(), batch["input_ids"], logits, lengths, strict=True):
            answers = (row[:length] > 0).int().tolist()
            rows.append(
                {
                    "index": index,
                    "bits": "".join(map(str, bits[:length].tolist())),
                    "parity": answers[-1],
                    "probability_odd": round(row[length - 1].sigmoid().item(), 6),
                    "running_parity": "".join(map(str, answers)),
                }
            )
        return rows
