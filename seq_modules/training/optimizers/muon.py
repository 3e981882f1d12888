"""Muon for hidden matrices, AdamW for the rest, in one optimiser: Lightning's automatic optimisation takes only one.

torch.optim.Muon would need a second optimiser for the rest, and would treat a fused projection of queries, keys and
values, which holds three matrices, as one; the tests compare with it where both apply.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from seq_modules.training.optimizers.closure import closure_loss
from seqlight.core.errors import UserError
from seqlight.core.hardware import multiplies_bf16
from seqlight.core.hyperparameters import check_range

# Factors (a, b, c) of X <- aX + b(XX')X + c(XX')²X, which drives the singular values of X to 1, for each iteration; the
# last ones repeat. Jordan's (https://kellerjordan.github.io/posts/muon, 2024) ends between 0.7 and 1.2; Polar Express
# (Amsel et al. 2025, algorithm 1) is the composition with the least worst-case error for values from 0.001 to 1.
JORDAN = [(3.4445, -4.7750, 2.0315)]
POLAR_EXPRESS = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
]
MARGIN = 1.01  # Polar Express diverges above 1: the room that rounding may take (section 3.4 there)
Polynomial = Literal["jordan", "polar_express"]
Scale = Literal["rows", "rms"]
Precision = Literal["auto", "bf16", "fp32"]


def hidden_matrices(net: nn.Module) -> dict[Parameter, int]:
    """The trained matrices of ``net.blocks``, each with the number of matrices that it holds on top of each other.

    Embeddings, norms and biases are left out. A module whose weights are several matrices in one says so in a class
    attribute, such as ``stacked = {"qkv.weight": 3}``: names of its parameters, and how many matrices each of them is.

    Raises:
        ValueError: The net has no blocks.
    """
    blocks = getattr(net, "blocks", None)
    if blocks is None:
        raise UserError(f"optimizer: muon needs a net with blocks, which {type(net).__name__} has not; use adamw")
    hidden: dict[Parameter, int] = {}
    for module in blocks.modules():
        if not isinstance(module, nn.Embedding):
            hidden |= {p: 1 for p in module.parameters(recurse=False) if p.ndim == 2 and p.requires_grad}
    for module in blocks.modules():
        for name, count in getattr(module, "stacked", {}).items():
            parameter = module.get_parameter(name)
            if parameter.shape[0] % count:
                raise UserError(f"stacked: {name} has {parameter.shape[0]} rows, which are not {count} matrices")
            if parameter in hidden:
                hidden[parameter] = count
    return hidden


def orthogonalise(
    matrices: Tensor, polynomial: Polynomial = "jordan", steps: int = 5, dtype: torch.dtype = torch.bfloat16
) -> Tensor:
    """Brings the singular values of a batch of matrices near 1 by Newton-Schulz iterations.

    Args:
        matrices: (N, rows, columns).
        polynomial: Which iteration.
        steps: How many.
        dtype: Of the products.

    Returns:
        (N, rows, columns) of ``dtype``: U V' of each matrix's U S V', nearly.
    """
    factors = JORDAN if polynomial == "jordan" else POLAR_EXPRESS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.to(dtype)
    x = x.mT if tall else x  # rows <= columns: the products XX' are the small ones
    norm = torch.linalg.matrix_norm(x, keepdim=True)  # Frobenius, at least the largest singular value
    x = x / (norm.clamp(min=1e-7) if polynomial == "jordan" else norm * MARGIN + 1e-7)
    for step in range(steps):
        a, b, c = factors[min(step, len(factors) - 1)]
        if step < len(factors) - 1 and polynomial == "polar_express":
            a, b, c = a / MARGIN, b / MARGIN**3, c / MARGIN**5
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class MuonAdamW(Optimizer):
    """Muon (Jordan et al. 2024) for the parameter groups of rule "muon", AdamW for those of rule "adamw".

    Muon steps along the orthogonalised momentum: all directions of a matrix's update get the same length. Matrices of
    equal shape go through the iterations together. Its momentum and AdamW's moments are named as in torch.optim.Muon
    and torch.optim.AdamW. torch.optim.Muon itself takes neither AdamW's groups nor stacked matrices, and has one triple
    of coefficients for all iterations.

    Args:
        params: Parameter groups, each with its ``rule`` and any of the settings below. ``stacked`` (1 by default) says
            how many matrices each of a Muon group's parameters holds on top of each other, as a fused (3D, D) of
            queries, keys and values does; they are orthogonalised apart.
        lr: Learning rate of groups that have none of their own; above 0, as in all groups, or 0.
        weight_decay: Decoupled decay: a step shrinks the weights by ``lr * weight_decay``.
        momentum: Muon's decay of the mean gradient, at least 0 and below 1.
        nesterov: Look ahead: step along the mean of the gradient and the momentum.
        polynomial: Muon's iteration: Jordan's as in torch.optim.Muon, or Polar Express.
        steps: Iterations of it, at least 1.
        scale: Muon's update times sqrt(max(1, rows / columns)) ("rows"; Jordan), or times 0.2 sqrt(max(rows, columns)),
            which gives it the size of AdamW's ("rms"; Liu et al. 2025), so that AdamW's learning rate suits.
        precision: Of Muon's products; "auto" takes bf16 where the device has instructions for it.
        betas: AdamW's decay of the mean gradient and of the mean squared one.
        eps: AdamW's, added to the root of the mean squared gradient.

    Raises:
        ValueError: A group without a rule, a setting out of range, or a parameter of Muon's that is no matrix.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        polynomial: Polynomial = "jordan",
        steps: int = 5,
        scale: Scale = "rows",
        precision: Precision = "auto",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        muon = {"momentum": momentum, "nesterov": nesterov, "polynomial": polynomial, "steps": steps}
        own: dict[str, dict[str, Any]] = {
            "muon": {**muon, "scale": scale, "precision": precision, "stacked": 1},
            "adamw": {"betas": betas, "eps": eps},
        }
        groups = []
        for group in params:
            if group.get("rule") not in own:
                raise UserError(f"rule of a parameter group must be muon or adamw, not {group.get('rule')!r}")
            groups.append({**own[group["rule"]], **group})
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        for group in self.param_groups:
            _check(group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups; gives what the closure, which Lightning passes, gives."""
        loss = closure_loss(closure)
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if trained and group["rule"] == "muon":
                self._muon(trained, group)
            elif trained:
                self._adamw(trained, group)
        return loss

    def _muon(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        by_shape: dict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
        for p in params:
            by_shape[p.shape, p.dtype, p.device].append(p)
        for same in by_shape.values():
            self._muon_of_one_shape(same, group)

    def _muon_of_one_shape(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads: list[Any] = [p.grad for p in params]
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        for buffer, grad in zip(buffers, grads, strict=True):
            buffer.lerp_(grad, 1 - group["momentum"])
        ahead = buffers
        if group["nesterov"]:
            ahead = [grad.lerp(buffer, group["momentum"]) for grad, buffer in zip(grads, buffers, strict=True)]
        rows, columns = params[0].shape[0] // group["stacked"], params[0].shape[1]
        wanted = group["precision"]
        quick = wanted == "bf16" or (wanted == "auto" and multiplies_bf16(params[0].device.type))
        dtype = torch.bfloat16 if quick else torch.float32
        matrices = torch.stack(ahead).view(-1, rows, columns)  # (params x stacked, rows, columns)
        direction = orthogonalise(matrices, group["polynomial"], group["steps"], dtype)
        by_rows = group["scale"] == "rows"
        gain = math.sqrt(max(1, rows / columns)) if by_rows else 0.2 * math.sqrt(max(rows, columns))
        updates = direction.to(params[0].dtype).reshape(len(params), *params[0].shape).unbind()
        for p, update in zip(params, updates, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * gain)

    def _adamw(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if not self.state[p]:
                self.state[p]["step"] = torch.tensor(0.0, device=p.device)
                self.state[p]["exp_avg"] = torch.zeros_like(p)
                self.state[p]["exp_avg_sq"] = torch.zeros_like(p)
        states = [self.state[p] for p in params]
        adamw(
            params,
            [p.grad for p in params if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def _check(group: dict[str, Any]) -> None:
    """Refuses settings out of their range."""
    for name in ("lr", "weight_decay"):
        check_range(name, group[name], least=0)
    for beta in group["betas"] if group["rule"] == "adamw" else [group["momentum"]]:
        check_range("betas and momentum", beta, least=0, below=1)
    if group["rule"] == "adamw":
        group["fused"] = True  # read by torch when a state is loaded: the counts of steps stay beside the weights
        return
    check_range("steps", group["steps"], least=1)
    for p in group["params"]:
        if p.ndim != 2 or p.shape[0] % group["stacked"]:
            raise UserError(f"params of Muon must be {group['stacked']} matrices each, not of shape {tuple(p.shape)}")
