"""The checkpoint that a command starts from, and its settings as a layer below configs and flags."""

import contextlib
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from seqlight.checkpoints import check_classes, check_weights, known_class, read_checkpoint, settings
from seqlight.command.arguments import config_contents
from seqlight.core.checkpoint_file.growth import bounded_by
from seqlight.core.checkpoint_file.training_state import check_loops, fits
from seqlight.core.errors import UserError
from seqlight.devices import DEFAULTS, left_out

# Options of the data of which another value means another tokenizer.
OF_TOKENIZER = (
    "tokenizer", "vocab_size", "source_vocab_size", "tokens.lower_case", "tokens.shared", "tokens.min_count",
    "text.lower_case", "text.strip_punctuation", "text.min_count",
)  # fmt: skip
TOKENIZER_FLAGS = tuple(f"--data.{prefix}{name}" for prefix in ("", "init_args.") for name in OF_TOKENIZER)


class SavedSettings:
    """What a command takes from ``--ckpt_path``.

    Args:
        path: The checkpoint.
        command: fit, validate, test or predict.
        words: The words after the command; their flags and configs may name another tokenizer than the checkpoint's.

    Attributes:
        config: The settings, in the form of a config.

    Raises:
        UserError: The file is not a checkpoint of this program, or has no training to resume.
    """

    def __init__(self, path: Path, command: str, words: list[str]) -> None:
        self.path = path
        self.content: dict[str, Any] | None = read_checkpoint(path)
        if command == "fit" and not {"optimizer_states", "lr_schedulers"} <= self.content.keys():
            raise UserError(
                f"--ckpt_path {path}: has weights and no state of a training to resume, as `seqlight average` writes it"
            )
        self.config = settings(self.content, path, command)
        run = self.content.get("config") or {}
        self._left_out = left_out(run["trainer"]) if isinstance(run.get("trainer"), dict) else {}
        self._own_tokenizer_path: Any = None  # what stood in place of the checkpoint as data.tokenizer_path
        data = self.config.get("data", {}).get("init_args", {})
        if names_another_tokenizer(words, data):
            data.pop("tokenizer_path", None)  # the data makes the other one; the model refuses it if it differs
        elif data.get("tokenizer_path") == str(path):
            self._own_tokenizer_path = self.content["datamodule_hyper_parameters"]["tokenizer_path"]

    def check_class(self, class_path: str) -> None:
        """Refuses a model of another class than the checkpoint's."""
        held = known_class(self.config.get("model", {}).get("class_path"), LightningModule)
        if held is not None and known_class(class_path, LightningModule) is not held:
            raise UserError(
                f"--ckpt_path {self.path} holds a {held.__name__}, but --model or a config names {class_path}; "
                "leave that out"
            )

    def log_devices(self, trainer: dict[str, Any]) -> None:
        """Logs which of the run's devices are not used here, unless configs or flags say what to use.

        Args:
            trainer: The command's settings of the Trainer.
        """
        if missing := {name: value for name, value in self._left_out.items() if trainer[name] == DEFAULTS[name]}:
            rank_zero_info(
                f"the run of {self.path} had {', '.join(f'{name} {value}' for name, value in missing.items())}; "
                f"this one takes what this machine has, unless --trainer.{next(iter(missing))} says otherwise"
            )

    def bounds(self) -> contextlib.AbstractContextManager[None]:
        """While the objects are made: refuses a model that is far larger than the checkpoint's."""
        assert self.content is not None
        return bounded_by(self.content["state_dict"], self.path)

    def check(self, model: LightningModule, data: LightningDataModule | None, trainer: Trainer) -> None:
        """Refuses objects that do not fit the checkpoint, and lets go of its contents.

        Those are a Trainer that cannot take up its loops, data of other classes, and a model whose weights differ in
        name or shape. The data's own ``tokenizer_path`` is put back.
        """
        content = self.content
        assert content is not None
        fits(self.path, lambda: check_loops(content, trainer))
        check_classes(content, getattr(data, "class_names", None), self.path)
        check_weights(content, model, self.path)
        self.content = None
        self.restore_tokenizer_path(getattr(data, "hparams", None))

    def restore_tokenizer_path(self, data: Any) -> None:
        """Puts the data's own ``tokenizer_path`` back into settings that are about to be saved.

        The new run's checkpoints hold the tokenizer themselves, and this checkpoint may be deleted.
        """
        if data is not None and data.get("tokenizer_path") == str(self.path):
            data["tokenizer_path"] = self._own_tokenizer_path


def names_another_tokenizer(words: list[str], saved: dict[str, Any]) -> bool:
    """Whether flags name options of a tokenizer, or configs such options with other values than the checkpoint's.

    A config that was trained with names them too.

    Args:
        words: The words after the command.
        saved: The checkpoint's arguments of the data.
    """
    if any(word.startswith(TOKENIZER_FLAGS) for word in words):
        return True
    for config in config_contents(words):
        section = config.get("data")
        given = section.get("init_args", section) if isinstance(section, dict) else None
        for name in OF_TOKENIZER:
            held, other = value_of(saved, name), value_of(given, name)
            if None not in (held, other) and held != other:
                return True
    return False


def value_of(settings: Any, name: str) -> Any:
    """A value in nested settings, such as "tokens.shared"; None if there is none."""
    for key in name.split("."):
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings
