"""Lightning callbacks: what a run measures, draws, writes and survives."""

from seq_modules.callbacks.loggers.curves import Curves
from seq_modules.callbacks.loggers.gradient_histograms import GradientHistograms
from seq_modules.callbacks.loggers.run_config import RunConfig
from seq_modules.callbacks.music.music_samples import MusicSamples
from seq_modules.callbacks.music.music_statistics import MusicStatistics
from seq_modules.callbacks.music.music_writer import MusicWriter
from seq_modules.callbacks.points.decision_boundary import DecisionBoundary
from seq_modules.callbacks.run.best_checkpoint import BestCheckpoint
from seq_modules.callbacks.run.epoch_lines import EpochLines
from seq_modules.callbacks.run.final_validation import FinalValidation
from seq_modules.callbacks.run.graceful_stop import GracefulStop
from seq_modules.callbacks.run.last_checkpoint import LastCheckpoint
from seq_modules.callbacks.run.prediction_writer import PredictionWriter
from seq_modules.callbacks.run.resume_training import ResumeTraining
from seq_modules.callbacks.run.rng_state import RNGState
from seq_modules.callbacks.run.text_stream import TextStream
from seq_modules.callbacks.run.time_estimate import TimeEstimate
from seq_modules.callbacks.run.timed_bar import TimedBar
from seq_modules.callbacks.series.error_by_horizon import ErrorByHorizon
from seq_modules.callbacks.series.forecast_plots import ForecastPlots
from seq_modules.callbacks.text.alignments import Alignments
from seq_modules.callbacks.text.attention_maps import AttentionMaps
from seq_modules.callbacks.text.attention_page import AttentionPage
from seq_modules.callbacks.text.bleu_by_length import BleuByLength
from seq_modules.callbacks.text.confusion_matrix import ConfusionMatrix
from seq_modules.callbacks.text.english_tests import EnglishTests
from seq_modules.callbacks.text.neighbours import Neighbours
from seq_modules.callbacks.text.ngram_weights import NgramWeights
from seq_modules.callbacks.text.samples import Samples
from seq_modules.callbacks.text.text_attention import TextAttention
from seq_modules.callbacks.text.translation_report import TranslationReport
from seq_modules.callbacks.training.activation_checkpointing import ActivationCheckpointing
from seq_modules.callbacks.training.active_member import ActiveMember
from seq_modules.callbacks.training.compile import Compile
from seq_modules.callbacks.training.ema import EMA
from seq_modules.callbacks.training.gradient_flow import GradientFlow
from seq_modules.callbacks.training.gradient_norm import GradientNorm
from seq_modules.callbacks.training.length_curriculum import LengthCurriculum
from seq_modules.callbacks.training.length_sweep import LengthSweep
from seq_modules.callbacks.training.sequence_warmup import SequenceLengthWarmup
from seq_modules.callbacks.training.stop_when_diverged import StopWhenDiverged
from seq_modules.callbacks.training.stop_when_solved import StopWhenSolved
from seq_modules.callbacks.training.time_budget import TimeBudget

__all__ = [
    "EMA",
    "ActivationCheckpointing",
    "ActiveMember",
    "Alignments",
    "AttentionMaps",
    "AttentionPage",
    "BestCheckpoint",
    "BleuByLength",
    "Compile",
    "ConfusionMatrix",
    "Curves",
    "DecisionBoundary",
    "EnglishTests",
    "EpochLines",
    "ErrorByHorizon",
    "FinalValidation",
    "ForecastPlots",
    "GracefulStop",
    "GradientFlow",
    "GradientHistograms",
    "GradientNorm",
    "LastCheckpoint",
    "LengthCurriculum",
    "LengthSweep",
    "MusicSamples",
    "MusicStatistics",
    "MusicWriter",
    "Neighbours",
    "NgramWeights",
    "PredictionWriter",
    "RNGState",
    "ResumeTraining",
    "RunConfig",
    "Samples",
    "SequenceLengthWarmup",
    "StopWhenDiverged",
    "StopWhenSolved",
    "TextAttention",
    "TextStream",
    "TimeBudget",
    "TimeEstimate",
    "TimedBar",
    "TranslationReport",
]
