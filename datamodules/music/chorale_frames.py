"""Chorales as frames, the set of pitches on each quarter, with the published split of the JSB chorales or made up."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from datamodules.base import SequenceDataModule
from datamodules.music.chorale_rows import ChoraleEvalRows, ChoralePrompts, ChoraleTrainRows
from datamodules.music.leaks import INTERVALS, leaked
from datamodules.music.retrieval import RetrievalIndex
from datamodules.music.sources.jsb_files import Chorale, ChoraleSplits, made_up_chorales, packed, read_frames, unpacked
from datamodules.music.sources.midi_files import write_midi
from datamodules.tokenizers.frame import FrameTokenizer, Order
from seqlight.core.checks import check_choice, check_range
from seqlight.core.config_groups import group_from
from seqlight.music.notes import Piece


@dataclass(frozen=True)
class FrameTokensConfig:
    """Which frames there are.

    Attributes:
        lowest: Lowest pitch; the model gives each pitch of the range a probability. The default range is the piano's.
        highest: Highest pitch.
        frame_size: Largest number of pitches that sound together.
        order: Which pitch of a frame is predicted first: the highest ("falling") or the lowest ("rising").

    Raises:
        UserError: A value is out of its range.
    """

    lowest: int = 21
    highest: int = 108
    frame_size: int = 4
    order: Order = "falling"

    def __post_init__(self) -> None:
        check_range("tokens.lowest", self.lowest, least=0, most=127)
        check_range("tokens.highest", self.highest, least=self.lowest, most=127)
        check_range("tokens.frame_size", self.frame_size, least=1, most=self.highest - self.lowest + 1)
        check_choice("tokens.order", self.order, Order)


class ChoraleFramesDataModule(SequenceDataModule):
    """Four-part chorales, quarter by quarter, as sets of sounding pitches.

    With ``path`` a JSON file in the published split (Boulanger-Lewandowski et al. 2012); without it, chorales made up
    by rule, to try the system. Test pieces whose melody is in the training set too are marked
    (datamodules/music/leaks.py). The training pieces that a model retrieves from are saved in its checkpoint, so that
    predict needs no file.

    Args:
        path: JSON file with the lists train, valid and test; each piece a list of frames, each frame a list of MIDI
            pitches, one frame a quarter. By default 80 chorales made up by rule.
        tokens: Which frames there are.
        transpose_down: Semitones by which a training piece is transposed down at most. Pieces are transposed anew in
            each epoch; transpositions that would leave the range from lowest to highest are not taken.
        transpose_up: Semitones by which it is transposed up at most.
        retrieved: Number of frames of the training pieces, and of the piece so far, that are retrieved at each step:
            those that followed where most of the melody, or of the harmony, agreed with the last frames, in any key. At
            least 2, or 0 for none, which goes with --model.frames.retrieval false. A training piece retrieves nothing
            from itself but its own past.
        seq_len: Frames of a training window; longer pieces begin anywhere. By default whole pieces.
        batch_size: Pieces in a batch of one process.
        samples: For predict: how many chorales to write.
        prompt_frames: For predict: begin each with so many frames of a test piece; 0 begins from nothing.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training rows; by default that of the run (--seed_everything).

    Raises:
        UserError: A value is out of its range.
    """

    fresh_rows = True
    MADE_UP_SEED = 2**40 + 5  # beyond any seed of a run
    ORGAN = 19  # the instrument of MIDI files, in General MIDI from 0
    MADE_UP = (60, 10, 10)  # pieces for training, validation and the test

    def __init__(
        self,
        path: str | None = None,
        tokens: FrameTokensConfig = FrameTokensConfig(),
        transpose_down: int = 5,
        transpose_up: int = 6,
        retrieved: int = 8,
        seq_len: int | None = None,
        batch_size: int = 16,
        samples: int = 4,
        prompt_frames: int = 0,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        check_range("transpose_down", transpose_down, least=0)
        check_range("transpose_up", transpose_up, least=0)
        check_range("retrieved", retrieved, least=0)
        check_range("seq_len", seq_len, least=1)
        check_range("samples", samples, least=1)
        check_range("prompt_frames", prompt_frames, least=0)
        tokens = group_from(FrameTokensConfig, tokens)
        self.tokenizer = FrameTokenizer(tokens.lowest, tokens.highest, tokens.frame_size, tokens.order)
        self.path, self.seq_len = path, seq_len
        self.transpose = (-transpose_down, transpose_up)
        self.samples, self.prompt_frames, self.retrieved = samples, prompt_frames, retrieved
        self._indexed: list[Chorale] | None = None  # pieces of a checkpoint's index

    @property
    def vocab_size(self) -> int:
        """Pitches, END and START."""
        return self.tokenizer.vocab_size

    @property
    def frame_size(self) -> int:
        """Pitches of a frame at most."""
        return self.tokenizer.frame_size

    @cached_property
    def chorales(self) -> ChoraleSplits:
        """The pieces by split: train, valid and test."""
        if self.path is not None:
            return read_frames(self.path)
        train, valid, _ = self.MADE_UP
        pieces = made_up_chorales(sum(self.MADE_UP), self.MADE_UP_SEED)
        return {"train": pieces[:train], "valid": pieces[train : train + valid], "test": pieces[train + valid :]}

    def leaked(self, split: str, intervals: int = INTERVALS) -> list[bool]:
        """Whether each piece of a split shares a stretch of its melody with a training piece."""
        return leaked(self.chorales[split], self.chorales["train"], intervals)

    @cached_property
    def index(self) -> RetrievalIndex | None:
        """The training pieces to retrieve from; for predict those of the checkpoint, where it holds any."""
        if not self.retrieved:
            return None
        pieces = self.chorales["train"] if self._indexed is None else self._indexed
        return RetrievalIndex(pieces, self.tokenizer, self.retrieved)

    def setup(self, stage: str) -> None:
        """Reads the pieces and retrieves for each; predict needs no pieces but those that it begins with."""
        super().setup(stage)
        tokenizer = self.tokenizer
        if stage == "fit":
            train = self.chorales["train"]
            self.train_set = ChoraleTrainRows(train, tokenizer, self.index, self.seq_len, self.transpose, self.seed)
        if stage in ("fit", "validate"):
            self.val_set = ChoraleEvalRows(self.chorales["valid"], tokenizer, self.index, self.leaked("valid"))
        if stage == "test":
            self.test_set = ChoraleEvalRows(self.chorales["test"], tokenizer, self.index, self.leaked("test"))
        if stage == "predict":
            self.predict_set = None  # the index comes with the checkpoint, after this

    def predict_dataloader(self) -> DataLoader:
        """The prompts of predict; see the base class."""
        if self.predict_set is None:
            begun = self.chorales["test"] if self.prompt_frames else []
            self.predict_set = ChoralePrompts(begun, self.samples, self.prompt_frames, self.tokenizer, self.index)
        return super().predict_dataloader()

    def write_midi(self, path: str | Path, piece: Piece) -> None:
        """Writes a piece as a MIDI file, for the callbacks."""
        write_midi(path, piece, self.ORGAN)

    def state_dict(self) -> dict[str, Any]:
        """See the base class; with the pieces of the index."""
        state: dict[str, Any] = dict(super().state_dict())
        return state | {"indexed": self._packed} if self.retrieved else state

    @cached_property
    def _packed(self) -> dict[str, Any]:
        return packed(self.chorales["train"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See the base class; an index that is made later is that of the checkpoint.

        Raises:
            UserError: The pieces of the index are damaged.
        """
        super().load_state_dict(state)
        if "indexed" in state:
            self._indexed = unpacked(state["indexed"])
