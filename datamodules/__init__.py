"""LightningDataModules, one per data set. Their import paths stand in checkpoints: a renamed class breaks old ones."""

from datamodules.base import SequenceDataModule
from datamodules.corpus import CorpusDataModule
from datamodules.parity import ParityDataModule

__all__ = ["CorpusDataModule", "ParityDataModule", "SequenceDataModule"]
