"""``seqlight bench``: how quickly a checkpoint's system trains and is used on this machine, by batch size."""

import contextlib
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jsonargparse import ActionConfigFile
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.cli import Namespace

from datamodules import SequenceDataModule
from seq_modules.generation.decoding_config import Decoding
from seqlight.checkpoints import check_classes, find_checkpoint, module_of, read_checkpoint, settings
from seqlight.command.arguments import import_own_classes, option, values_as_configs
from seqlight.command.exit_codes import interruption
from seqlight.command.messages import as_user_error, user_errors
from seqlight.command.parser import Parser
from seqlight.command.precision import Precision, check_available, fastest
from seqlight.command.quiet import quieten
from seqlight.core import hardware
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.core.yaml_text import yaml_text
from seqlight.devices import accelerator_here
from seqlight.inspection.throughput import Throughput
from seqlight.inspection.work import unit_of

NEW_TOKENS = 64  # of a generation, where --decoding.max_new_tokens does not say
OF_A_STEP = ("gradient_clip_val", "gradient_clip_algorithm")  # a run's settings that belong to its training step


def command(words: list[str]) -> int:
    """Measures, and prints a table, and below it the same as one line of JSON."""
    quieten()
    parser = bench_parser()
    if any(word in ("--help", "-h") or word.startswith("--data.help") for word in words):
        parser.parse_args(words)  # prints and exits
    import_own_classes(words)
    given = option(words, "--ckpt_path")
    path = find_checkpoint(given[1] if given else "best", "test")
    content = read_checkpoint(path)
    layer = yaml_text(saved_layer(content, path, words))
    config = parser.parse_args(["--config", layer, *values_as_configs(words)])
    check_range("--seconds", config.seconds, above=0)
    device = accelerator_here(config.device)
    if device is None:
        raise UserError(
            f"--device {config.device}: torch sees none on this machine; `seqlight doctor` shows its devices"
        )
    if config.clock == "cpu" and device != "cpu":
        raise UserError(f"--clock cpu times a CPU's thread, not {device}; add --device cpu, or leave it out")
    trainer = trainer_settings(content, device, config.precision)
    with one_thread() if config.clock == "cpu" else contextlib.nullcontext():
        report = measure(parser, config, content, path, trainer)
    print(f"{text_of(report)}\n{json.dumps(report)}")
    return 0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch computes on one thread."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def bench_parser() -> Parser:
    """The options of the command."""
    parser = Parser(prog="seqlight bench", description="Measures how quickly a checkpoint's system trains and is used.")
    parser.class_option = "data"
    parser.add_argument("--config", action=ActionConfigFile, help="A file with settings of data and decoding.")
    parser.add_argument("--ckpt_path", default="best", help="A checkpoint, a run's folder, best or last.")
    parser.add_argument("--model", type=str | None, help="Class of a system of one's own, such as mine.MyModule.")
    parser.add_argument(
        "--batch_size", type=int, nargs="+", help="Batch sizes, such as 1 8 64. Default: 1, 8 and the run's own."
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="How long each kind of work is timed.")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto.")
    parser.add_argument("--precision", type=Precision | None, help="As --trainer.precision. Default: the run's own.")
    parser.add_argument(
        "--clock",
        type=Literal["wall", "cpu"],
        default="wall",
        help="wall: all threads by the wall clock. cpu: one thread by its own clock, where others use the machine too.",
    )
    parser.add_lightning_class_args(SequenceDataModule, "data", subclass_mode=True)
    parser.add_class_arguments(Decoding, "decoding")
    return parser


def saved_layer(content: dict[str, Any], path: Path, words: list[str]) -> dict[str, Any]:
    """The checkpoint's settings of data and of decoding, over which the words lie."""
    saved = settings(content, path, "test")
    if "data" not in saved and option(words, "--data") is None:
        raise UserError(f"{path}: holds no settings of data; name a datamodule by --data")
    data = {"data": saved["data"]} if "data" in saved else {}
    return {**data, "decoding": {**saved.get("decoding", {}), "max_new_tokens": NEW_TOKENS}}


def trainer_settings(content: dict[str, Any], device: str, precision: Any) -> dict[str, Any]:
    """Arguments of a Trainer that writes nothing and does what a step of the checkpoint's run did.

    Raises:
        UserError: The precision cannot be had on the device.
    """
    run = (content.get("config") or {}).get("trainer")
    saved = run if isinstance(run, dict) else {}
    known = [value for choices in get_args(Precision) for value in get_args(choices)]
    if precision is None:
        precision = saved["precision"] if saved.get("precision") in known else "32-true"
    if precision == "auto":
        precision, _ = fastest(device)
    check_available(str(precision), device)
    return {
        "accelerator": device,
        "devices": 1,
        "precision": precision,
        "plugins": [LightningEnvironment()],  # one process, whatever has started it
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 0,
        "use_distributed_sampler": False,
        "max_epochs": -1,
        "max_steps": 10**9,  # a schedule needs an end to go to
        **{name: saved[name] for name in OF_A_STEP if isinstance(saved.get(name), int | float | str)},
    }


def measure(
    parser: Parser, config: Namespace, content: dict[str, Any], path: Path, trainer: dict[str, Any]
) -> dict[str, Any]:
    """Measures all batch sizes, each with the checkpoint's weights; the report, plain data.

    Raises:
        UserError: The data cannot be made or do not fit the checkpoint, or a batch needs too much memory.
    """
    own, measured, machine = config.data.init_args.batch_size, [], []
    for batch_size in config.batch_size or sorted({1, min(8, own), own}):
        torch.manual_seed(0)
        config.data.init_args.batch_size = batch_size
        module = module_of(content, path).train()
        try:
            objects = parser.instantiate_classes(config.clone())
        except (ValueError, TypeError) as error:
            raise as_user_error(error, config) from error
        check_classes(content, getattr(objects.data, "class_names", None), path)
        clock: hardware.Clock = "thread_time" if config.clock == "cpu" else "perf_counter"
        throughput = Throughput(batch_size, config.seconds, objects.decoding, content, clock)
        try:
            with user_errors():
                Trainer(callbacks=[throughput], **trainer).fit(module, datamodule=objects.data)
        except torch.OutOfMemoryError as error:
            raise UserError(f"--batch_size {batch_size}: needs more memory than the device has") from error
        except SystemExit as stop:
            if interrupted := interruption(stop):
                raise interrupted from None
            raise
        measured += throughput.measured
        machine += throughput.machine
    device = trainer["accelerator"]
    return {
        "checkpoint": str(path),
        "system": type(module).__name__,
        "parameters": sum(weight.numel() for weight in module.parameters()),
        "trained_parameters": sum(weight.numel() for weight in module.parameters() if weight.requires_grad),
        "machine": hardware.name(device) if device in hardware.SHAPES else device,
        "threads": torch.get_num_threads(),
        "clock": config.clock,
        "torch": torch.__version__,
        "precision": str(trainer["precision"]),
        "machine_gflops": statistics.median(machine) if machine else None,
        "machine_gflops_range": [min(machine), max(machine)] if machine else None,
        "unit": unit_of(module),
        "measurements": [asdict(measurement) for measurement in measured],
    }


def text_of(report: dict[str, Any]) -> str:
    """The report as lines to read."""
    rate = report["machine_gflops"]
    own = (
        "not measured"
        if rate is None
        else "{:.0f} GFLOP/s ({:.0f} to {:.0f})".format(rate, *report["machine_gflops_range"])
    )
    headings = (
        "work",
        "batch size",
        "rows",
        f"{report['unit']}/s",
        "ms",
        "calls",
        "GFLOP/s",
        "of the machine",
        "peak MB",
    )
    rows = [
        (
            found["work"],
            str(found["batch_size"]),
            str(found["rows"]),
            f"{found['units_per_second']:,.0f}",
            f"{found['milliseconds']:,.2f}",
            str(found["calls"]),
            "-" if found["gflops"] is None else f"{found['gflops']:,.2f}",
            "-" if found["gflops"] is None or rate is None else f"{100 * found['gflops'] / rate:.1f} %",
            f"{found['peak_mb']:,.0f}",
        )
        for found in sorted(report["measurements"], key=lambda found: found["work"], reverse=True)
    ]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in (headings, *rows)]
    how = f"threads {report['threads']}, torch {report['torch']}, {report['clock']} clock"
    first = [
        f"{report['checkpoint']}: {report['system']}, {report['parameters']:,} parameters",
        f"machine: {report['machine']}; {how}",
        f"its matrix products in {report['precision']}: {own}",
    ]
    return "\n".join([*first, *lines])
