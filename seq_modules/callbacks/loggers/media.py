"""Pictures, texts, sounds and histograms for the loggers of a run: W&B and TensorBoard show the same.

Callbacks hand over what they make by these functions, which alone know the loggers. A logger that shows no such thing
is passed over. All is logged at the trainer's step, on rank 0.
"""

import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from seq_modules.callbacks.run.run_folder import run_folder


def save_figure(trainer: Trainer, figure: Any, name: str) -> Path:
    """Saves a figure as ``plots/<name>.png`` of the run's folder and logs it.

    Args:
        trainer: The trainer.
        figure: A matplotlib figure.
        name: Of the file and in the loggers.

    Returns:
        The file.
    """
    path = run_folder(trainer) / "plots" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    log_picture(trainer, name, path)
    return path


@rank_zero_only
def log_picture(trainer: Trainer, name: str, path: Path) -> None:
    """Logs a picture.

    Args:
        trainer: The trainer.
        name: In the loggers.
        path: A PNG file.
    """
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [str(path)], trainer.global_step)
        elif isinstance(logger, TensorBoardLogger):
            from matplotlib.image import imread

            logger.experiment.add_image(name, imread(path), trainer.global_step, dataformats="HWC")


@rank_zero_only
def log_text(trainer: Trainer, name: str, text: str) -> None:
    """Logs a text: to W&B as a table with the columns step and text, to TensorBoard as it stands, line by line.

    Args:
        trainer: The trainer.
        name: In the loggers.
        text: The text.
    """
    step = trainer.global_step
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_text(name, ["step", "text"], [[step, text]], step=step)  # type: ignore[list-item]
        elif isinstance(logger, TensorBoardLogger):
            indented = "\n".join(f"    {line}" for line in text.splitlines())  # a block of code in Markdown
            logger.experiment.add_text(name, indented, step)


@rank_zero_only
def log_sound(trainer: Trainer, name: str, path: Path) -> None:
    """Logs a sound.

    Args:
        trainer: The trainer.
        name: In the loggers.
        path: A WAV file of 16-bit samples.
    """
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            # A list of sounds, as log_audio gives, would want another package to measure them.
            logger.log_metrics({name: wandb.Audio(str(path))}, trainer.global_step)  # type: ignore[dict-item]
        elif isinstance(logger, TensorBoardLogger):
            samples, rate = read_wav(path)
            logger.experiment.add_audio(name, samples, trainer.global_step, sample_rate=rate)


@rank_zero_only
def log_histograms(trainer: Trainer, values: Mapping[str, Tensor]) -> None:
    """Logs histograms; values that are NaN or infinite do not count.

    Args:
        trainer: The trainer.
        values: By name in the loggers, tensors of any shape.
    """
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            histograms = {name: wandb.Histogram(numbers) for name, numbers in _finite(values)}
            logger.log_metrics(histograms, trainer.global_step)  # type: ignore[arg-type]
        elif isinstance(logger, TensorBoardLogger):
            for name, numbers in _finite(values):
                logger.experiment.add_histogram(name, numbers, trainer.global_step)


def _finite(values: Mapping[str, Tensor]) -> Iterator[tuple[str, Any]]:
    for name, tensor in values.items():
        numbers = tensor.detach().float().cpu().numpy().ravel()
        if (numbers := numbers[np.isfinite(numbers)]).size:
            yield name, numbers


def read_wav(path: Path) -> tuple[Any, int]:
    """The mean of a sound's channels, from -1 to 1, as an array (samples,), and its samples per second.

    Args:
        path: A WAV file of 16-bit samples.
    """
    with wave.open(str(path)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return frames.mean(1) / 2**15, file.getframerate()
