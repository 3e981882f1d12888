"""A run of Weights & Biases: kept offline where there is no account or network, gone on with, with its checkpoints."""

import re
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from seqlight.core.errors import reason_of

CONNECTING = 10  # seconds that W&B may take to answer before the run is kept offline
FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(.+)")  # of a run's files; the group is the run's id


class WandbRun(WandbLogger):
    """Lightning's WandbLogger for a run of the command. Arguments are the same.

    With ``log_model`` the artifact ``model-<id>`` gets both checkpoints when training ends: Lightning logs best.ckpt,
    with the alias best, and this class last.ckpt, with the alias last.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        import wandb

        # The command line names every argument of wandb.init, and its None would win over Lightning's own "allow".
        kwargs["resume"] = kwargs.get("resume") or "allow"
        kwargs["settings"] = kwargs.get("settings") or wandb.Settings(init_timeout=CONNECTING)
        super().__init__(*args, **kwargs)
        self.log_last = bool(kwargs.get("log_model"))
        self.artifact_name: str | None = kwargs.get("checkpoint_name")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, made offline if W&B cannot be told of it; on other ranks Lightning's dummy."""
        try:
            return super().experiment
        except Exception as error:
            rank_zero_warn(f"W&B: {reason_of(error)}; this run is kept offline, for `wandb sync` to send")
            self._wandb_init["mode"] = "offline"  # the environment is read once in a program
            return super().experiment

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Logs the checkpoints, if they are asked for and training ended well."""
        super().finalize(status)
        last = Path(str(self.save_dir), "checkpoints", "last.ckpt")
        if status == "success" and self.log_last and last.is_file():
            import wandb

            name = self.artifact_name or f"model-{self.experiment.id}"
            artifact = wandb.Artifact(name, type="model", metadata={"original_filename": last.name})
            artifact.add_file(str(last), name="model.ckpt", policy=self.add_file_policy)
            self.experiment.log_artifact(artifact, aliases=["latest", "last"])


def run_id(folder: Path) -> str | None:
    """The id of the W&B run whose files lie in a run's folder; None if there are none.

    Args:
        folder: Of the run; W&B's files lie in ``wandb/run-<time>-<id>`` or ``wandb/offline-run-<time>-<id>``.
    """
    found = [match for path in sorted(folder.glob("wandb/*run-*")) if (match := FOLDER.fullmatch(path.name))]
    return found[-1][1] if found else None
