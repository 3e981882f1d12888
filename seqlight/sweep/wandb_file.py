"""A sweep as a file for `wandb sweep`, whose agents run trials by this program's command line."""

import shlex
from typing import Any

from seqlight.command.arguments import config_contents, option_word
from seqlight.core.errors import UserError
from seqlight.core.files.write_errors import writing
from seqlight.core.yaml_text import yaml_text
from seqlight.recipes import config_path
from seqlight.sweep.pruning import pruner_settings
from seqlight.sweep.setting_types import takes_whole_numbers
from seqlight.sweep.sweep_file import Sweep

OVERLAY = "logger/wandb"
ETA = {"hyperband": 3, "successive_halving": 4}  # Optuna's reduction_factor where the sweep file has none


def write_wandb_file(sweep: Sweep) -> str:
    """Writes ``wandb.yaml`` into the sweep's folder.

    Returns:
        What to run next, and what of the sweep the file cannot hold.

    Raises:
        UserError: A search is judged by a metric that a training does not log.
    """
    path = sweep.folder / "wandb.yaml"
    following = f"wandb sweep {shlex.quote(str(path))}"
    with writing(path, None):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {following}\n{yaml_text(wandb_settings(sweep))}", encoding="utf-8")
    lines = [f"results: {path}    next: {following}"]
    if sweep.test:
        lines.insert(0, "the agents of W&B train and validate; `seqlight test --ckpt_path RUN` tests a run of theirs")
    pruner = pruner_settings(sweep)[0]
    if pruner == "median":
        lines.insert(0, "W&B has no median pruner: its agents train every run to the end")
    elif pruner is not None and not is_logged(sweep):
        lines.insert(0, f"a training does not log {sweep.metric}: the agents of W&B train every run to the end")
    return "\n".join(lines)


def wandb_settings(sweep: Sweep) -> dict[str, Any]:
    """The sweep in W&B's own terms.

    Raises:
        UserError: A search is judged by a metric that a training does not log.
    """
    if sweep.search and not is_logged(sweep):
        raise UserError(
            f"sweep {sweep.name}: --to wandb: metric {sweep.metric} is not logged by a training, which is all that "
            "W&B's agents run; name one of the validation"
        )
    configs, project = [*sweep.config], wandb_project(sweep.config)
    if project is None:
        configs.append(OVERLAY)
        project = wandb_project([OVERLAY])
    words = [f"--config={config}" for config in configs]
    words.append(f"--experiment=sweeps/{sweep.name}")
    words += [option_word(f"--{key}", value) for key, value in sweep.set.items()]
    settings: dict[str, Any] = {
        "name": sweep.name,
        "project": project,
        "program": "seqlight",
        "command": ["${env}", "${program}", "fit", *words, "${args}"],
        "method": "grid" if sweep.grid else "bayes",
    }
    if is_logged(sweep):
        settings["metric"] = {"name": sweep.metric, "goal": sweep.direction}
    if sweep.search:
        settings["run_cap"] = sweep.trials
    pruner, arguments = pruner_settings(sweep)
    if pruner in ETA and is_logged(sweep):
        least = arguments.get("min_resource", 1)
        settings["early_terminate"] = {
            "type": "hyperband",
            "min_iter": least if isinstance(least, int) else 1,
            "eta": arguments.get("reduction_factor", ETA[pruner]),
        }
    found = {key: {"values": [word(value) for value in values]} for key, values in sweep.grid.items()}
    found |= {key: parameter(sweep, key) for key in sweep.search}
    # A config first: the agents keep the order of names, and flags override configs.
    settings["parameters"] = dict(sorted(found.items(), key=lambda item: item[0] != "config"))
    return settings


def is_logged(sweep: Sweep) -> bool:
    """Whether a training logs the sweep's metric, by which alone W&B can search and stop runs early."""
    return not sweep.metric.startswith(("test/", "fit/"))


def wandb_project(configs: list[str]) -> str | None:
    """The project of the last W&B logger in the configs; None if there is none."""
    project = None
    for config in config_contents([f"--config={config_path(config)}" for config in configs]):
        trainer = config.get("trainer")
        loggers = trainer.get("logger") if isinstance(trainer, dict) else None
        for logger in loggers if isinstance(loggers, list) else []:
            if str(logger.get("class_path")).endswith("WandbLogger"):
                project = (logger.get("init_args") or {}).get("project") or "lightning_logs"
    return project


def word(value: Any) -> Any:
    """A value as the agents can write it after ``--key=``: they would write a list and None as Python does."""
    return yaml_text(value, one_line=True) if value is None or isinstance(value, list | dict) else value


def parameter(sweep: Sweep, key: str) -> dict[str, Any]:
    """The values of a setting of a search."""
    space = sweep.search[key]
    if "choices" in space:
        return {"values": [word(value) for value in space["choices"]]}
    whole = takes_whole_numbers(sweep, key)
    low, high = (int(space[end]) if whole else float(space[end]) for end in ("low", "high"))
    if (step := space.get("step", 1 if whole else None)) not in (None, 1):
        count = int((high - low) / step + 1e-9) + 1
        return {"values": [low + number * step for number in range(count)]}
    if space.get("log"):
        kind = {"distribution": "q_log_uniform_values", "q": 1} if whole else {"distribution": "log_uniform_values"}
    else:
        kind = {"distribution": "int_uniform" if whole else "uniform"}
    return {**kind, "min": low, "max": high}
