"""``metrics.csv``, which keeps every row it has had: a killed process and a full disk take none of them."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from seqlight.core.files.replacing import replacing
from seqlight.core.files.write_errors import writing


class MetricsCSV(CSVLogger):
    """Lightning's CSVLogger, whose file is whole at every moment. Arguments are the same."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file; on other ranks Lightning's dummy."""
        if self._experiment is None:
            Path(self.root_dir).mkdir(parents=True, exist_ok=True)
            self._experiment = WholeRows(self.log_dir)
        return self._experiment


class WholeRows(ExperimentWriter):
    """Appends rows, or leaves the file as it was; a new column is added in one step."""

    def save(self) -> None:
        """Appends the rows since the last save.

        Raises:
            WritingError: They could not be written.
        """
        path = Path(self.metrics_file_path)
        before = path.stat().st_size if path.exists() else 0
        with writing(path):
            try:
                super().save()
            except OSError:
                if before and path.stat().st_size > before:
                    with path.open("r+b") as file:  # half a row
                        file.truncate(before)
                raise

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Lightning's own empties the file first."""
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        with replacing(path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=fieldnames)
            writer.writeheader()
            writer.writerows(rows)
