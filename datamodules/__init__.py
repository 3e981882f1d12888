"""LightningDataModules, one per data set. Their import paths stand in checkpoints: a renamed class breaks old ones."""

from datamodules.base import SequenceDataModule
from datamodules.chorale_frames import ChoraleFramesDataModule
from datamodules.corpus import CorpusDataModule
from datamodules.midi import MidiDataModule
from datamodules.parity import ParityDataModule
from datamodules.questions import QuestionsDataModule
from datamodules.reviews import ReviewsDataModule

__all__ = [
    "ChoraleFramesDataModule",
    "CorpusDataModule",
    "MidiDataModule",
    "ParityDataModule",
    "QuestionsDataModule",
    "ReviewsDataModule",
    "SequenceDataModule",
]
