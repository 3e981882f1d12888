"""LightningCLI as seqlight runs it: settings in layers, a checkpoint's among them, and a folder for each run."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import datamodules  # noqa: F401  --data CLASS finds its classes by name
import seq_modules  # noqa: F401  and --model CLASS these
from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.callbacks import BestCheckpoint, GracefulStop, LastCheckpoint, RunConfig
from seq_modules.callbacks.loggers.run_config import plain_settings
from seq_modules.callbacks.run.graceful_stop import own_classes
from seq_modules.generation.decoding_config import Decoding
from seq_modules.protocols.systems import Adapts, HasDecoding
from seqlight.command.lost_process import ending_together
from seqlight.command.messages import as_user_error, user_errors
from seqlight.command.parser import Parser
from seqlight.command.precision import PrecisionTrainer
from seqlight.command.run_callbacks import run_callbacks
from seqlight.command.run_settings import layered_settings, prepare_run
from seqlight.command.saved_settings import SavedSettings
from seqlight.core.checkpoint_file.growth import within_memory
from seqlight.core.errors import UserError
from seqlight.core.files.write_errors import writing
from seqlight.core.hardware import one_thread_for_small_nets
from seqlight.run_files.atomic_checkpoint import AtomicCheckpointIO
from seqlight.run_files.patient_loggers import patient
from seqlight.runs import next_command

GROUPS = {
    "decoding": Decoding,
    "adapt": Adaptation,
    "best_checkpoint": BestCheckpoint,
    "last_checkpoint": LastCheckpoint,
}


class SeqCLI(LightningCLI):
    """One command. Its settings, each over the ones before: the defaults, the checkpoint's, configs, flags.

    Args:
        args: The words after ``seqlight``; by default those of the program. The first is the command.
        commands: Commands to build a parser for; by default the one in ``args``, which is four times as quick.
        callbacks: Of the Trainer, beside those of the settings.
    """

    run_folder: Path
    saved: SavedSettings | None = None  # of --ckpt_path

    def __init__(
        self,
        args: list[str] | None = None,
        commands: tuple[str, ...] | None = None,
        callbacks: Sequence[Callback] = (),
        **kwargs: Any,
    ) -> None:
        self._callbacks = callbacks
        self._words = sys.argv[1:] if args is None else args
        self._commands = commands or (self._words[0],)
        super().__init__(
            args=self._words,
            trainer_class=PrecisionTrainer,
            parser_class=Parser,
            save_config_callback=RunConfig,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            **kwargs,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Lightning's subcommands, reduced to those in use."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in self._commands}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what every run of this command has."""
        parser.add_run_arguments()  # type: ignore[attr-defined]

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Lays the settings over each other."""
        self.config, self.saved = layered_settings(parser, self._words)

    def _parse_ckpt_path(self) -> None:
        """Lightning's own, in which the checkpoint would silently win over configs and flags."""

    def before_instantiate_classes(self) -> None:
        """Completes the settings, and makes the run's folder."""
        given = (self.config[self.subcommand], str(self.subcommand), self._words, self.saved)
        self.run_folder, self.save_config_kwargs = prepare_run(*given)
        # Lightning's own way to these checks all values a second time.
        self.config_dump = plain_settings(self._parser(self.subcommand), self.config[self.subcommand])

    def instantiate_classes(self) -> None:
        """As Lightning's; a value that a constructor refuses is the user's mistake."""
        self.parser.add_instantiator(patient, Logger)
        for cls, key in [*((cls, key) for key, cls in GROUPS.items()), (Callback, None)]:
            self.parser.add_instantiator(lambda cls, *args, **kwargs: cls(*args, **kwargs), cls, key=key)
        try:
            with self.saved.bounds() if self.saved else within_memory():
                super().instantiate_classes()
            if self.saved:
                self.saved.check(self.model, self.datamodule, self.trainer)
            adapt = self.config_init[self.subcommand].adapt
            if adapt.enabled and (self.subcommand not in ("test", "predict") or not isinstance(self.model, Adapts)):
                raise UserError("--adapt is for test and predict of a language model; leave it out")
        except (ValueError, TypeError, MisconfigurationException) as error:
            with contextlib.suppress(OSError):
                self.run_folder.rmdir()  # empty: nothing has run
            raise as_user_error(error, self.config[self.subcommand]) from error
        if isinstance(self.model, HasDecoding):
            self.model.decoding = self.config_init[self.subcommand].decoding
        if isinstance(self.model, Adapts):
            self.model.adaptation = adapt

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """As Lightning's, with the callbacks that every run of this command has."""
        settings = self.config_init[self.subcommand]
        given = settings.trainer
        of_command = run_callbacks(str(self.subcommand), given, settings.predictions)
        self.trainer_defaults["callbacks"] = [*self._callbacks, *of_command]
        return super().instantiate_trainer(plugins=given.plugins or [AtomicCheckpointIO()], max_time=None)

    def _run_subcommand(self, subcommand: str) -> None:
        with (
            user_errors(),
            ending_together(self.trainer),
            writing(self.run_folder),
            one_thread_for_small_nets(self.model),
        ):
            super()._run_subcommand(subcommand)
        if not GracefulStop.received and self.trainer.is_global_zero:
            checkpoint = self.config[subcommand].get("ckpt_path")
            following = next_command(subcommand, self.run_folder, checkpoint, own_classes(self.trainer))
            print(f"results: {self.run_folder}    next: {following}")

    def predict(self, **kwargs: Any) -> None:
        """Trainer.predict without returning the rows, which PredictionWriter has saved."""
        self.trainer.predict(**{**kwargs, "return_predictions": False})
