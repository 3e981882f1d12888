"""Loss a character."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class BitsPerCharacter(Metric):
    """Loss in bits for each character of text: comparable between tokenizers, as the loss a token is not."""

    higher_is_better = False
    full_state_update = False
    loss_sum: Tensor
    characters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("characters", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss_sum: Tensor, characters: Tensor) -> None:
        """Takes a batch's sum of losses in nats and the number of characters it is about, both scalars."""
        self.loss_sum += loss_sum
        self.characters += characters

    def compute(self) -> Tensor:
        """Bits per character."""
        return self.loss_sum / self.characters / math.log(2)
