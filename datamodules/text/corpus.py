"""A text corpus for language models: files, a data set of the hub, or the manual that comes with Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from datamodules.base import SequenceDataModule
from datamodules.loading.cache import cache_folder, once
from datamodules.loading.ordered_windows import OrderedWindows
from datamodules.loading.progress import progress_bar, with_progress
from datamodules.loading.streams import encode_once
from datamodules.loading.token_windows import RandomWindows, TiledWindows, TokenStream, Windows
from datamodules.text.learned_tokenizer import TokenizerChoice, TokenizerKind
from datamodules.text.prompts import check_prediction, prompt_rows
from datamodules.text.text_files import TextFiles
from datamodules.text.text_sources import TextConfig, open_text
from datamodules.tokenizers import Tokenizer
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range, group_from, refuse_both

Split = Literal["train", "val", "test"]
Crops = Literal["random", "tiled"]


@dataclass(frozen=True)
class SplitConfig:
    """How the characters are divided: training first, validation next, test last.

    Attributes:
        val_fraction: Fraction of the characters for validation, above 0.
        test_fraction: Fraction for the test. With 0 the test uses the validation text.

    Raises:
        UserError: A fraction is out of its range.
    """

    val_fraction: float = 0.1
    test_fraction: float = 0.0

    def __post_init__(self) -> None:
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.test_fraction", self.test_fraction, least=0, below=1 - self.val_fraction)

    def ranges(self, size: int) -> dict[Split, tuple[int, int]]:
        """First and last character (not included) of each split of a text of ``size`` characters."""
        train, val = int((1 - self.val_fraction - self.test_fraction) * size), int((1 - self.test_fraction) * size)
        return {"train": (0, train), "val": (train, val), "test": (val, size) if self.test_fraction else (train, val)}


@dataclass(frozen=True)
class WindowConfig:
    """Which windows of the text are trained and evaluated on.

    Attributes:
        crops: Training windows start anywhere (random), or lie side by side from a random offset, in random order, so
            that no character comes twice in a pass (tiled).
        epoch_size: Windows in an epoch of training. Default: as many as lie side by side in the text.
        eval_size: Evaluate on this many random windows, the same in every run. Default: on the whole text, each token
            once.
        stride: Distance between the starts of the windows that the whole text is evaluated with. Only the last
            ``stride`` tokens of each count, which gives each token a long context. Default: seq_len.

    Raises:
        UserError: A value is out of its range, or both eval_size and stride are given.
    """

    crops: Crops = "random"
    epoch_size: int | None = None
    eval_size: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        check_choice("windows.crops", self.crops, Crops)
        for name in ("epoch_size", "eval_size", "stride"):
            check_range(f"windows.{name}", getattr(self, name), least=1)
        if self.stride is not None and self.eval_size is not None:
            raise UserError(f"windows.stride {self.stride} and eval_size {self.eval_size} exclude each other; give one")


class CorpusDataModule(SequenceDataModule):
    """Windows of text with the next token of each token as its label.

    The tokenizer is learned from the training text alone. Each split is encoded once and cached. A training window is
    determined by its number and the seed. The defaults split a text as nanoGPT does.

    Args:
        path: Text to learn from: a file, a folder (its .txt files), a pattern such as books/*.md, or a list of such.
            Default: Python's own reference manual.
        text: A column of the files, how they are encoded and read, or a data set of the hub in place of ``path``.
        split: Fractions of the text for validation and test.
        tokenizer: One id a character, a byte, a word, or a SentencePiece subword (unigram or bpe).
        vocab_size: Number of subwords, for unigram and bpe; most words, for word.
        tokenizer_path: SentencePiece .model file or checkpoint whose tokenizer is used instead.
        seq_len: Tokens in a window.
        batch_size: Windows in a batch of one process.
        windows: Which windows are trained and evaluated on.
        prompts: Texts that predict continues, or a file of them, one a line. Default: one short example. A character
            that the tokenizer does not know is read as its unknown symbol.
        stop: For predict: end a continuation before the first of these strings.
        cache_dir: Folder of encoded texts. Default: seqlight under $XDG_CACHE_HOME or ~/.cache. Never taken from a
            checkpoint.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training windows. Default: the run's seed (--seed_everything).

    Raises:
        UserError: A value is out of its range, or two exclude each other.
    """

    new_rows_each_epoch = True
    EVAL_SEED = 2**40 + 4  # beyond any seed of a run
    TEXT_LIMIT = 50_000_000  # characters that train_text, val_text and test_text return at most

    def __init__(
        self,
        path: str | list[str] | None = None,
        text: TextConfig = TextConfig(),
        split: SplitConfig = SplitConfig(),
        tokenizer: TokenizerKind = "char",
        vocab_size: int = 1000,
        tokenizer_path: str | None = None,
        seq_len: int = 256,
        batch_size: int = 64,
        windows: WindowConfig = WindowConfig(),
        prompts: list[str] | str | None = None,
        stop: list[str] | None = None,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        self.text_config, self.split = group_from(TextConfig, text), group_from(SplitConfig, split)
        self.windows = group_from(WindowConfig, windows)
        self.tokenizer_factory = TokenizerChoice(
            tokenizer,
            vocab_size,
            tokenizer_path,
            self.text_config.lower_case,
            self.text_config.strip_punctuation,
            self.text_config.min_count,
        )
        check_range("seq_len", seq_len, least=1)
        check_range("windows.stride", self.windows.stride, most=seq_len)
        refuse_both("path", path, "text.hub", self.text_config.hub)
        check_prediction(prompts, stop)
        self.path, self.seq_len, self.cache = path, seq_len, cache_folder(cache_dir)
        self.prompts, self.stop = prompts, stop

    @cached_property
    def text(self) -> TextFiles:
        """The whole text; a data set of the hub is loaded at first use."""
        return open_text(self.path, self.text_config, self.cache / "texts")

    @cached_property
    def ranges(self) -> dict[Split, tuple[int, int]]:
        """First and last character (not included) of each split."""

        def count(path: Path) -> None:
            with progress_bar(self.text.size, "counting the text's characters", "B") as bar:
                path.write_text(str(self.text.count(bar.update)))

        size = int(once(self.cache / "streams" / f"{self.text.fingerprint}.characters", count).read_text())
        if size == 0:
            raise UserError(f"path {self.path or self.text_config.hub}: the text is empty; give a file with text in it")
        return self.split.ranges(size)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer: read from ``tokenizer_path``, or learned from the training text by one process for all."""
        if not self.tokenizer_factory.needs_text:
            return self.tokenizer_factory.make(self.cache, "", tuple, 0)
        start, stop = self.ranges["train"]
        if start == stop:
            raise UserError(
                f"split.val_fraction {self.split.val_fraction} leaves no character to train on; give a longer text"
            )

        def pieces() -> Iterator[str]:
            return with_progress(self.text.line_pieces(start, stop), stop - start, "reading the text for the tokenizer")

        return self.tokenizer_factory.make(
            self.cache / "streams", f"{self.text.fingerprint}-{start}-{stop}", pieces, stop - start
        )

    @property
    def vocab_size(self) -> int:
        """Number of ids that the tokenizer has."""
        return self.tokenizer.vocab_size

    def stream(self, split: Split) -> TokenStream:
        """The ids of a split, encoded at first use.

        Raises:
            UserError: They do not fill one window.
        """
        (start, stop), tokenizer, text = self.ranges[split], self.tokenizer, self.text
        stream = encode_once(
            self.cache / "streams",
            f"{text.fingerprint}-{start}-{stop}-{tokenizer.fingerprint}",
            tokenizer.vocab_size,
            lambda: map(
                tokenizer.encode_array,
                with_progress(text.line_pieces(start, stop), stop - start, f"encoding the {split} text"),
            ),
        )
        if len(stream) <= self.seq_len:
            raise UserError(
                f"seq_len {self.seq_len} is too long for the {split} text of {len(stream)} tokens; give a longer text, "
                f"another fraction, or a seq_len below {max(len(stream), 2)}"
            )
        return stream

    def train_text(self) -> str:
        """The training text, at most its first 50 million characters."""
        return self._text("train")

    def val_text(self) -> str:
        """The validation text, at most its first 50 million characters."""
        return self._text("val")

    def test_text(self) -> str:
        """The text that the test uses, at most its first 50 million characters."""
        return self._text("test")

    def _text(self, split: Split) -> str:
        start, stop = self.ranges[split]
        return "".join(self.text.pieces(start, min(stop, start + self.TEXT_LIMIT)))

    def setup(self, stage: str) -> None:
        """Encodes what the stage needs; predict needs no corpus."""
        super().setup(stage)
        if stage == "fit":
            made = TiledWindows if self.windows.crops == "tiled" else RandomWindows
            characters, size = self.tokenizer.characters, self.windows.epoch_size
            self.train_set = made(self.stream("train"), self.seq_len, characters, size, self.seed)
        if stage in ("fit", "validate"):
            self.val_set = self._eval_windows("val")
        if stage == "test":
            self.test_set = self._eval_windows("test")
        if stage == "predict":
            self.predict_set = prompt_rows(self.prompts, self.tokenizer, self.stop)

    def _eval_windows(self, split: Split) -> Windows:
        stream, characters, size = self.stream(split), self.tokenizer.characters, self.windows.eval_size
        if size is not None:
            return RandomWindows(stream, self.seq_len, characters, size, self.EVAL_SEED)
        return OrderedWindows(stream, self.seq_len, characters, self.windows.stride)
