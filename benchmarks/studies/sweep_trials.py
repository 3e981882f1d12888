"""The trials of a sweep, trained first where they are missing."""

import csv
import sys

from seqlight.main import main as command_line
from seqlight.sweep.sweep_file import read_sweep


def train(sweep: str) -> list[dict[str, str]]:
    """Trains what a sweep has not trained yet; the rows of its trials.csv."""
    sys.argv[1:] = ["sweep", sweep]
    try:
        command_line()
    except SystemExit as end:
        if end.code:
            raise
    with (read_sweep(sweep).folder / "trials.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
