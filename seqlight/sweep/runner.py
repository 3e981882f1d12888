"""The command: takes trials until all are done, then writes the report."""

import dataclasses
import functools
import math
import socket
import sys
import time
import warnings
from typing import Any

import optuna
import torch
from optuna.trial import Trial, TrialState

from seqlight.core import hardware
from seqlight.core.errors import Diverged, UserError
from seqlight.core.files.write_errors import writing
from seqlight.core.hyperparameters import check_range
from seqlight.core.plain_parser import PlainParser
from seqlight.core.plots import read_metrics
from seqlight.sweep.pruning import Pruned
from seqlight.sweep.report import write_report
from seqlight.sweep.storage import GRACE_PERIOD, database_errors, locked
from seqlight.sweep.study import (
    count,
    count_left,
    enqueue,
    enqueue_killed,
    finished,
    is_superfluous,
    open_study,
    sample,
)
from seqlight.sweep.sweep_file import Sweep, read_sweep
from seqlight.sweep.training import train
from seqlight.sweep.wandb_file import write_wandb_file

POLL = 5.0  # seconds between looks at the trials of other processes
CURVE_POINTS = 1000  # at most so many points of a trial's curve are kept in the study


def command(words: list[str]) -> str:
    """Runs what is left of a sweep, and gives the table of what is done.

    Args:
        words: ``FILE``, and perhaps ``--storage URL``, ``--grace_period SECONDS``, ``--report``, which runs nothing,
            or ``--to wandb``, which writes a file for `wandb sweep` instead.

    Raises:
        UserError: The words, the file or the storage cannot be used, or no trial is done.
    """
    parser = PlainParser("seqlight sweep", "`seqlight sweep --help` shows what there is")
    parser.add_argument("sweep")
    parser.add_argument("--storage")
    parser.add_argument("--grace_period", type=int, default=GRACE_PERIOD)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--to", choices=["wandb"])
    given = parser.parse_args(words)
    check_range("sweep: --grace_period", given.grace_period, least=2)
    sweep = read_sweep(given.sweep)
    if given.to:
        return write_wandb_file(sweep)
    sweep = dataclasses.replace(sweep, storage=given.storage or sweep.storage)
    with database_errors(sweep.storage), writing(sweep.folder, None):
        study = open_study(sweep, given.grace_period)
        if not given.report:
            share_rates(sweep, study)
            enqueue(sweep, study, sweep.combinations)
            try:
                run(sweep, study)
            except KeyboardInterrupt:  # SIGTERM too
                print(f"sweep {sweep.name}: what is done is kept, and the same command goes on", file=sys.stderr)
                raise
        return report(sweep, study)


def share_rates(sweep: Sweep, study: optuna.Study) -> None:
    """Makes the first measurement on this machine that of all its processes, so that ``precision: auto`` is one value.

    The study holds it, by the machine's name and its processor, and so does a sweep that goes on later.
    """
    key = f"rates on {socket.gethostname()}: {hardware.name()}"
    with locked(sweep.storage, sweep.folder):
        if key in study.user_attrs:
            hardware.known_rates["cpu"] = hardware.Rates(**study.user_attrs[key])
        else:
            study.set_user_attr(key, dataclasses.asdict(hardware.rates()))


def run(sweep: Sweep, study: optuna.Study) -> None:
    """Runs trials until all are done; those of other processes are waited for, since such a process may be killed."""
    waits = False
    while True:
        if left := count_left(sweep, study):
            take_one(sweep, study, left)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        enqueue_killed(sweep, study)
        if count_left(sweep, study):
            continue
        if not (running := count(study, TrialState.RUNNING)):
            return
        if not waits:
            print(f"waiting for {running} trials of other processes (Ctrl-C ends this process alone)", flush=True)
        waits = True
        time.sleep(POLL)


def take_one(sweep: Sweep, study: optuna.Study, left: int) -> None:
    """Takes one trial and runs it."""
    try:
        study.optimize(functools.partial(try_one, sweep, left), n_trials=1)
    except ValueError as error:
        if not str(error).startswith("Cannot tell a FAIL trial"):
            raise
        print("this process gave no sign of life for too long; its trial went to another process", flush=True)
    except UnboundLocalError as error:  # Optuna's own, which hides that the study's file is gone
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def try_one(sweep: Sweep, left: int, trial: Trial) -> float:
    """Trains once and stores all that the report needs in the study; what Optuna calls."""
    if is_superfluous(sweep, trial):
        raise optuna.TrialPruned("another process took the last one, or the grid has lost it")
    chosen = trial.user_attrs.get("combination") or sample(sweep, trial)
    started = time.monotonic()
    results: dict[str, Any] = {}
    try:
        try:
            metrics, folder = train(sweep, chosen, trial)
        except Diverged as error:
            metrics, folder, results["diverged"] = {sweep.metric: math.nan}, error.folder, str(error)
        except Pruned as stop:
            metrics, folder, results["pruned"] = {}, stop.folder, str(stop)
        if sweep.metric not in metrics and "pruned" not in results:
            there = ", ".join(sorted(metrics))
            raise UserError(f"sweep {sweep.name}: metric {sweep.metric} is not logged; there are {there}")
    except (Exception, SystemExit) as error:  # the settings' own fault: no other process need try them
        trial.set_user_attr("error", str(error))
        if isinstance(error, SystemExit):  # the command line has said why
            raise UserError(f"sweep {sweep.name}: the settings {chosen} were refused") from error
        raise
    seconds = time.monotonic() - started
    results |= {"chosen": chosen, "metrics": metrics, "host": socket.gethostname(), "run": str(folder)}
    results["machine"] = hardware.describe("cuda" if torch.cuda.is_available() else "cpu")
    if sweep.report.curve:
        points = read_metrics(folder / "metrics.csv").get(sweep.report.curve, [])
        results["curves"] = {sweep.report.curve: points[:: math.ceil(len(points) / CURVE_POINTS) or 1]}
    for key, value in {**results, "seconds": seconds}.items():
        trial.set_user_attr(key, value)
    words = "  ".join(f"{key.rpartition('.')[2]} {value}" for key, value in chosen.items())
    said = results.get("pruned") or (
        "diverged" if "diverged" in results else f"{sweep.metric} {metrics[sweep.metric]:.6g}"
    )
    print(f"[{left} left] {words}: {said}  {seconds:.0f} s", flush=True)
    if "pruned" in results:
        raise optuna.TrialPruned(results["pruned"])
    # Optuna takes no NaN: a run that diverged is the worst there is.
    worst = -math.inf if sweep.direction == "maximize" else math.inf
    return worst if math.isnan(metrics[sweep.metric]) else metrics[sweep.metric]


def report(sweep: Sweep, study: optuna.Study) -> str:
    """Writes the table and the picture of the trials that are done; gives the table and what is missing."""
    done = finished(study)
    if not done:
        raise UserError(f"sweep {sweep.name}: no trial is done yet")
    lines = [write_report(sweep, [{**trial.user_attrs["chosen"], **trial.user_attrs} for trial in done])]
    if running := count(study, TrialState.RUNNING):
        lines.append(f"{running} more still run in other processes")
    trained = [trial.user_attrs["chosen"] for trial in done]
    left = sum(one not in trained for one in sweep.combinations) if sweep.grid else sweep.trials - len(done)
    if (missing := left - running) > 0:
        lines.append(f"{missing} are not done; `seqlight sweep` runs them")
    lines.append(f"results: {sweep.folder}    next: look at {sweep.folder / 'picture.png'}")
    return "\n".join(lines)
