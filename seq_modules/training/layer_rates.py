"""A learning rate for each depth of a pretrained encoder, and layers that are unfrozen one after the other."""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from seq_modules.training.optim import OptimConfig, adamw


def layerwise_adamw(
    module: nn.Module, encoder: Any, config: OptimConfig, head_learning_rate: float, layer_decay: float
) -> Optimizer:
    """AdamW with a learning rate for each depth: parameter groups of one optimiser.

    Args:
        module: The system, whose parameters outside of the encoder are its heads.
        encoder: Its :class:`seq_modules.nets.pretrained.encoder.PretrainedEncoder`.
        config: Optimiser; the rate is that of the encoder's last layer and of soft prompts.
        head_learning_rate: Peak learning rate of the heads.
        layer_decay: Factor on the rate from each layer to the one below (Howard & Ruder 2018).
    """
    by_depth, top = dict(encoder.by_depth()), len(encoder.layers)
    pretrained = {p for group in by_depth.values() for p in group}
    prompts = [] if encoder.prefix is None else [encoder.prefix]
    heads = [p for p in module.parameters() if p not in pretrained and p is not encoder.prefix]
    rate = config.learning_rate
    rates = [(heads, head_learning_rate), (prompts, rate)]
    rates += [(group, rate * layer_decay ** max(0, top - depth)) for depth, group in by_depth.items()]
    optimizer, *others = (
        adamw(group, group_rate, config.weight_decay, (config.beta1, config.beta2), config.fused)
        for group, group_rate in rates
        if any(p.requires_grad for p in group)
    )
    for other in others:
        for settings in other.param_groups:
            optimizer.add_param_group(settings)
    return optimizer


def remove_gradients(encoder: Any, unfrozen: int) -> None:
    """Removes the gradients below the last ``unfrozen`` layers, so that the optimiser skips these layers.

    They keep requires_grad: DDP and averages of weights read it once, before the first step.
    """
    for parameter in encoder.below(unfrozen):
        parameter.grad = None
