"""LightningDataModules, one per data set. Their import paths stand in checkpoints: a renamed class breaks old ones."""

from datamodules.base import SequenceDataModule
from datamodules.classification.questions import QuestionsDataModule
from datamodules.classification.reviews import ReviewsDataModule
from datamodules.formal.formal_language import FormalLanguageDataModule
from datamodules.music.chorale_frames import ChoraleFramesDataModule
from datamodules.music.midi import MidiDataModule
from datamodules.parity import ParityDataModule
from datamodules.seq2seq.dates import DatesDataModule
from datamodules.seq2seq.strings import StringsDataModule
from datamodules.seq2seq.translation import TranslationDataModule
from datamodules.series.forecast import ForecastDataModule
from datamodules.tabular.tabular import TabularDataModule
from datamodules.tagging.tagging import TaggingDataModule
from datamodules.text.corpus import CorpusDataModule
from datamodules.text.streaming import StreamingTextDataModule

__all__ = [
    "ChoraleFramesDataModule",
    "CorpusDataModule",
    "DatesDataModule",
    "ForecastDataModule",
    "FormalLanguageDataModule",
    "MidiDataModule",
    "ParityDataModule",
    "QuestionsDataModule",
    "ReviewsDataModule",
    "SequenceDataModule",
    "StreamingTextDataModule",
    "StringsDataModule",
    "TabularDataModule",
    "TaggingDataModule",
    "TranslationDataModule",
]
