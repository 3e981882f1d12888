"""How far the gradient reaches back in time, and how the recurrent weights stretch it."""

import csv
import math
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from seq_modules.base import SequenceModule
from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.nets.rnn.linear.linear_recurrent import LinearLayer, LinearRecurrent
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.nets.rnn.unrolled import unroll
from seq_modules.nets.transformer.block import Block
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure, use_log_scale

GATES = {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n")}  # blocks of the recurrent weights
DIRECTIONS = ("", ".reverse")  # endings of the names of a recurrent net's layers


class Flow(NamedTuple):
    """One measurement.

    Attributes:
        step: Optimiser steps before it.
        norms: For each layer and direction the norms of the loss's derivative by its state after each time step.
        radii: For each block of recurrent weights the largest absolute value of an eigenvalue.
    """

    step: int
    norms: dict[str, list[float]]
    radii: dict[str, float]


class GradientFlow(Callback):
    """Records during training the norm of dLoss/dh_t for each time step t and each layer, and spectral radii.

    The loss is that of the batch just trained on, with the weights after the step; the norm is over the batch and the
    width. For a recurrent net dLoss/dh_t is the total derivative, through all later steps (Pascanu, Mikolov & Bengio
    2013); of an LSTM it is recorded by h and by c, of a linear recurrence by its state (DeltaNet: a matrix). torch's
    fused kernels and the scans do not give the states between, so whatever the backend, the batch goes through the net
    step by step once more (nets/rnn/unrolled.py). For a Transformer h_t is the output of a block. Spectral radii are of
    rnn, lstm and gru; the others have no recurrent matrix that is the same at each step. Training itself is not
    changed: neither its gradients nor its random numbers.

    Logs ``flow/<layer>``: the norm at the first time step divided by that at the last; in a layer that reads backwards
    (``.reverse``) the first is the one that it reads first. Writes ``gradient_flow.csv``, ``spectral_radius.csv`` and
    ``plots/gradient_flow.png`` when training ends. A checkpoint holds the measurements so far.

    Args:
        every: Optimiser steps between two measurements.

    Raises:
        UserError: every is below 1, or the model has neither a recurrent net nor a Transformer of this package.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, every: int = 50) -> None:
        check_range("every", every, least=1)
        self.every = every
        self.flows: list[Flow] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses a model with nothing to record."""
        if not isinstance(pl_module, SequenceModule) or not layers_of(pl_module):
            raise UserError(
                f"GradientFlow: {type(pl_module).__name__} has no states over time: neither a recurrent net nor a "
                "Transformer of seq_modules; leave the callback out"
            )

    def state_dict(self) -> dict[str, Any]:
        """The measurements so far, as plain values."""
        return {"flows": [list(flow) for flow in self.flows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with a checkpoint's measurements."""
        self.flows = [Flow(*flow) for flow in state_dict["flows"]]

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures after the first step, and then every ``every`` steps."""
        step = trainer.global_step
        if (step - 1) % self.every or (self.flows and self.flows[-1].step == step):
            return
        assert isinstance(pl_module, SequenceModule)
        norms = gradient_norms(pl_module, batch)
        self.flows.append(Flow(step, norms, spectral_radii(pl_module)))
        read = {name: values[::-1] if DIRECTIONS[1] in name else values for name, values in norms.items()}
        ratios = {f"flow/{name}": values[0] / values[-1] for name, values in read.items() if values[-1]}
        pl_module.log_dict(ratios, rank_zero_only=True, batch_size=1)

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the tables and draws the picture."""
        if not self.flows:
            return
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        norms = [
            (flow.step, layer, t, norm)
            for flow in self.flows
            for layer, values in flow.norms.items()
            for t, norm in enumerate(values, start=1)
        ]
        radii = [(flow.step, block, radius) for flow in self.flows for block, radius in flow.radii.items()]
        for name, header, rows in (
            ("gradient_flow", ("step", "layer", "t", "norm"), norms),
            ("spectral_radius", ("step", "block", "radius"), radii),
        ):
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([header, *rows])
        save_figure(trainer, self.draw(), "gradient_flow")

    def draw(self) -> Any:
        """A row for each layer: a heat map over training and time, and curves; below, the spectral radii."""
        layers, blocks = list(self.flows[0].norms), list(self.flows[0].radii)
        figure, axes = new_figure(2, rows=len(layers) + bool(blocks), height=3.0)
        longest = max(len(values) for flow in self.flows for values in flow.norms.values())
        for layer, heat, curves in zip(layers, axes[::2], axes[1::2], strict=False):
            image = [
                [math.log10(value) if value > 0 else math.nan for value in flow.norms[layer]]
                + [math.nan] * (longest - len(flow.norms[layer]))
                for flow in self.flows
            ]
            drawn = heat.imshow(image, aspect="auto", origin="lower", extent=(0.5, longest + 0.5, 0, len(image)))
            ticks = sorted({0, len(image) // 2, len(image) - 1})
            heat.set_yticks([tick + 0.5 for tick in ticks], [str(self.flows[tick].step) for tick in ticks])
            heat.set(xlabel="time step t", ylabel="training step", title=layer)
            heat.grid(False)
            figure.colorbar(drawn, ax=heat, label="log10 of |dLoss/dh|")
            for tick in ticks:
                values = self.flows[tick].norms[layer]
                curves.plot(range(1, len(values) + 1), values, label=f"step {self.flows[tick].step}")
            curves.set(xlabel="time step t", ylabel="|dLoss/dh|", title=layer)
            use_log_scale(curves)
            curves.legend()
        if blocks:
            for block in blocks:
                axes[-2].plot(
                    [flow.step for flow in self.flows], [flow.radii[block] for flow in self.flows], label=block
                )
            axes[-2].set(xlabel="training step", ylabel="spectral radius", title="recurrent weights")
            axes[-2].legend()
            axes[-1].set_axis_off()
        return figure


class States:
    """The states of a module's layers over time, kept while a batch goes through it step by step.

    Args:
        module: The system; :meth:`close` leaves it as it was.

    Attributes:
        kept: For each layer and direction the states in the order of their time steps, (B, ...) each; of a
            Transformer's block one tensor of all steps, (B, T, D).
    """

    def __init__(self, module: LightningModule) -> None:
        self.kept: dict[str, list[Tensor]] = {}
        self.handles = []
        for name, part in layers_of(module).items():
            if isinstance(part, Block):
                self.handles.append(part.register_forward_hook(partial(self._block, name)))
            elif isinstance(part, Recurrent):
                self.handles.append(part.register_forward_hook(partial(self._recurrent, name), with_kwargs=True))
            else:
                for layer, one in enumerate(part.layers):
                    assert isinstance(one, LinearLayer)
                    for direction, cell in zip(DIRECTIONS, one.cells, strict=False):
                        hook = partial(self._linear, f"{name}.{layer}{direction}")
                        self.handles.append(cell.register_forward_hook(hook))

    def close(self) -> None:
        """Removes the hooks."""
        for handle in self.handles:
            handle.remove()

    def _keep(self, name: str, states: Iterable[Tensor]) -> None:
        self.kept.setdefault(name, []).extend(states)  # a decoder may be called once for each step

    def _block(self, name: str, block: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.kept[name] = [output]

    def _recurrent(self, name: str, net: Recurrent, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        result, last, seen = unroll(net, *args, **kwargs)
        for index, steps in enumerate(seen):
            layer, direction = divmod(index, net.num_directions)
            for part, held in zip("hc", zip(*steps, strict=True), strict=False):
                end = f".{part}" if net.cell == "lstm" else ""
                self._keep(f"{name}.{layer}{DIRECTIONS[direction]}{end}", held)
        return result, last

    def _linear(self, name: str, cell: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        x, mask, state, _ = args
        seen: list[Tensor] = []
        output = cell.forward(x, mask, state, "loop", seen)
        self._keep(name, reversed(seen) if name.endswith(DIRECTIONS[1]) else seen)
        return output


def layers_of(module: LightningModule) -> dict[str, Recurrent | LinearRecurrent | Block]:
    """The recurrent nets, and the blocks of Transformers, by their names in the module."""
    kinds = Recurrent | LinearRecurrent | Block
    return {name: part for name, part in module.named_modules() if isinstance(part, kinds)}


def gradient_norms(module: SequenceModule, batch: Any) -> dict[str, list[float]]:
    """Norms of the mean loss's derivative by each layer's state, for each time step.

    Args:
        module: The system; its gradients and the random numbers stay as they are.
        batch: A batch, as ``step`` takes it.
    """
    states = States(module)
    try:
        with (
            torch.random.fork_rng(devices=[module.device] if module.device.type == "cuda" else []),
            torch.enable_grad(),
        ):
            step = module.step(batch)
            loss = step.loss_sum / step.num_targets.clamp(min=1)
            flat = [tensor for tensors in states.kept.values() for tensor in tensors]
            grads = iter(torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True))
    finally:
        states.close()
    layers = layers_of(module)
    norms = {}
    for name, tensors in states.kept.items():
        found = [next(grads) for _ in tensors]
        if name in layers:  # a block: (B, T, D)
            found = list(found[0].unbind(1))
        norms[name] = torch.stack([grad.norm() for grad in found]).tolist()
    return norms


@torch.no_grad()
def spectral_radii(module: LightningModule) -> dict[str, float]:
    """The largest absolute value of an eigenvalue of each H × H block of the recurrent weights."""
    radii = {}
    for name, net in layers_of(module).items():
        if not isinstance(net, Recurrent):
            continue
        for index in range(len(net.names)):
            layer, direction = divmod(index, net.num_directions)
            blocks = net.weights(index).w_hh.split(net.hidden_size)
            for gate, block in zip(GATES[net.cell], blocks, strict=True):
                radius = torch.linalg.eigvals(block.float()).abs().max().item()
                radii[f"{name}.{layer}{DIRECTIONS[direction]}.{gate}"] = radius
    return radii
