"""What the loggers of a run hold, read back with their own programs."""

import csv
import json
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

THREE = """trainer:
  logger:
    - {class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: runs}}
    - {class_path: lightning.pytorch.loggers.TensorBoardLogger, init_args: {save_dir: runs}}
    - {class_path: lightning.pytorch.loggers.WandbLogger, init_args: {project: seqlight}}
"""
Steps = dict[int, dict[str, float]]  # metrics by their steps


class WandbFile:
    """What a W&B run has written into the folder of a run of ours; the run is ended first.

    Attributes:
        id: Of the W&B run.
        config: Its config.
        metrics: Metrics by their steps.
        media: The kind of each picture, sound, table and histogram, by its name.
        artifacts: Name and aliases of each artifact.
    """

    def __init__(self, folder: Path) -> None:
        import wandb
        from wandb.util import get_core_path

        wandb.finish()  # as the end of the program would
        (file,) = folder.glob("wandb/*run-*/*.wandb")
        words = [get_core_path(), "leet", "inspect", "-json", "-no-observability", "-run-file", str(file)]
        for _ in range(60):  # on a busy machine W&B's service writes on after the run has ended
            told = subprocess.run(
                words, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(folder)}
            )
            records = [json.loads(line) for line in told.stdout.splitlines()]
            if records and records[-1]["type"] == "exit":
                break
            time.sleep(0.5)
        held: dict[str, list[Any]] = defaultdict(list)
        for record in records:
            held[record["type"]].append(record.get(record["type"]))
        rows = [row["item"] for row in held["history"]]
        self.id = file.stem.removeprefix("run-")
        self.config = {name: value for part in held["config"] for name, value in part["update"].items()}
        self.media = {}
        for row in rows:
            for key in [name.removesuffix("._type") for name in row if name.endswith("._type")]:
                parts = {name: row.pop(name) for name in [*row] if name.startswith(f"{key}.")}
                self.media[key] = parts[f"{key}._type"]
                files = [*parts.get(f"{key}.filenames", []), *filter(None, [parts.get(f"{key}.path")])]
                assert all((file.parent / "files" / path).stat().st_size for path in files)
                assert "trainer/global_step" in row
        self.metrics = metrics_by_step(rows, "trainer/global_step")
        self.artifacts = [(one["name"], set(one.get("aliases", []))) for one in held["artifact"]]


def metrics_by_step(rows: Iterable[Mapping[str, Any]], step: str) -> Steps:
    """The metrics, whose names have a slash, of a logger's rows.

    Args:
        rows: The rows, each with its step.
        step: Under which name.
    """
    found: Steps = defaultdict(dict)
    for row in rows:
        named = {name: value for name, value in row.items() if "/" in name and name != step}
        if numbers := {name: float(value) for name, value in named.items() if value != ""}:  # an empty cell of a CSV
            found[int(row[step])] |= numbers
    return dict(found)


def csv_metrics(folder: Path) -> Steps:
    """The metrics of a run's metrics.csv."""
    with (folder / "metrics.csv").open(newline="") as file:
        return metrics_by_step(csv.DictReader(file), "step")


class TensorBoardFile:
    """What TensorBoard's own reader finds in a run's folder.

    Attributes:
        metrics: Metrics by their steps.
        pictures, sounds, texts, histograms: Their names.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        tags = events.Tags()
        rows = [{"step": e.step, name: e.value} for name in tags["scalars"] for e in events.Scalars(name)]
        self.metrics = metrics_by_step(rows, "step")
        self.pictures, self.sounds, self.histograms = (set(tags[kind]) for kind in ("images", "audio", "histograms"))
        self.texts = {name.removesuffix("/text_summary") for name in tags["tensors"]}
