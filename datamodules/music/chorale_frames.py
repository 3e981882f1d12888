"""Chorales as frames, the set of pitches on each quarter: the published JSB chorales, or pieces composed by rule."""

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
from datamodules.tokenizers.music.frame import FrameTokenizer, Order
from seqlight.core.hyperparameters import check_choice, check_range, group_from
from seqlight.music.notes import Piece


@dataclass(frozen=True)
class FrameTokensConfig:
    """Which frames can be written.

    Attributes:
        lowest: Lowest MIDI pitch. The default range is that of the piano.
        highest: Highest MIDI pitch.
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

    They are read from a JSON file in the published split (Boulanger-Lewandowski et al. 2012), or composed by rule. Test
    pieces whose melody occurs in the training set are marked (datamodules/music/leaks.py). A checkpoint has the
    training pieces that its model retrieves from, so predict needs no file.

    Args:
        path: JSON file with the lists train, valid and test; each piece a list of frames, each frame a list of MIDI
            pitches, one frame a quarter. Default: 80 chorales composed by rule.
        tokens: Which frames can be written.
        transpose_down: Largest transposition of training pieces downwards, in semitones. It is drawn in each epoch,
            among those that keep the piece between lowest and highest.
        transpose_up: Largest transposition upwards, in semitones.
        retrieved: Number of frames that are retrieved at each step, from the training pieces and from the piece so far:
            those that followed the longest matches with the last frames, in melody or harmony, in any key. At least 2;
            0 disables retrieval and needs --model.frames.retrieval false. A training piece retrieves only its own past
            from itself.
        seq_len: Most frames of a training row; a longer piece is cut at a random start. Default: whole pieces.
        batch_size: Pieces in a batch of one process.
        samples: For predict: number of chorales to generate.
        prompt_frames: For predict: length of the prompt, the first frames of a test piece; 0 for no prompt.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training rows. Default: the run's seed (--seed_everything).

    Raises:
        UserError: A value is out of its range.
    """

    new_rows_each_epoch = True
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
        """Most pitches of a frame."""
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
        """Whether each piece of a split has a stretch of its melody in common with a training piece."""
        return leaked(self.chorales[split], self.chorales["train"], intervals)

    @cached_property
    def index(self) -> RetrievalIndex | None:
        """The training pieces to retrieve from; for predict, those of the checkpoint if it has any."""
        if not self.retrieved:
            return None
        pieces = self.chorales["train"] if self._indexed is None else self._indexed
        return RetrievalIndex(pieces, self.tokenizer, self.retrieved)

    def setup(self, stage: str) -> None:
        """Reads the pieces and retrieves for each; predict reads pieces only for prompts."""
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
