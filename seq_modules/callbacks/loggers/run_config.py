"""The resolved config of a run: beside its checkpoints, inside them, and in every logger."""

from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, Namespace, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.yaml_text import yaml_text


def plain_settings(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """Settings that the parser has read, as nested dicts.

    They are not checked again, which would take two thirds of the time.
    """
    return yaml.safe_load(parser.dump(config, skip_none=False, skip_link_targets=False, skip_validation=True))


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run's folder, the nested config to the loggers, and both into each checkpoint.

    Args:
        parser: Parser of the command.
        config: Its parsed config, with this run's own paths in it.
        recipe: The config without those paths; this is saved, so that it can be run again.
        checkpoint: The checkpoint that the command used, for the file's first line.
    """

    def __init__(
        self, parser: LightningArgumentParser, config: Namespace, recipe: Namespace, checkpoint: str | None = None
    ) -> None:
        super().__init__(parser, config, save_to_log_dir=False)
        self.checkpoint = checkpoint
        self.plain = plain_settings(parser, recipe)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes the file; Lightning calls this once, on rank 0."""
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "config.yaml").open("x", encoding="utf-8") as file:
            if self.checkpoint:
                file.write(f"# with the checkpoint {self.checkpoint}\n")
            file.write(yaml_text(self.plain))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the config, once the loggers may be used."""
        self.log_config(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As :meth:`on_fit_start`, of a run that only validates."""
        if trainer.state.fn == "validate":
            self.log_config(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As :meth:`on_fit_start`."""
        self.log_config(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As :meth:`on_fit_start`."""
        self.log_config(trainer)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Gives what a run without training logs the step and the epoch of the checkpoint."""
        if trainer.state.fn != "fit" and "loops" in checkpoint:
            trainer.fit_loop.load_state_dict(checkpoint["loops"]["fit_loop"])

    @rank_zero_only
    def log_config(self, trainer: Trainer) -> None:
        """Logs the config in every logger but the CSV file's."""
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                continue  # it would write the same again, beside config.yaml
            logger.log_hyperparams(self.plain)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """A checkpoint alone is enough to resume training."""
        checkpoint["config"] = self.plain
