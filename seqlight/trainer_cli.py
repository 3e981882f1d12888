"""LightningCLI as seqlight runs it: layered settings, a folder for each run, the callbacks every run has."""

import contextlib
import shlex
import sys
import traceback
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
from seqlight.arguments import config_values, option
from seqlight.checkpoints import CHECKPOINTS, known_class, read_checkpoint, settings
from seqlight.core.errors import UserError
from seqlight.empty_hooks import skip_empty_hooks
from seqlight.messages import one_line
from seqlight.no_profiler import NoProfiler
from seqlight.parser import Parser
from seqlight.quick_files import DirectCheckpoints
from seqlight.recipes import DEFAULTS, experiment_name
from seqlight.runs import new_run_folder, point_loggers

# What a model takes from its data (a model without the argument, and data without the attribute, are left alone).
LINKED = ["vocab_size", "num_classes", "num_aux_classes", "pad_id", "vocab_sizes", "pitch_ids", "ticks", "frame_size"]
LINKS = {name: name for name in LINKED}
TOKENIZER_FLAGS = tuple(
    f"--data.{prefix}{name}" for prefix in ("", "init_args.") for name in ("tokenizer", "vocab_size")
)
NEXT = {
    "fit": "seqlight test --ckpt_path {run}",
    "validate": "seqlight test --ckpt_path {checkpoint}",
    "test": "seqlight predict --ckpt_path {checkpoint}",
    "predict": "seqlight configs",
}


class SeqCLI(LightningCLI):
    """One command. Its settings, each over the ones before: configs/defaults.yaml, the checkpoint's, configs, flags.

    Args:
        args: The words after ``seqlight``; by default those of the program. The first is the command.
        commands: Commands to build a parser for; by default the one in ``args``, which is four times as quick.
    """

    run_folder: Path
    lent_tokenizer: tuple[str, Any] | None = None  # the checkpoint as data.tokenizer_path, and what stood there before

    def __init__(self, args: list[str] | None = None, commands: tuple[str, ...] | None = None, **kwargs: Any) -> None:
        words = sys.argv[1:] if args is None else args
        self._words = words
        self._commands = commands or (words[0],)
        super().__init__(
            args=words,
            parser_class=Parser,
            save_config_callback=RunConfig,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            **kwargs,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Lightning's subcommands, those asked for alone."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in self._commands}

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})  # nothing in a checkpoint is ever executed
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what is ours: the experiment's name, and the two checkpoints."""
        parser.add_argument(
            "--experiment", type=str | None, default=None, help="Folder under runs/; by default the config's name."
        )
        parser.add_lightning_class_args(BestCheckpoint, "best_checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.add_class_arguments(Decoding, "decoding")
        for source, target in LINKS.items():
            parser.link_arguments(f"data.{source}", f"model.init_args.{target}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Lays the settings over each other. A config may be given as a path or, as here, as its text."""
        command, *rest = self._words
        if command.startswith("--print_completion"):
            parser.parse_args(self._words)  # prints and exits
        layers = [command, "--config", str(DEFAULTS)]
        if found := option(rest, "--ckpt_path"):
            path = Path(found[1])
            content = read_checkpoint(path)
            saved = settings(content, path, command)
            of_data = saved.get("data", {}).get("init_args", {})
            if any(word.startswith(TOKENIZER_FLAGS) for word in rest):
                # Another tokenizer is asked for: the data makes it, and the model refuses it if it is another.
                of_data.pop("tokenizer_path", None)
            elif of_data.get("tokenizer_path") == str(path):
                self.lent_tokenizer = (str(path), content["datamodule_hyper_parameters"]["tokenizer_path"])
            # A layer each: a list of callbacks replaces the one before as a whole.
            layers += ["--config", yaml.safe_dump(saved)] if saved else []
        self.config = parser.parse_args([*layers, *rest])
        if found:
            self._check_class(saved, path, command)

    def _check_class(self, saved: dict[str, Any], path: Path, command: str) -> None:
        """A checkpoint is of one class; asking for another is a mistake."""
        held = known_class(saved.get("model", {}).get("class_path"), LightningModule)
        asked = known_class(self.config[command].model.class_path, LightningModule)
        if held is not None and asked is not held:
            raise UserError(
                f"--ckpt_path {path} holds a {held.__name__}, but --model or a config asks for "
                f"{self.config[command].model.class_path}; leave that out"
            )

    def _parse_ckpt_path(self) -> None:
        """Lightning's own, in which the checkpoint would silently win over configs and flags."""

    def before_instantiate_classes(self) -> None:
        """Makes the run's folder and sends the loggers there; what is kept of the config does not name it."""
        config = self.config[self.subcommand]
        if config.experiment is None:
            names = [name for name in map(experiment_name, config_values(self._words)) if name]
            config.experiment = names[-1] if names else config.model.class_path.rpartition(".")[2]
        recipe = config.clone()
        recipe.ckpt_path = None  # run again, it begins anew
        self._give_back_tokenizer(recipe.get("data.init_args"))
        self.save_config_kwargs = {"recipe": recipe, "checkpoint": config.ckpt_path}
        root = config.trainer.default_root_dir or "runs"
        self.run_folder = new_run_folder(root, config.experiment, str(self.subcommand), config.get("ckpt_path"))
        point_loggers(config.trainer, self.run_folder)
        config.trainer.enable_progress_bar = TimedBar.wanted(config.trainer.enable_progress_bar)

    def instantiate_classes(self) -> None:
        """As Lightning's; a value that a constructor refuses is the user's mistake."""
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, MisconfigurationException) as error:
            with contextlib.suppress(OSError):
                self.run_folder.rmdir()  # empty: nothing has run
            raise UserError(self._named(error)) from error
        if self.datamodule is not None:
            self._give_back_tokenizer(self.datamodule.hparams)
        if hasattr(self.model, "decoding"):
            self.model.decoding = self.config_init[self.subcommand].decoding

    def _give_back_tokenizer(self, of_data: Any) -> None:
        """What is kept of the data's arguments does not name the checkpoint that lent the tokenizer.

        The new run's checkpoints hold that tokenizer themselves, and the old ones may be deleted.
        """
        if self.lent_tokenizer and of_data is not None and of_data.get("tokenizer_path") == self.lent_tokenizer[0]:
            of_data["tokenizer_path"] = self.lent_tokenizer[1]

    def _named(self, error: Exception) -> str:
        """A constructor's complaint with the key of the argument it begins with; the data may have one of that name."""
        text = one_line(str(error))
        config, argument = self.config[self.subcommand], text.partition(" ")[0]
        files = [Path(frame.filename).as_posix() for frame in traceback.extract_tb(error.__traceback__)]
        from_data = any("/datamodules/" in file for file in files)
        for key in ("data", "model") if from_data else ("model", "data"):
            if argument in config.get(f"{key}.init_args", {}):
                cls = config[key].class_path.rpartition(".")[2]
                return f"{key}.{text}; see `seqlight {self.subcommand} --{key}.help {cls}`"
        return f"decoding.{text}" if argument in config.decoding else text

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """As Lightning's, with the callbacks that this command always has; each costs a little at every batch."""
        own: list[Callback] = []
        if self.subcommand == "fit":
            own += [RNGState(), GracefulStop(), Curves()]
        if self.subcommand == "predict":
            own += [PredictionWriter(), TextStream()]
        given = self._get(self.config_init, "trainer")
        asked = given.callbacks if isinstance(given.callbacks, list) else [given.callbacks]
        if not self._get(self.config, "trainer").enable_progress_bar:
            if self.subcommand == "fit":
                own.append(EpochLines())  # a log file gets one line an epoch
        elif not any(isinstance(callback, ProgressBar) for callback in asked):
            own.append(TimedBar())
        if self.subcommand == "fit" and given.max_time:
            # Lightning's own Timer ends a training without a validation, and no schedule knows of it.
            own.append(TimeBudget(seconds_of(given.max_time)))
        self.trainer_defaults["callbacks"] = own
        own_settings = {"profiler": given.profiler or NoProfiler(), "plugins": given.plugins or [DirectCheckpoints()]}
        return super().instantiate_trainer(**own_settings, max_time=None)

    def _run_subcommand(self, subcommand: str) -> None:
        skip_empty_hooks(self.model, self.trainer.callbacks)  # type: ignore[attr-defined]
        super()._run_subcommand(subcommand)
        if not GracefulStop.received:
            self._tell()

    def predict(self, **kwargs: Any) -> None:
        """Trainer.predict, whose rows the writer has saved."""
        self.trainer.predict(return_predictions=False, **{k: v for k, v in kwargs.items() if k != "return_predictions"})

    def _tell(self) -> None:
        if not self.trainer.is_global_zero:
            return
        checkpoint = self.config[self.subcommand].get("ckpt_path")
        following = NEXT[str(self.subcommand)].format(
            run=shlex.quote(str(self.run_folder)), checkpoint=shlex.quote(str(checkpoint))
        )
        if self.subcommand == "fit" and not (self.run_folder / CHECKPOINTS / "best.ckpt").is_file():
            following = "a run with validation, whose best.ckpt can be tested"
            if checkpoint and not (self.run_folder / CHECKPOINTS).exists():
                again = f"seqlight fit --ckpt_path {shlex.quote(str(checkpoint))} --trainer.max_epochs MORE"
                following = f"{again}  (or a longer max_time; it was trained to its end)"
        print(f"results: {self.run_folder}    next: {following}")


def seconds_of(max_time: Any) -> float:
    """The Trainer's ``max_time`` in seconds: "DD:HH:MM:SS", a timedelta, or its arguments by name."""
    seconds = Timer(max_time).time_remaining()
    assert seconds is not None
    return seconds
