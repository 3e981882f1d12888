"""A sweep's table and picture."""

import csv
import math
import statistics
from pathlib import Path
from typing import Any

from seqlight.core.files.replacing import replacing
from seqlight.core.plots import new_figure, read_metrics, use_log_scale
from seqlight.core.yaml_text import yaml_text
from seqlight.sweep.sweep_file import Sweep

Row = dict[str, Any]
ENDS = ("diverged", "pruned")  # entries of a trial that did not end well
MOST_NAMED = 12  # curves that have a colour and a legend; more could not be told apart


def write_report(sweep: Sweep, trials: list[Row]) -> str:
    """Writes ``table.md``, ``trials.csv`` and ``picture.png`` into the sweep's folder; returns the table.

    Args:
        sweep: The sweep.
        trials: Its finished trials: their settings, and ``metrics``, ``seconds``, ``machine``, ``host`` and ``run``,
            the folder there; perhaps ``curves`` as well, name -> [(step, value)].
    """
    settings = [key for key in (*sweep.grid, *sweep.search) if key not in sweep.repeated]
    groups = group(trials, settings, sweep)
    header = [*(key.rpartition(".")[2] for key in settings), "runs"]
    header += ["solved"] if sweep.report.success else []
    header += [f"{name} mean ± sd (min / median / max), where logged" for name in sweep.report.columns]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for values, members in groups.items():
        cells = [*map(str, values), number_of_runs(members)]
        if sweep.report.success:
            cells.append(f"{sum(is_solved(trial, sweep) for trial in members)} of {len(members)}")
        cells += [spread([t["metrics"].get(name, math.nan) for t in members]) for name in sweep.report.columns]
        lines.append("| " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    with replacing(sweep.folder / "table.md") as part:
        part.write_text(table + "\n", encoding="utf-8")
    write_trials(sweep.folder / "trials.csv", trials, [*settings, *sweep.repeated])
    draw(sweep, groups, settings)
    return table


def number_of_runs(trials: list[Row]) -> str:
    """How many runs a row is of, and how many of them did not end well: ``3 (1 diverged, 1 pruned)``."""
    ends = {end: sum(end in trial for trial in trials) for end in ENDS}
    said = ", ".join(f"{number} {end}" for end, number in ends.items() if number)
    return f"{len(trials)} ({said})" if said else f"{len(trials)}"


def group(trials: list[Row], settings: list[str], sweep: Sweep) -> dict[tuple[Any, ...], list[Row]]:
    """Trials by their settings, in the order of the sweep file."""
    order = {key: sweep.grid.get(key, []) for key in settings}

    def place(trial: Row) -> list[tuple[int, Any]]:  # settings that the file no longer has come last
        known = [(key, trial[key]) for key in settings]
        return [
            (order[key].index(value), "") if value in order[key] else (len(order[key]), str(value))
            for key, value in known
        ]

    groups: dict[tuple[Any, ...], list[Row]] = {}
    for trial in sorted(trials, key=place):
        groups.setdefault(tuple(shown_value(trial[key]) for key in settings), []).append(trial)
    return groups


def shown_value(value: Any) -> Any:
    """A setting's value in the table: a list as the sweep file has it, others themselves."""
    return yaml_text(value, one_line=True) if isinstance(value, list | dict) else value


def is_solved(trial: Row, sweep: Sweep) -> bool:
    """Whether a trial reached every value of ``success``."""
    return all(trial["metrics"].get(name, float("-inf")) >= least for name, least in sweep.report.success.items())


def spread(values: list[float]) -> str:
    """Mean, standard deviation of the sample, minimum, median and maximum; of one value itself, of none a dash.

    NaN, as of a run that diverged, does not count.
    """
    values = [value for value in values if not math.isnan(value)]
    if len(values) < 2:
        return f"{values[0]:.4g}" if values else "-"
    places = " / ".join(f"{value:.4g}" for value in (min(values), statistics.median(values), max(values)))
    return f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g} ({places})"


def write_trials(path: Path, trials: list[Row], settings: list[str]) -> None:
    """Every trial with its settings and metrics, for one's own tables."""
    metrics = sorted({name for trial in trials for name in trial["metrics"]})
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*settings, "end", "seconds", "machine", "host", "run", *metrics])
        for trial in trials:
            values = [trial.get(key) for key in settings]
            where = [f"{trial['seconds']:.1f}", trial.get("machine"), trial.get("host"), trial["run"]]
            end = next((end for end in ENDS if end in trial), "complete")
            writer.writerow([*values, end, *where, *(trial["metrics"].get(name) for name in metrics)])


def draw(sweep: Sweep, groups: dict[tuple[Any, ...], list[Row]], settings: list[str]) -> None:
    """A panel of dots for each column of the table, and one of curves: the repetitions' median and range."""
    short = [key.rpartition(".")[2] for key in settings]
    labels = [", ".join(map(setting_label, short, values)) for values in groups]
    names = sweep.report.columns or [sweep.metric]
    panels = len(names) + bool(sweep.report.curve)
    figure, axes = new_figure(panels, width=4.8, height=max(3.0, 0.28 * len(labels) + 1.2))
    for axis, name in zip(axes, names, strict=False):
        for at, members in enumerate(groups.values()):
            for trial in members:
                if name in trial["metrics"]:
                    solved = not sweep.report.success or is_solved(trial, sweep)
                    axis.plot(
                        trial["metrics"][name], at, "o" if solved else "x", color="C0" if solved else "C3", alpha=0.7
                    )
        axis.set_yticks(range(len(labels)), labels if axis is axes[0] else [])
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.set(xlabel=name)
    title = ", ".join(short) + ("   (red x: not solved)" if sweep.report.success else "")
    axes[0].set_title(title, loc="left", fontsize=9)
    if sweep.report.curve:
        named = len(labels) <= MOST_NAMED
        for at, (label, members) in enumerate(zip(labels, groups.values(), strict=True)):
            draw_curve(axes[-1], sweep.report.curve, members, label, f"C{at % 10}" if named else "C7")
        axes[-1].set(xlabel="step", ylabel=sweep.report.curve)
        if sweep.report.curve.endswith("loss") and axes[-1].has_data():
            use_log_scale(axes[-1])
        if not named:
            axes[-1].set_title("all settings: median and range of each", fontsize=9)
        elif any(labels) and axes[-1].has_data():
            axes[-1].legend(fontsize=6)
    with replacing(sweep.folder / "picture.png") as part:
        figure.savefig(part, dpi=120, format="png")


def setting_label(name: str, value: Any) -> str:
    """A setting in the label of a row: a string speaks for itself, other values need the name."""
    return value if isinstance(value, str) else f"{name} {value}"


def draw_curve(axis: Any, name: str, members: list[Row], label: str, color: str) -> None:
    """Draws the median and range of a logged metric at each step, over the runs that reached the step."""
    at_step: dict[int, list[float]] = {}
    for trial in members:
        # The file of a run on another machine is not here; its curve is in the study.
        here = read_metrics(Path(trial["run"]) / "metrics.csv")
        for step, value in here.get(name) or trial.get("curves", {}).get(name, []):
            at_step.setdefault(step, []).append(value)
    if not at_step:  # a curve that no run logged would leave a logarithmic axis without a range
        return
    steps = sorted(at_step)
    axis.plot(steps, [statistics.median(at_step[s]) for s in steps], label=label, color=color, linewidth=1)
    axis.fill_between(
        steps, [min(at_step[s]) for s in steps], [max(at_step[s]) for s in steps], color=color, alpha=0.12
    )
