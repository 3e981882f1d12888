"""LightningCLI as seqlight runs it: layered settings, a folder for each run, the callbacks every run has."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, Timer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import datamodules  # noqa: F401  --data CLASS finds its classes by name
import seq_modules  # noqa: F401  and --model CLASS these
from seq_modules.callbacks import (
    BestCheckpoint,
    Curves,
    EpochLines,
    GracefulStop,
    LastCheckpoint,
    PredictionWriter,
    RNGState,
    RunConfig,
    TextStream,
    TimeBudget,
    TimedBar,
)
from seq_modules.generation.sampling import Decoding
from seq_modules.protocols import HasDecoding
from seqlight.command.arguments import config_values, group_values_as_configs, option
from seqlight.atomic_checkpoint import AtomicCheckpointIO
from seqlight.checkpoints import check_weights, known_class, read_checkpoint, settings
from seqlight.core.errors import UserError
from seqlight.command.messages import NamedError, one_line, user_errors, with_option
from seqlight.command.parser import Parser
from seqlight.recipes import DEFAULTS, experiment_name
from seqlight.runs import new_run_folder, next_command, point_loggers

# What a model takes from its data (a model without the argument, and data without the attribute, are left alone).
LINKED = ("vocab_size", "num_classes", "num_aux_classes", "pad_id", "vocab_sizes", "pitch_ids", "ticks", "frame_size")
TOKENIZER_FLAGS = tuple(
    f"--data.{prefix}{name}"
    for prefix in ("", "init_args.")
    for name in ("tokenizer", "vocab_size", "tokens.lower_case")
)


class SeqCLI(LightningCLI):
    """One command. Its settings, each over the ones before: configs/defaults.yaml, the checkpoint's, configs, flags.

    Args:
        args: The words after ``seqlight``; by default those of the program. The first is the command.
        commands: Commands to build a parser for; by default the one in ``args``, which is four times as quick.
    """

    run_folder: Path
    checkpoint: dict[str, Any] | None = None  # the contents of --ckpt_path
    lent_tokenizer: tuple[str, Any] | None = None  # the checkpoint as data.tokenizer_path, and what stood there before

    def __init__(self, args: list[str] | None = None, commands: tuple[str, ...] | None = None, **kwargs: Any) -> None:
        self._words = sys.argv[1:] if args is None else args
        self._commands = commands or (self._words[0],)
        super().__init__(
            args=self._words,
            parser_class=Parser,
            save_config_callback=RunConfig,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            **kwargs,
        )

    # The parser and the settings.

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Lightning's subcommands, reduced to those in use."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in self._commands}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the experiment's name, the two checkpoints and how texts are generated."""
        parser.add_argument(
            "--experiment", type=str | None, default=None, help="Folder under runs/; by default the config's name."
        )
        parser.add_lightning_class_args(BestCheckpoint, "best_checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.add_class_arguments(Decoding, "decoding")
        for name in LINKED:
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Lays the settings over each other. A config may be given as a path or, as here, as its text."""
        command, *rest = self._words
        if command.startswith("--print_completion"):
            parser.parse_args(self._words)  # prints and exits
        layers = [command, "--config", str(DEFAULTS)]
        if found := option(rest, "--ckpt_path"):
            saved = self._saved_settings(Path(found[1]), command, rest)
            # A layer each: a list of callbacks replaces the one before as a whole.
            layers += ["--config", yaml.safe_dump(saved)] if saved else []
        self.config = parser.parse_args([*layers, *group_values_as_configs(rest)])
        if found:
            self._check_class(saved, Path(found[1]), self.config[command].model.class_path)

    def _saved_settings(self, path: Path, command: str, flags: list[str]) -> dict[str, Any]:
        """The checkpoint's settings. The data takes its tokenizer from the checkpoint, unless flags name another."""
        self.checkpoint = read_checkpoint(path)
        saved = settings(self.checkpoint, path, command)
        data = saved.get("data", {}).get("init_args", {})
        if any(word.startswith(TOKENIZER_FLAGS) for word in flags):
            data.pop("tokenizer_path", None)  # the data makes the other one; the model refuses it if it differs
        elif data.get("tokenizer_path") == str(path):
            self.lent_tokenizer = (str(path), self.checkpoint["datamodule_hyper_parameters"]["tokenizer_path"])
        return saved

    def _check_class(self, saved: dict[str, Any], path: Path, class_path: str) -> None:
        """Refuses a model of another class than the checkpoint's."""
        held = known_class(saved.get("model", {}).get("class_path"), LightningModule)
        if held is not None and known_class(class_path, LightningModule) is not held:
            raise UserError(
                f"--ckpt_path {path} holds a {held.__name__}, but --model or a config names {class_path}; "
                "leave that out"
            )

    def _parse_ckpt_path(self) -> None:
        """Lightning's own, in which the checkpoint would silently win over configs and flags."""

    # The objects.

    def before_instantiate_classes(self) -> None:
        """Makes the run's folder and points the loggers at it; the saved config omits the run folder."""
        config = self.config[self.subcommand]
        if config.experiment is None:
            names = [name for name in map(experiment_name, config_values(self._words)) if name]
            config.experiment = names[-1] if names else config.model.class_path.rpartition(".")[2]
        recipe = config.clone()
        recipe.ckpt_path = None  # a run of the saved config starts from scratch
        self._forget_lent_tokenizer(recipe.get("data.init_args"))
        self.save_config_kwargs = {"recipe": recipe, "checkpoint": config.ckpt_path}
        root = config.trainer.default_root_dir or "runs"
        self.run_folder = new_run_folder(root, config.experiment, str(self.subcommand), config.get("ckpt_path"))
        point_loggers(config.trainer, self.run_folder)
        config.trainer.enable_progress_bar = TimedBar.wanted(config.trainer.enable_progress_bar)

    def instantiate_classes(self) -> None:
        """As Lightning's; a value that a constructor refuses is the user's mistake."""
        for cls, key in (
            (Decoding, "decoding"),
            (BestCheckpoint, "best_checkpoint"),
            (LastCheckpoint, "last_checkpoint"),
            (Callback, None),
        ):
            self.parser.add_instantiator(lambda cls, *args, **kwargs: cls(*args, **kwargs), cls, key=key)
        try:
            super().instantiate_classes()
            if self.checkpoint is not None:
                check_weights(self.checkpoint, self.model, self.config[self.subcommand].ckpt_path)
        except (ValueError, TypeError, MisconfigurationException) as error:
            with contextlib.suppress(OSError):
                self.run_folder.rmdir()  # empty: nothing has run
            if isinstance(error, NamedError):
                raise
            raise UserError(self._with_group(one_line(str(error)))) from error
        self.checkpoint = None
        if self.datamodule is not None:
            self._forget_lent_tokenizer(self.datamodule.hparams)
        if isinstance(self.model, HasDecoding):
            self.model.decoding = self.config_init[self.subcommand].decoding

    def _with_group(self, text: str) -> str:
        """A message under its option: of a group, which is built before its owner, or of the data's linked values."""
        for key in ("data", "model"):
            cls = known_class(self.config[self.subcommand].get(f"{key}.class_path"), object)
            if cls is not None and (named := with_option(text, key, cls)) != text:
                return named
        return text

    def _forget_lent_tokenizer(self, data: Any) -> None:
        """Puts back the data's own ``tokenizer_path`` where settings are saved.

        The new run's checkpoints hold the tokenizer themselves, and the old checkpoint may be deleted.
        """
        if self.lent_tokenizer and data is not None and data.get("tokenizer_path") == self.lent_tokenizer[0]:
            data["tokenizer_path"] = self.lent_tokenizer[1]

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """As Lightning's, with the callbacks that every run of this command has."""
        given = self.config_init[self.subcommand].trainer
        own: list[Callback] = []
        if self.subcommand == "fit":
            own += [RNGState(), GracefulStop(), Curves()]
            if given.max_time:
                # Lightning's own Timer ends a training without a validation, and no schedule knows of it.
                own.append(TimeBudget(seconds_of(given.max_time)))
        if self.subcommand == "predict":
            own += [PredictionWriter(), TextStream()]
        configured = given.callbacks if isinstance(given.callbacks, list) else [given.callbacks]
        if not given.enable_progress_bar:
            own += [EpochLines()] if self.subcommand == "fit" else []  # one line an epoch, for log files
        elif not any(isinstance(callback, ProgressBar) for callback in configured):
            own.append(TimedBar())
        self.trainer_defaults["callbacks"] = own
        return super().instantiate_trainer(plugins=given.plugins or [AtomicCheckpointIO()], max_time=None)

    # The command itself.

    def _run_subcommand(self, subcommand: str) -> None:
        with user_errors():
            super()._run_subcommand(subcommand)
        if not GracefulStop.received and self.trainer.is_global_zero:
            following = next_command(subcommand, self.run_folder, self.config[subcommand].get("ckpt_path"))
            print(f"results: {self.run_folder}    next: {following}")

    def predict(self, **kwargs: Any) -> None:
        """Trainer.predict without returning the rows, which PredictionWriter has saved."""
        self.trainer.predict(**{**kwargs, "return_predictions": False})


def seconds_of(max_time: Any) -> float:
    """The Trainer's ``max_time`` in seconds: "DD:HH:MM:SS", a timedelta, or its arguments by name."""
    seconds = Timer(max_time).time_remaining()
    assert seconds is not None
    return seconds
