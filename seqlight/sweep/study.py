"""The study of a sweep: which trials wait, run and are done."""

import json
from typing import Any

import optuna
from optuna.trial import TrialState

from seqlight.core.errors import UserError
from seqlight.core.yaml_text import yaml_text
from seqlight.sweep.pruning import make_pruner
from seqlight.sweep.setting_types import takes_whole_numbers
from seqlight.sweep.storage import GRACE_PERIOD, locked, open_storage, shown
from seqlight.sweep.sweep_file import Sweep

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
MOST_KILLED = 3  # attempts after which a combination of settings is left out until the command is given again


def open_study(sweep: Sweep, grace_period: int = GRACE_PERIOD) -> optuna.Study:
    """The study in its storage, made if it is new.

    Raises:
        UserError: The storage cannot be used, or holds a study of this name that belongs to another sweep.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings are tracebacks of errors that it passes on
    sweep.folder.mkdir(parents=True, exist_ok=True)
    # Two processes that make the tables or the study at once would be in each other's way.
    with locked(sweep.storage, sweep.folder):
        storage = open_storage(sweep.storage, sweep.folder, grace_period)
        study = optuna.create_study(
            storage=storage,
            study_name=sweep.name,
            direction=sweep.direction,
            pruner=make_pruner(sweep),
            load_if_exists=True,
        )
        check_same_study(sweep, study)
    return study


def check_same_study(sweep: Sweep, study: optuna.Study) -> None:
    """Refuses a file whose trials would not belong with those there are; the values of a grid may change.

    Raises:
        UserError: What all trials share, or which settings vary, is not what it was when the study began.
    """
    keys = ("config", "set", "metric", "direction", "test", "search", "pruner")
    now = {**{key: getattr(sweep, key) for key in keys}, "grid": sorted(sweep.grid)}
    now = json.loads(json.dumps(now, default=str))
    before = study.user_attrs.get("shared")
    if before is None:
        study.set_user_attr("shared", now)
        return
    if changed := [key for key in now if before.get(key) != now[key]]:
        key = changed[0]
        raise UserError(
            f"sweep {sweep.name}: {key} was {before.get(key)!r} in the trials there are and is now {now[key]!r}; "
            f"give the file another name: or delete {sweep.folder}"
            + (f" and the study in {shown(sweep.storage)}" if sweep.storage else "")
        )


def enqueue(sweep: Sweep, study: optuna.Study, combinations: list[dict[str, Any]]) -> None:
    """Puts those combinations of a grid into the queue that are not done, running or waiting."""
    with locked(sweep.storage, sweep.folder):
        known = [
            trial.user_attrs.get("combination")
            for trial in study.get_trials(deepcopy=False)
            if trial.state != TrialState.FAIL and (trial.state != TrialState.PRUNED or "chosen" in trial.user_attrs)
        ]
        for combination in combinations:
            if combination not in known:
                study.enqueue_trial({}, user_attrs={"combination": combination})


def enqueue_killed(sweep: Sweep, study: optuna.Study) -> None:
    """Queues again what failed without an error of its own: its process was killed, or was stopped by Ctrl-C.

    Optuna's RetryHeartbeatStaleTrialCallback does this when it fails the trial, but not in one step: in between, a
    process that has just started would queue the same, and one that looks for work would believe that all is done.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    again = []
    for combination in sweep.combinations:
        failed = [trial.user_attrs for trial in trials if trial.user_attrs.get("combination") == combination]
        if failed and "error" not in failed[-1] and len(failed) < MOST_KILLED:
            again.append(combination)
    enqueue(sweep, study, again)


def count(study: optuna.Study, *states: TrialState) -> int:
    """Number of the trials in these states."""
    return len(study.get_trials(deepcopy=False, states=states))


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that have been trained, to their end or until they were pruned.

    Optuna's PRUNED is also the state of a trial that this process left to another one; it has no settings.
    """
    return [trial for trial in study.get_trials(deepcopy=False, states=FINISHED) if "chosen" in trial.user_attrs]


def taken(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that run or have been trained."""
    return [*study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)), *finished(study)]


def count_left(sweep: Sweep, study: optuna.Study) -> int:
    """Number of trials that nobody has taken yet."""
    if sweep.grid:
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return sum(trial.user_attrs.get("combination") in sweep.combinations for trial in waiting)
    return max(0, sweep.trials - len(taken(study)))  # a search may be given fewer trials than it has had


def is_superfluous(sweep: Sweep, trial: optuna.Trial) -> bool:
    """Whether the trial is one too many: another process took the last one at the same time, or the file has lost it.

    A trial that waits since the grid had more values has settings that the sweep does not ask for any more.
    """
    if sweep.grid:
        return trial.user_attrs.get("combination") not in sweep.combinations
    return sum(other.number < trial.number for other in taken(trial.study)) >= sweep.trials


def sample(sweep: Sweep, trial: optuna.Trial) -> dict[str, Any]:
    """The next settings of a search, from Optuna's sampler."""
    chosen: dict[str, Any] = {}
    for key, space in sweep.search.items():
        if "choices" in space:
            # Optuna keeps numbers and words alone; a list goes by its text.
            named = {
                choice if is_scalar(choice) else yaml_text(choice, one_line=True): choice for choice in space["choices"]
            }
            chosen[key] = named[trial.suggest_categorical(key, list(named))]
        elif takes_whole_numbers(sweep, key):
            chosen[key] = trial.suggest_int(key, **space)
        else:
            chosen[key] = trial.suggest_float(key, **space)
    return chosen


def is_scalar(value: Any) -> bool:
    """Whether a value is a number, a word, or None."""
    return value is None or isinstance(value, bool | int | float | str)
