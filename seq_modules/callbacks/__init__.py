"""Lightning callbacks: what a run measures, draws, writes and survives."""

from seq_modules.callbacks.attention_maps import AttentionMaps
from seq_modules.callbacks.average_weights import AverageWeights
from seq_modules.callbacks.best_checkpoint import BestCheckpoint
from seq_modules.callbacks.compile import Compile
from seq_modules.callbacks.confusion_matrix import ConfusionMatrix
from seq_modules.callbacks.curriculum import LengthCurriculum
from seq_modules.callbacks.english_tests import EnglishTests
from seq_modules.callbacks.epoch_lines import EpochLines
from seq_modules.callbacks.graceful_stop import GracefulStop
from seq_modules.callbacks.gradient_norm import GradientNorm
from seq_modules.callbacks.last_checkpoint import LastCheckpoint
from seq_modules.callbacks.length_sweep import LengthSweep
from seq_modules.callbacks.music_samples import MusicSamples
from seq_modules.callbacks.music_statistics import MusicStatistics
from seq_modules.callbacks.music_writer import MusicWriter
from seq_modules.callbacks.neighbours import Neighbours
from seq_modules.callbacks.plots import Curves
from seq_modules.callbacks.rng_state import RNGState
from seq_modules.callbacks.run_config import RunConfig
from seq_modules.callbacks.samples import Samples
from seq_modules.callbacks.short_windows import ShortWindows
from seq_modules.callbacks.solved import StopWhenSolved
from seq_modules.callbacks.text_attention import TextAttention
from seq_modules.callbacks.text_stream import TextStream
from seq_modules.callbacks.time_budget import TimeBudget
from seq_modules.callbacks.timed_bar import TimedBar
from seq_modules.callbacks.writers import PredictionWriter

__all__ = [
    "AttentionMaps",
    "AverageWeights",
    "BestCheckpoint",
    "Compile",
    "ConfusionMatrix",
    "Curves",
    "EnglishTests",
    "EpochLines",
    "GracefulStop",
    "GradientNorm",
    "LastCheckpoint",
    "LengthCurriculum",
    "LengthSweep",
    "MusicSamples",
    "MusicStatistics",
    "MusicWriter",
    "Neighbours",
    "PredictionWriter",
    "RNGState",
    "RunConfig",
    "Samples",
    "ShortWindows",
    "StopWhenSolved",
    "TextAttention",
    "TextStream",
    "TimeBudget",
    "TimedBar",
]
