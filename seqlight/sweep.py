"""``seqlight sweep FILE``: many trainings of one study, that can be stopped, resumed and shared by machines.

A sweep file says what to vary. Optuna keeps which trials wait, run and are done; each process that runs the same
command takes the next waiting one, on any machine that reaches the study's storage.
"""

import contextlib
import functools
import itertools
import json
import logging
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import filelock
import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from seqlight.command.arguments import prepare
from seqlight.core.errors import UserError
from seqlight.recipes import check_yaml, recipe_path
from seqlight.report import write_report

if TYPE_CHECKING:
    from seqlight.command.trainer_cli import SeqCLI

SILENCE = 600.0  # seconds without a sign of life after which another machine's trial is taken again


@dataclass
class Sweep:
    """What a sweep file holds.

    Attributes:
        name: Of the study, and of its folder under ``runs/sweeps/``.
        config: Recipes or files that all trials share, in order.
        metric: What a trial is judged by: a metric that it logs, the last value.
        direction: "maximize" or "minimize".
        grid: Setting -> values; every combination is one trial. The setting "config" takes recipes.
        search: Setting -> ``{low, high, log, step}`` or ``{choices}``; sampled by Optuna's TPE, ``trials`` times.
        trials: Number of trials of a search.
        set: Setting -> value, for all trials.
        test: Whether to test each trained model as well.
        seeds: The setting, or a list of them, whose values are repetitions of the same thing, such as seeds and folds:
            the table's rows are taken over them.
        success: ``{metric: least value}``: what a solved trial must reach.
        columns: Metrics of the table, each as mean, standard deviation, minimum, median and maximum; beside what the
            runs log there is "fit/seconds", the time of the whole training command.
        curve: A metric to draw over the steps.
        storage: An Optuna storage, such as ``postgresql://host/name``; by default a journal in the sweep's folder,
            which machines with a common file system share.
    """

    name: str
    config: list[str]
    metric: str
    direction: Literal["maximize", "minimize"] = "maximize"
    grid: dict[str, list[Any]] = field(default_factory=dict)
    search: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: int = 20
    set: dict[str, Any] = field(default_factory=dict)
    test: bool = True
    seeds: str | list[str] = "seed_everything"
    success: dict[str, float] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    curve: str | None = None
    storage: str | None = None

    @property
    def repeated(self) -> list[str]:
        """The settings that are repetitions."""
        return self.seeds if isinstance(self.seeds, list) else [self.seeds]

    @property
    def folder(self) -> Path:
        """Where the study's files lie."""
        return Path("runs", "sweeps", self.name)

    def __post_init__(self) -> None:
        for key, kind in (("config", list), ("grid", dict), ("search", dict), ("set", dict), ("columns", list)):
            if not isinstance(getattr(self, key), kind):
                word = "a list" if kind is list else "settings with their values"
                raise UserError(f"sweep {self.name}: {key} must hold {word}, not {getattr(self, key)!r}")
        for key, space in self.search.items():
            if not isinstance(space, dict) or not ({"low", "high"} <= space.keys() or "choices" in space):
                raise UserError(f"sweep {self.name}: search.{key} needs low and high, or choices, not {space!r}")
        if not all(isinstance(key, str) for key in self.repeated):
            raise UserError(f"sweep {self.name}: seeds must be a setting or a list of settings, not {self.seeds!r}")
        if bool(self.grid) == bool(self.search):
            raise UserError(f"sweep {self.name}: give either grid or search, and not both")
        if self.direction not in ("maximize", "minimize"):
            raise UserError(f"sweep {self.name}: direction must be maximize or minimize, not {self.direction}")
        for key, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise UserError(f"sweep {self.name}: grid.{key} must be a list of values, not {values!r}")


def read_sweep(name: str) -> Sweep:
    """A sweep from a file or from a recipe's name."""
    path = (
        Path(name)
        if Path(name).is_file()
        else recipe_path(name.removeprefix("configs/")) or recipe_path(f"sweeps/{name}")
    )
    if path is None:
        raise UserError(f"sweep {name}: no such file and no sweep of that name; `seqlight configs` lists them")
    check_yaml(path)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {f.name for f in fields(Sweep)}
    if unknown := sorted(set(content) - known):
        raise UserError(f"sweep {path}: unknown key {unknown[0]}; there are {', '.join(sorted(known))}")
    if missing := [key for key in ("name", "config", "metric") if key not in content]:
        raise UserError(f"sweep {path}: the key {missing[0]} is missing")
    return Sweep(**content)


def command(words: list[str]) -> str:
    """Runs what is left of a sweep (``FILE``), or writes the table of what is done so far (``FILE --report``)."""
    match words:
        case [name]:
            run(sweep := read_sweep(name))
        case [name, "--report"]:
            sweep = read_sweep(name)
        case _:
            raise UserError("sweep: use `seqlight sweep FILE` or `seqlight sweep FILE --report`")
    trials = open_study(sweep).trials
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not done:
        raise UserError(f"sweep {sweep.name}: no trial is done yet")
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    table = write_report(sweep, [{**trial.user_attrs["chosen"], **trial.user_attrs} for trial in done])
    others = f"{running} more still run in other processes\n" if running else ""
    return f"{table}\n{others}results: {sweep.folder}    next: look at {sweep.folder / 'picture.png'}"


def open_study(sweep: Sweep) -> optuna.Study:
    """The study in its storage, made if it is new."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    # A journal with a lock: two processes never take the same trial, which SQLite does not rule out.
    storage = sweep.storage or JournalStorage(JournalFileBackend(str(sweep.folder / "study.log")))
    return optuna.create_study(storage=storage, study_name=sweep.name, direction=sweep.direction, load_if_exists=True)


def run(sweep: Sweep) -> None:
    """Runs trials until none is left; a trial that was broken off or whose process died is taken again."""
    with filelock.FileLock(sweep.folder.with_suffix(".lock")):
        study = open_study(sweep)
        check_same_study(sweep, study)
        free_dead_trials(study)
        enqueue(sweep, study)
    while True:
        states = [trial.state for trial in study.trials]
        busy = states.count(TrialState.COMPLETE) + states.count(TrialState.RUNNING)
        left = states.count(TrialState.WAITING) if sweep.grid else sweep.trials - busy
        if left < 1:
            return
        study.optimize(functools.partial(try_one, sweep, left), n_trials=1)


def check_same_study(sweep: Sweep, study: optuna.Study) -> None:
    """Refuses a file whose trials would not belong with those there are; a grid may grow.

    Raises:
        UserError: What all trials share is not what it was when the study began.
    """
    keys = ("config", "set", "metric", "direction", "test", "search")
    now = json.loads(json.dumps({key: getattr(sweep, key) for key in keys}, default=str))
    before = study.user_attrs.get("shared")
    if before is None:
        study.set_user_attr("shared", now)
        return
    if changed := [key for key in keys if before.get(key) != now[key]]:
        key = changed[0]
        raise UserError(
            f"sweep {sweep.name}: {key} was {before.get(key)!r} in the trials there are and is now {now[key]!r}; "
            f"give the file another name: or delete {sweep.folder}"
            + (f" and the study in {sweep.storage}" if sweep.storage else "")
        )


def free_dead_trials(study: optuna.Study) -> None:
    """Fails the trials whose process is no more, so that they are queued again.

    A process of this machine is looked for; one of another is taken for dead when its trial has given no sign for
    ``SILENCE`` seconds (the machines' clocks should agree to minutes).
    """
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        host, pid = trial.user_attrs.get("process", [None, None])
        silent = time.time() - trial.user_attrs.get("alive", float("inf")) > SILENCE
        if silent if host != socket.gethostname() else not is_alive(pid):
            study.tell(trial.number, state=TrialState.FAIL)


@contextlib.contextmanager
def signs_of_life(trial: Trial, every: float = 60.0) -> Iterator[None]:
    """Writes the time into the trial now and then, for the other machines."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(every):
            trial.set_user_attr("alive", time.time())

    trial.set_user_attr("alive", time.time())
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it does, and is another user's
        pass
    return True


def try_one(sweep: Sweep, left: int, trial: Trial) -> float:
    """Trains once and stores the metrics; what Optuna calls."""
    if sweep.grid and "combination" not in trial.user_attrs:
        raise optuna.TrialPruned("another process took the last one")
    trial.set_user_attr("process", [socket.gethostname(), os.getpid()])
    chosen = trial.user_attrs.get("combination") or sample(sweep, trial)
    started = time.monotonic()
    with signs_of_life(trial):
        metrics, folder = train(sweep, chosen)
    if sweep.metric not in metrics:
        raise UserError(
            f"sweep {sweep.name}: metric {sweep.metric} is not logged; there are {', '.join(sorted(metrics))}"
        )
    seconds = time.monotonic() - started
    for key, value in (("chosen", chosen), ("metrics", metrics), ("run", str(folder)), ("seconds", seconds)):
        trial.set_user_attr(key, value)
    words = "  ".join(f"{key.rpartition('.')[2]} {value}" for key, value in chosen.items())
    print(f"[{left} left] {words}: {sweep.metric} {metrics[sweep.metric]:.6g}  {seconds:.0f} s", flush=True)
    return metrics[sweep.metric]


def enqueue(sweep: Sweep, study: optuna.Study) -> None:
    """Puts every combination of a grid in the queue that is not done, running or waiting; repetitions outermost."""
    keys = sorted(sweep.grid, key=lambda key: key not in sweep.repeated)
    busy = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)
    known = [trial.user_attrs.get("combination") for trial in study.get_trials(states=busy)]
    for values in itertools.product(*(sweep.grid[key] for key in keys)):
        if (combination := dict(zip(keys, values, strict=True))) not in known:
            study.enqueue_trial({}, user_attrs={"combination": combination})


def sample(sweep: Sweep, trial: Trial) -> dict[str, Any]:
    """A search's next settings, from Optuna's sampler."""
    chosen: dict[str, Any] = {}
    for key, space in sweep.search.items():
        if "choices" in space:
            chosen[key] = trial.suggest_categorical(key, space["choices"])
        elif isinstance(space["low"], int):
            chosen[key] = trial.suggest_int(key, **space)
        else:
            chosen[key] = trial.suggest_float(key, **space)
    return chosen


def train(sweep: Sweep, chosen: dict[str, Any]) -> tuple[dict[str, float], Path]:
    """Trains (and tests) through the command itself; gives the metrics' last values and the run's folder."""
    from seqlight.core.plots import read_metrics

    configs = [*sweep.config, *(value for key, value in chosen.items() if key == "config")]
    words = [f"--config={config}" for config in configs]
    words.append(f"--experiment=sweeps/{sweep.name}")
    for key, value in {**sweep.set, **{k: v for k, v in chosen.items() if k != "config"}}.items():
        words.append(f"--{key}={'null' if value is None else value}")
    # One process a trial: Lightning starts a group of processes once in a program. More devices, more `seqlight sweep`.
    words += ["--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto"]
    with quiet(sweep.folder / f"log-{os.getpid()}.txt"):
        started = time.monotonic()
        fitted = command_line(["fit", *words])
        seconds = time.monotonic() - started
        files = [fitted.run_folder / "metrics.csv"]
        if sweep.test:
            checkpoint = fitted.run_folder / "checkpoints" / "best.ckpt"
            files.append(command_line(["test", f"--ckpt_path={checkpoint}"]).run_folder / "metrics.csv")
    metrics = {name: curve[-1][1] for file in files for name, curve in read_metrics(file).items()}
    return {**metrics, "fit/seconds": seconds}, fitted.run_folder


def command_line(words: list[str]) -> "SeqCLI":
    """One command in this process; the program's words become its own, with which Lightning starts DDP's others."""
    from seq_modules.callbacks import GracefulStop
    from seqlight.command.trainer_cli import SeqCLI

    before = sys.argv[1:]
    sys.argv[1:] = prepare(words, (words[0],))
    try:
        done = SeqCLI()
    finally:
        sys.argv[1:] = before
    if GracefulStop.received:
        raise KeyboardInterrupt
    return done


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Sends what a run prints to a file."""
    lightning = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in lightning]
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in lightning:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(lightning, levels, strict=True):
                logger.setLevel(level)
