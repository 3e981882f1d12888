"""Stochastic gradient descent, written out."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from seq_modules.reference.numpy_mlp import sgd_update
from seq_modules.training.optimizers.closure import closure_loss


class WrittenOutSGD(Optimizer):
    """Gradient descent with momentum and weight decay, by the three lines of `reference/numpy_mlp.py`.

    It is equal to torch.optim.SGD. As it is an Optimizer, Lightning counts its steps, clips its gradients, sets its
    learning rate and resumes it as any other.

    Args:
        params: Weights, or groups of weights with settings of their own.
        lr: Learning rate.
        momentum: Fraction of the velocity that is kept in a step.
        weight_decay: Multiple of the weight that is added to its gradient.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Moves every weight that has a gradient.

        Args:
            closure: Computes the gradients and returns the loss; Lightning gives one.
        """
        loss = closure_loss(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(weight)
                rates = group["lr"], group["momentum"], group["weight_decay"]
                sgd_update(weight, weight.grad, state["velocity"], *rates)
        return loss
