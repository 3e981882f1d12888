"""Low-rank adaptation: a frozen linear layer plus a product of two thin matrices that are trained.

I inputs, O outputs, R rank.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlight.core.errors import UserError


class LoRALinear(nn.Module):
    """W x + b + (alpha / R) · B A x with W and b frozen (Hu et al. 2022); B starts at zero, and so does the change.

    Args:
        base: The layer to adapt; it is frozen and kept.
        rank: R, at least 1 and at most the smaller side of W.
        alpha: Scale of the change; at a fixed alpha the rank can be changed without another learning rate.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        if not 1 <= rank <= min(base.weight.shape):
            raise UserError(f"net.lora.rank must be from 1 to {min(base.weight.shape)}, not {rank}")
        self.base, self.scale = base.requires_grad_(False), alpha / rank
        self.down = nn.Parameter(torch.empty(rank, base.in_features))  # A
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))  # B
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # as a linear layer starts

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    def merged(self) -> nn.Linear:
        """One linear layer that computes the same."""
        linear = nn.Linear(self.base.in_features, self.base.out_features, bias=self.base.bias is not None)
        linear.load_state_dict(self.base.state_dict())
        with torch.no_grad():
            linear.weight += self.scale * self.up @ self.down
        return linear


def adapt(module: nn.Module, wanted: Callable[[str], bool], rank: int, alpha: float) -> int:
    """Puts a :class:`LoRALinear` in the place of each linear layer inside whose own name is wanted; counts them."""
    count = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and not isinstance(parent, LoRALinear) and wanted(name):
                setattr(parent, name, LoRALinear(child, rank, alpha))
                count += 1
    return count


def merge(module: nn.Module) -> None:
    """Puts the one layer that computes the same in the place of each :class:`LoRALinear` inside."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.merged())
