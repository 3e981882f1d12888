"""Whether the state of a training in a checkpoint fits the objects that are about to take it up."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seqlight.core.checkpoint_file.kinds import MisfitError, anything, count, like, number, record, scalar, tensor
from seqlight.core.errors import UserError

# What an optimiser keeps for a weight; a state with other names is none of these optimisers'.
KEPT = ({"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"}, {"velocity"})


def fits(path: Any, check: Callable[[], None]) -> None:
    """Runs a check of a checkpoint.

    Args:
        path: The checkpoint, for the message.
        check: Raises MisfitError.

    Raises:
        UserError: It has raised one.
    """
    try:
        check()
    except MisfitError as error:
        raise UserError(f"{path}: cannot be resumed, since {error}; use another checkpoint") from error


def check_loops(content: Mapping[str, Any], trainer: Any) -> None:
    """Refuses positions of the Trainer's loops that it could not take up.

    Args:
        content: The checkpoint's.
        trainer: A Trainer that has not run.
    """
    if (held := content.get("loops")) is None:
        return
    loops = {name: getattr(trainer, name) for name in ("fit_loop", "validate_loop", "test_loop", "predict_loop")}
    record(dict.fromkeys(loops, anything))("loops", held)
    for name, loop in loops.items():
        for key, state in loop.state_dict().items():
            kind = record({}, {"_batches_that_stepped": count}) if key.endswith("state_dict") else like(state)
            if key in held[name]:
                kind(f"loops.{name}.{key}", held[name][key])


def check_optimizers(states: Sequence[Mapping[str, Any]], optimizers: Sequence[Any]) -> None:
    """Refuses states of optimisers with other groups, or for weights of other shapes."""
    if len(states) != len(optimizers):
        raise MisfitError("optimizer_states", f"a list of {len(optimizers)} states", list(states))
    for index, (state, optimizer) in enumerate(zip(states, optimizers, strict=True)):
        place = f"optimizer_states[{index}]"
        groups, held = optimizer.param_groups, state["param_groups"]
        sizes = [len(group["params"]) for group in groups]
        if [len(group["params"]) for group in held] != sizes:
            raise MisfitError(f"{place}.param_groups", f"a list of groups of {sizes} weights", held)
        numbers = [name for group in held for name in group["params"]]
        weights = dict(zip(numbers, (weight for group in groups for weight in group["params"]), strict=True))
        for number_of_group, (own, saved) in enumerate(zip(groups, held, strict=True)):
            check_rates(f"{place}.param_groups[{number_of_group}]", saved, own)
        for name, kept in state["state"].items():
            check_kept(f"{place}.state.{name}", kept, weights.get(name))


def check_rates(place: str, held: Mapping[str, Any], group: Mapping[str, Any]) -> None:
    """Refuses a group of weights whose rate is negative or no number; the rest is put back as it is given now."""
    for name in ("lr", "initial_lr"):
        if name in held or name in group:
            number(f"{place}.{name}", held.get(name))
            if not 0 <= held[name] < math.inf:
                raise MisfitError(f"{place}.{name}", "a learning rate", held[name])


def check_kept(place: str, kept: Mapping[str, Any], weight: Any) -> None:
    """Refuses what an optimiser kept for a weight if it does not have that weight's shape."""
    if weight is None:
        raise MisfitError(place, "the state of a weight", dict(kept))
    if kept and set(kept) not in KEPT:
        raise MisfitError(
            place, f"a mapping with {' or '.join(', '.join(sorted(names)) for names in KEPT)}", dict(kept)
        )
    for name, value in kept.items():
        if name == "step":
            scalar(f"{place}.{name}", value)
        elif value is not None:
            tensor(f"{place}.{name}", value)
            if value.shape != weight.shape:
                raise MisfitError(f"{place}.{name}", f"a tensor {tuple(weight.shape)}", value)


def check_schedules(states: Sequence[Mapping[str, Any]], schedules: Sequence[Any]) -> None:
    """Refuses states of learning-rate schedules with entries that they do not have."""
    for index, (state, schedule) in enumerate(zip(states, schedules, strict=False)):
        own = schedule.state_dict()
        record({"lr_lambdas": anything})(f"lr_schedulers[{index}]", state)
        for name, value in state.items():
            if name not in own:
                raise MisfitError(f"lr_schedulers[{index}].{name}", "an entry of a schedule", value)
            like(own[name])(f"lr_schedulers[{index}].{name}", value)


def check_gradients(gradients: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    """Refuses gradients of weights that the system does not have, or of another shape."""
    for name, value in gradients.items():
        if name not in weights or value.shape != weights[name].shape:
            raise MisfitError(f"gradients.{name}", "gradient of a weight of this model", value)


def check_metrics(states: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Refuses states of training metrics that are not those of the system."""
    for name, state in states.items():
        if name not in metrics:
            raise MisfitError(f"train_metrics.{name}", "a metric of this model", state)
        like(dict(metrics[name].metric_state))(f"train_metrics.{name}", state)
