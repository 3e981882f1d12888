"""Checkpoints: found by name, read without executing anything, and turned back into a module or into settings.

A checkpoint holds, beside Lightning's own entries, the class paths and plain hyperparameters of the model and the data,
and under ``config`` the run's settings. That is enough to test, predict and resume with no config given.
"""

import contextlib
import dataclasses
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from seqlight.core.checkpoint_file.checksum import is_whole
from seqlight.core.checkpoint_file.growth import bounded_by
from seqlight.core.checkpoint_file.reading import read_file
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.paths import expanded
from seqlight.core.signatures import parameters_of
from seqlight.run_files.sharded_checkpoints import is_sharded, whole

if TYPE_CHECKING:
    from torch import nn

    from seq_modules import SequenceModule

CHECKPOINTS = "checkpoints"  # folder of a run that holds them
# Settings of a run that a checkpoint brings back when training is resumed: plain values that only steer the loop.
TRAINER_KEYS = (
    "precision", "max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "limit_train_batches",
    "limit_val_batches", "limit_test_batches", "limit_predict_batches", "overfit_batches", "val_check_interval",
    "check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps", "accumulate_grad_batches",
    "gradient_clip_val", "gradient_clip_algorithm", "deterministic", "benchmark", "use_distributed_sampler",
    "detect_anomaly", "reload_dataloaders_every_n_epochs",
)  # fmt: skip
LOGGERS = tuple(f"lightning.pytorch.loggers.{name}" for name in ("CSVLogger", "TensorBoardLogger", "WandbLogger"))
# What a checkpoint may say of a logger; not where it writes, nor whose account it uses.
LOGGER_ARGUMENTS = (
    "save_dir", "name", "version", "prefix", "project", "tags", "group", "job_type", "notes", "offline", "log_model",
    "log_graph", "default_hp_metric", "flush_logs_every_n_steps",
)  # fmt: skip
EARLY_STOPPING = "lightning.pytorch.callbacks.early_stopping.EarlyStopping"
EXPORTING = ("seq_modules", "datamodules", "seq_modules.callbacks")  # packages whose roots name their classes
WRITTEN = ("cache_dir",)  # an argument of data that names a place to write to: the checkpoint has no say in that


def find_checkpoint(spec: str, command: str, root: str = "runs") -> Path:
    """The file that ``--ckpt_path`` means.

    A checkpoint in parts is first made a file, beside it.

    Args:
        spec: A file, a folder of parts, a run's folder, "best" or "last" for that of the newest run that has one, or
            ``wandb:ENTITY/PROJECT/ARTIFACT:ALIAS``.
        command: fit goes on from a folder's last checkpoint, the other commands use its best.
        root: Folder that holds the runs.

    Raises:
        UserError: There is no such checkpoint.
    """
    path, root = expanded(spec), str(expanded(root))
    if path.is_file() or is_sharded(path):
        return whole(path)
    if spec.startswith("wandb:"):
        from seqlight.run_files.wandb_artifacts import artifact_file

        return artifact_file(spec, root)
    if spec in ("best", "last"):
        files = sorted(Path(root).rglob(f"{CHECKPOINTS}/{spec}.ckpt"), key=lambda file: file.stat().st_mtime_ns)
        if not files:
            remedy = "train one with `seqlight fit`"
            if spec == "best" and any(Path(root).rglob(f"{CHECKPOINTS}/last.ckpt")):
                remedy = f"give --ckpt_path last, or {remedy}"
            raise UserError(f"--ckpt_path {spec}: no run under {root}/ has a {spec}.ckpt; {remedy}")
        saved = Path(root).rglob(f"{CHECKPOINTS}/*.ckpt")
        newest = max(saved, key=lambda file: file.stat().st_mtime_ns).parents[1]
        if not (newest / CHECKPOINTS / f"{spec}.ckpt").exists():
            print(f"--ckpt_path {spec}: {files[-1]}, because {newest} has no {spec}.ckpt", file=sys.stderr)
        while not (is_whole(files[-1]) and (files[-1].is_dir() or zipfile.is_zipfile(files[-1]))):
            damaged = files.pop()
            if not files:
                raise UserError(f"--ckpt_path {spec}: {damaged} is damaged, and no run under {root}/ has another")
            print(f"--ckpt_path {spec}: {files[-1]}, because {damaged} is damaged", file=sys.stderr)
        return whole(files[-1])
    if path.is_dir():
        want = "last" if command == "fit" else "best"
        for file in (path / CHECKPOINTS / f"{want}.ckpt", path / f"{want}.ckpt"):
            if file.is_file() or is_sharded(file):
                return whole(file)
        raise UserError(f"--ckpt_path {spec}: the folder has no {CHECKPOINTS}/{want}.ckpt; name a file of it")
    raise UserError(f"--ckpt_path {spec}: no such file; give a checkpoint, a run's folder, best or last")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, checked entry by entry; only tensors and plain values are ever built.

    Raises:
        UserError: It is none, a damaged one, or holds anything else.
    """
    return read_file(path)


def known_class(path: Any, base: type) -> type | None:
    """The class of that import path if it is imported already: a file's words never import anything."""
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) and issubclass(found, base) else None


def is_exported(cls: type) -> bool:
    """Whether a class is one that a root of our packages names, or of no package of ours."""
    roots = [sys.modules[name] for name in EXPORTING if cls.__module__.startswith(f"{name}.") and name in sys.modules]
    return not roots or any(getattr(root, cls.__name__, None) is cls for root in roots)


def class_settings(content: dict[str, Any], entry: str, base: type, path: Path) -> dict[str, Any] | None:
    """``{class_path, init_args}`` of a checkpoint's model (``hyper_parameters``) or data, or None if it has none.

    Groups of arguments are nested dicts. Left out are arguments that the class, or fields that a group, no longer has,
    and what is not plain.
    """
    saved = content.get(entry) or {}
    class_path = saved.get("_class_path")
    if class_path is None:
        return None
    cls = known_class(class_path, base)
    if cls is None or not is_exported(cls):
        raise UserError(
            f"{path}: its class {class_path} is none of this program's, so the checkpoint is not loaded; if it is "
            "yours, name it by --model or --data, or in Python, import its module first"
        )
    accepted = parameters_of(cls)
    kept = {
        name: known_fields(accepted[name].annotation, value)
        for name, value in saved.items()
        if name in accepted and name not in WRITTEN and is_plain(value)
    }
    return {"class_path": class_path, "init_args": kept}


def known_fields(group: Any, value: Any) -> Any:
    """A group of arguments without the fields that its dataclass does not have; every other value as it is."""
    if not dataclasses.is_dataclass(group):
        return value
    hints, held = get_type_hints(group), value if isinstance(value, dict) else {}
    return {name: known_fields(hints[name], held[name]) for name in held if name in hints}


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a string, None, or a list or a group of such.

    The parser could make an object of nothing else; a mapping that names a class would be one.
    """
    if isinstance(value, dict):
        names_class = not {"class_path", "init_args", "dict_kwargs"}.isdisjoint(value)
        return not names_class and all(isinstance(name, str) and is_plain(held) for name, held in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, int | float | str)


def check_classes(content: dict[str, Any], names: Sequence[str] | None, path: str | Path) -> None:
    """Refuses data with another number of classes than the checkpoint has.

    Other names in the same number are left to the model, which may predict with them.

    Args:
        content: The checkpoint's.
        names: The data's classes; None if it has none.
        path: The checkpoint, for the message.

    Raises:
        UserError: The message names both lists of classes.
    """
    held = content.get("class_names")
    if held and names and len(held) != len(names):
        raise UserError(
            f"{path}: the checkpoint has {len(held)} classes ({shortened(held)}), but the data has {len(names)} "
            f"({shortened(names)}); leave out --data options that choose other classes"
        )


def shortened(names: Sequence[str]) -> str:
    """The first six names, for messages."""
    return ", ".join(map(str, names[:6])) + (", ..." if len(names) > 6 else "")


def check_weights(content: dict[str, Any], model: "nn.Module", path: str | Path) -> None:
    """Refuses a checkpoint whose weights have other names or shapes than the model's.

    Raises:
        UserError: The message names the first weight that differs.
    """
    held = {name: tuple(value.shape) for name, value in content["state_dict"].items() if hasattr(value, "shape")}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items() if hasattr(value, "shape")}
    for name in [*wanted, *held]:
        if held.get(name) != wanted.get(name):
            raise UserError(
                f"{path}: the checkpoint's weights do not fit the model; leave out --model and --data options "
                f"that change its shape ({name}: {held.get(name, 'none')} in the checkpoint, "
                f"{wanted.get(name, 'none')} in the model)"
            )


def settings(content: dict[str, Any], path: Path, command: str) -> dict[str, Any]:
    """The settings that a checkpoint holds, as a config; configs and flags override it.

    Resuming (fit) restores the settings of the training loop too, and of the devices those that this machine has. The
    other commands restore the callbacks alone. Files that the checkpoint names are read as if the user had named them,
    but nothing is written to a place that it names (docs/decisions/2026-11-21-language.md).
    """
    from datamodules import SequenceDataModule
    from seq_modules import SequenceModule
    from seq_modules.generation.decoding_config import Decoding
    from seqlight.devices import settings_here

    config: dict[str, Any] = {}
    for key, entry, base in (
        ("model", "hyper_parameters", SequenceModule),
        ("data", "datamodule_hyper_parameters", SequenceDataModule),
    ):
        if (found := class_settings(content, entry, base, path)) is not None:
            config[key] = found
    of_data = config.get("data", {}).get("init_args", {})
    if "tokenizer" in content and "tokenizer_path" in of_data:
        of_data["tokenizer_path"] = str(path)  # the weights know no other
    saved = content.get("config") or {}
    trainer = saved["trainer"] if isinstance(saved.get("trainer"), dict) else {}
    kept: dict[str, Any] = {
        "callbacks": [saved_callback(c) for c in _as_list(trainer.get("callbacks")) if _is_safe_callback(c)]
    }
    if command == "fit":
        kept["logger"] = [
            {"class_path": c["class_path"], "init_args": {k: v for k, v in _args(c).items() if k in LOGGER_ARGUMENTS}}
            for c in _as_list(trainer.get("logger"))
            if c.get("class_path") in LOGGERS and is_plain(_args(c))
        ]
        kept |= {key: trainer[key] for key in TRAINER_KEYS if _is_value(trainer.get(key))} | settings_here(trainer)
        for key in ("best_checkpoint", "last_checkpoint"):
            if key in saved:
                config[key] = {k: v for k, v in saved[key].items() if is_plain(v)}
        if (root := runs_root(path, saved.get("experiment"))) is not None:
            kept["default_root_dir"] = str(root)
    if saved:
        config["trainer"] = kept
    for key in ("seed_everything", "experiment"):
        if saved.get(key) is not None:
            config[key] = saved[key]
    if saved.get("decoding") is not None and is_plain(saved["decoding"]):
        config["decoding"] = known_fields(Decoding, saved["decoding"])
    return config


def saved_callback(callback: dict[str, Any]) -> dict[str, Any]:
    """A saved callback without arguments that its class no longer has, and without its files that do not exist here.

    A checkpoint from another machine names files of that machine; a log line names each of them. A callback lists the
    arguments that are files in a class attribute, such as ``reads = ("pairs",)``.
    """
    from lightning.pytorch.utilities import rank_zero_info

    cls = known_class(callback["class_path"], object)
    assert cls is not None
    accepted = parameters_of(cls)
    args = {name: value for name, value in _args(callback).items() if name in accepted}
    for name in getattr(cls, "reads", ()):
        file = args.get(name)
        if isinstance(file, str) and not Path(file).exists():
            rank_zero_info(f"the checkpoint's {callback['class_path']} has {name} {file}, not found here and left out")
            args[name] = None
    return {"class_path": callback["class_path"], "init_args": args}


def runs_root(path: Path, experiment: Any) -> Path | None:
    """The folder of runs that a checkpoint lies in (``root/<experiment>/<time>/checkpoints/``), if it can be written.

    It follows from the place of the file, not from its contents, which may come from another machine or person.
    """
    parts = Path(experiment).parts if isinstance(experiment, str) else ()
    place = path.absolute().parents
    if not parts or path.absolute().parent.name != CHECKPOINTS or len(place) <= 2 + len(parts):
        return None
    root = place[2 + len(parts)]
    if place[2].parts[-len(parts) :] != parts or not os.access(root, os.W_OK):
        return None
    return root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root


def _is_value(value: Any) -> bool:
    """A number or a word; a dotted string (a strategy's, say) might be an import path."""
    return isinstance(value, int | float) or (isinstance(value, str) and "." not in value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _args(item: dict[str, Any]) -> dict[str, Any]:
    return item.get("init_args") or {}


def _is_safe_callback(item: dict[str, Any]) -> bool:
    """Whether a saved callback is of a class that may stand in a checkpoint, with plain arguments."""
    from lightning.pytorch import Callback

    cls = known_class(item["class_path"], Callback)
    if cls is None or not is_plain(_args(item)):
        return False
    return item["class_path"] == EARLY_STOPPING or (cls.__module__.startswith("seq_modules.") and is_exported(cls))


def load(checkpoint: str | Path, root: str = "runs") -> "SequenceModule":
    """The trained module of a checkpoint, on the CPU, in evaluation mode, ready to call.

    Its ``tokenizer`` is that of the checkpoint, its ``data_hparams`` are the hyperparameters of the data it was trained
    on.

    Args:
        checkpoint: A checkpoint file, a run's folder, "best" or "last" for that of the newest run, a folder that
            `seqlight export` has written, or ``wandb:ENTITY/PROJECT/ARTIFACT:ALIAS``, an artifact of Weights & Biases.
        root: Folder that holds the runs.

    Raises:
        UserError: No such checkpoint, a damaged one, or one of a class that is not known: import the module that
            defines a class of your own first.

    Example:
        >>> module = seqlight.load("runs/parity/lstm_last/2026-11-21_10-00-00")  # doctest: +SKIP
        >>> logits, state = module(input_ids)  # doctest: +SKIP
    """
    from seqlight.export import safetensors_folder

    folder = expanded(checkpoint)
    if safetensors_folder.is_folder(folder):
        return module_of(safetensors_folder.read(folder), folder)
    path = find_checkpoint(str(checkpoint), "test", root)
    return module_of(read_checkpoint(path), path)


@contextlib.contextmanager
def refusing_arguments(cls: type, path: Path) -> Iterator[None]:
    """Says in one line that what a checkpoint gives a class is none of its arguments.

    Args:
        cls: The class.
        path: The checkpoint.

    Raises:
        UserError: An error is none that the class says itself.
    """
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"{path}: {cls.__name__} takes no such arguments ({reason_of(error)})") from error


def module_of(content: dict[str, Any], path: Path) -> "SequenceModule":
    """The module of a checkpoint's contents, as :func:`load` gives it.

    Args:
        content: The contents.
        path: The checkpoint, for messages.

    Raises:
        UserError: It does not fit its class, or that is not known.
    """
    from seq_modules import SequenceModule  # its classes must be known before a checkpoint may name one

    found = class_settings(content, "hyper_parameters", SequenceModule, path)
    if found is None:
        raise UserError(f"{path}: does not say which class it is of; load it with that class's load_from_checkpoint")
    cls: Any = known_class(found["class_path"], SequenceModule)
    with bounded_by(content["state_dict"], path), refusing_arguments(cls, path):
        module = cls(**found["init_args"])
    check_weights(content, module, path)
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"])
    module.eval()
    module.data_hparams = dict(content.get("datamodule_hyper_parameters") or {})
    if "tokenizer" in content:
        from datamodules import tokenizers

        module.tokenizer = tokenizers.from_state(content["tokenizer"])
    return module
