"""Weights in bfloat16 that are rounded stochastically, so that small updates are not lost.

A bfloat16 number has 8 significant bits. Rounded to nearest, an update of less than about a 500th of a weight leaves
the weight as it is, at every step anew. Rounded up or down at random, with the probabilities that make the mean exact,
many small updates add up to what they are in float32 (Gupta et al. 2015; for bfloat16 Zamirai et al. 2020).
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.optim import Optimizer

from seq_modules.training.optimizers.closure import closure_loss

BUNCH = 2**22  # weights that are in float32 at a time: 64 MB with their gradients and two moments


def round_stochastically(exact: Tensor, generator: torch.Generator) -> Tensor:
    """Rounds float32 to bfloat16, up or down at random, such that the expected result is the number itself.

    Args:
        exact: Of any shape. What bfloat16 can represent stays as it is; infinite numbers and NaN do too.
        generator: Of the random numbers, on the same device.

    Returns:
        bfloat16 of the same shape.
    """
    noise = torch.randint(0, 2**16, exact.shape, dtype=torch.int32, device=exact.device, generator=generator)
    # bfloat16 is the upper half of a float32's bits: a random number added to the lower half carries with the
    # probability that the lower half says.
    rounded = ((exact.view(torch.int32) + noise) & -(2**16)).view(torch.float32)
    return torch.where(exact.isfinite(), rounded, exact).to(torch.bfloat16)


class StochasticRounding(Optimizer):
    """Mixin in front of an optimiser: bfloat16 weights, and their moments, are updated in float32 and then rounded.

    Between steps all are in bfloat16, so that a training needs no more memory for it than 64 MB. Weights in float32
    are updated as usual.

    The random numbers depend on the number of steps, not on the run's seed or on what else was drawn. So a resumed
    training rounds as an unbroken one. With DDP, whose processes hold the same weights and gradients, all of them round
    alike, and the weights stay equal without being sent. With FSDP each process rounds its own part of the weights, and
    the random numbers also depend on which part that is. So another number of processes rounds differently.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups; gives what the closure, which Lightning passes, gives."""
        loss = closure_loss(closure)
        groups = self.param_groups
        groups[0]["roundings"] = groups[0].get("roundings", 0) + 1
        first = groups[0]["params"][0]
        number, parts = part_of(first)
        generator = torch.Generator(first.device).manual_seed(groups[0]["roundings"] * parts + number)
        try:
            for group in groups:
                for bunch in bunches([p for p in group["params"] if p.grad is not None]):
                    self._update(bunch, group, super().step, generator)
        finally:
            self.param_groups = groups
        return loss

    def _update(
        self, params: list[Parameter], group: dict[str, Any], step: Callable[[], Any], generator: torch.Generator
    ) -> None:
        """One step of some weights of a group: bfloat16 ones, with gradients and moments, as float32 copies."""
        halves = {p: p.detach().float().requires_grad_() for p in params if p.dtype == torch.bfloat16}
        for p, exact in halves.items():
            exact.grad = p.grad.float()  # type: ignore[union-attr]
            state = self.state.pop(p, {})
            self.state[exact] = state | {name: value.float() for name, value in moments(state)}
        self.param_groups = [{**group, "params": [halves.get(p, p) for p in params]}]
        step()
        for p, exact in halves.items():
            local(p.data).copy_(round_stochastically(local(exact.data), generator))
            state = self.state.pop(exact)
            for name, value in moments(state):
                half = value.to(torch.bfloat16)
                local(half).copy_(round_stochastically(local(value), generator))
                state[name] = half
            self.state[p] = state


def with_stochastic_rounding(optimizer: Optimizer) -> Optimizer:
    """Puts :class:`StochasticRounding` in front of an optimiser's class if any of its weights is in bfloat16.

    Returns:
        The same object.
    """
    if any(p.dtype == torch.bfloat16 for group in optimizer.param_groups for p in group["params"]):
        kind = type(optimizer)
        optimizer.__class__ = type(kind.__name__, (StochasticRounding, kind), {})
    return optimizer


def bunches(params: list[Parameter]) -> Iterator[list[Parameter]]:
    """Weights in their order, up to :data:`BUNCH` of them at a time; a larger matrix is alone."""
    bunch: list[Parameter] = []
    for p in params:
        if bunch and sum(held.numel() for held in bunch) + p.numel() > BUNCH:
            yield bunch
            bunch = []
        bunch.append(p)
    if bunch:
        yield bunch


def moments(state: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """What an optimiser holds for each entry of a weight; the count of steps, "step", is no such thing."""
    return [(name, value) for name, value in state.items() if name != "step" and isinstance(value, Tensor)]


def part_of(tensor: Tensor) -> tuple[int, int]:
    """Number, from 0 on, of this process's part of a tensor that FSDP divides, and how many parts there are."""
    if not isinstance(tensor, DTensor):
        return 0, 1
    mesh, last = tensor.device_mesh, tensor.device_mesh.ndim - 1  # FSDP divides along the mesh's last dimension
    return mesh.get_local_rank(last), mesh.size(last)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that FSDP divides; any other tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
