"""Lightning callbacks: what a run measures, draws, writes and survives."""

from seq_modules.callbacks.best_checkpoint import BestCheckpoint
from seq_modules.callbacks.curriculum import LengthCurriculum
from seq_modules.callbacks.epoch_lines import EpochLines
from seq_modules.callbacks.graceful_stop import GracefulStop
from seq_modules.callbacks.gradient_norm import GradientNorm
from seq_modules.callbacks.last_checkpoint import LastCheckpoint
from seq_modules.callbacks.length_sweep import LengthSweep
from seq_modules.callbacks.plots import Curves
from seq_modules.callbacks.rng_state import RNGState
from seq_modules.callbacks.run_config import RunConfig
from seq_modules.callbacks.solved import StopWhenSolved
from seq_modules.callbacks.timed_bar import TimedBar
from seq_modules.callbacks.writers import PredictionWriter

__all__ = [
    "BestCheckpoint",
    "Curves",
    "EpochLines",
    "GracefulStop",
    "GradientNorm",
    "LastCheckpoint",
    "LengthCurriculum",
    "LengthSweep",
    "PredictionWriter",
    "RNGState",
    "RunConfig",
    "StopWhenSolved",
    "TimedBar",
]
