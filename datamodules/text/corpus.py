"""A text corpus for language models: files, a data set of the hub, or the prose that comes with Python."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from datamodules.base import SequenceDataModule
from datamodules.loading.cache import cache_folder, once
from datamodules.loading.streams import TokenStream, encode_once, progress_bar, with_progress
from datamodules.loading.token_windows import EvalWindows, RandomEvalWindows, TrainWindows, Windows
from datamodules.text.prompts import Prompts, check_prompts, read_prompts
from datamodules.text.text_files import TextFiles, find_text_files
from datamodules.text.text_sources import embedded_text, hub_text
from datamodules.tokenizers import ByteTokenizer, CharTokenizer, SentencePieceTokenizer, Tokenizer, load, save
from seqlight.core.errors import UserError

Split = Literal["train", "val", "test"]


class CorpusDataModule(SequenceDataModule):
    """Windows of text with the next token of each as its label.

    The text is split by characters: validation behind training, test behind both; with the defaults exactly as nanoGPT
    does it. The tokenizer is learned from the training share alone. Each share is encoded once and kept in a cache,
    from which it is mapped into memory; training windows follow from their number and the seed.

    Args:
        path: Text to learn from: a file, a folder (its .txt files), a pattern such as books/*.md, or a list of such.
            By default Python's own reference manual.
        hub: Data set of the Hugging Face hub, such as karpathy/tiny_shakespeare, or owner/name:config.
        revision: Its branch, tag or commit.
        column: Its column of text.
        tokenizer: One id a character, a byte, or a SentencePiece subword (unigram or bpe).
        vocab_size: Number of subwords, for unigram and bpe.
        tokenizer_path: Take the tokenizer of this SentencePiece .model file or checkpoint instead.
        seq_len: Tokens in a window.
        batch_size: Windows in a batch of one process.
        crops: Training windows start anywhere (random), or lie side by side from a random offset, in random order, so
            that no character comes twice in a pass (tiled).
        epoch_size: Windows in an epoch of training; by default as many as tile the text.
        val_fraction: Share of the characters for validation, above 0.
        test_fraction: Share for the test, from the end; by default none, and the test uses the validation text.
        eval_windows: Evaluate on this many random windows, always the same; by default on the whole text once.
        stride: Evaluate with windows that start every so many tokens and count their last ones alone, which gives each
            token a long context; by default windows lie side by side.
        prompts: Texts for predict to go on from. A character unknown to the tokenizer is read as its unknown symbol.
        prompts_path: File of them, one a line.
        stop: For predict: end a text before the first of these strings.
        cache_dir: Where encoded texts are kept; by default seqlight under $XDG_CACHE_HOME or ~/.cache. Never taken from
            a checkpoint.
        encoding: Of the text files.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training windows; by default that of the run (--seed_everything).
    """

    fresh_rows = True
    EVAL_SEED = 2**40 + 4  # beyond any seed of a run
    TEXT_LIMIT = 50_000_000  # characters that train_text and its like give at most

    def __init__(
        self,
        path: str | list[str] | None = None,
        hub: str | None = None,
        revision: str | None = None,
        column: str | None = None,
        tokenizer: Literal["char", "byte", "unigram", "bpe"] = "char",
        vocab_size: int = 1000,
        tokenizer_path: str | None = None,
        seq_len: int = 256,
        batch_size: int = 64,
        crops: Literal["random", "tiled"] = "random",
        epoch_size: int | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        eval_windows: int | None = None,
        stride: int | None = None,
        prompts: list[str] | None = None,
        prompts_path: str | None = None,
        stop: list[str] | None = None,
        cache_dir: str | None = None,
        encoding: str = "utf-8",
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters(logger=False)
        for name, number in (
            ("vocab_size", vocab_size),
            ("seq_len", seq_len),
            ("epoch_size", epoch_size),
            ("eval_windows", eval_windows),
            ("stride", stride),
        ):
            if number is not None and number < 1:
                raise UserError(f"{name} must be at least 1, not {number}")
        if path is not None and hub is not None:
            raise UserError(f"path {path} and hub {hub} are both given; give one of them")
        if stride is not None and stride > seq_len:
            raise UserError(f"stride {stride} is greater than seq_len {seq_len}, so that tokens would be left out")
        if stride is not None and eval_windows is not None:
            raise UserError(f"stride {stride} and eval_windows {eval_windows} exclude each other; give one of them")
        if not 0 < val_fraction < 1:
            raise UserError(f"val_fraction must be above 0 and below 1, not {val_fraction}")
        if not 0 <= test_fraction < 1 - val_fraction:
            raise UserError(f"test_fraction must be at least 0 and, with val_fraction, below 1, not {test_fraction}")
        if prompts is not None:
            check_prompts(prompts)
            if prompts_path is not None:
                raise UserError(f"prompts_path {prompts_path} and prompts are both given; give one of them")
        if stop is not None and not all(stop):
            raise UserError("stop holds an empty string, at which every text would end; leave it out")
        self.path, self.hub, self.revision, self.column, self.encoding = path, hub, revision, column, encoding
        self.tokenizer_kind, self.pieces, self.tokenizer_path = tokenizer, vocab_size, tokenizer_path
        self.seq_len, self.crops, self.epoch_size = seq_len, crops, epoch_size
        self.val_fraction, self.test_fraction, self.eval_windows, self.stride = (
            val_fraction,
            test_fraction,
            eval_windows,
            stride,
        )
        self.prompts, self.prompts_path, self.stop = prompts, prompts_path, stop
        self.cache = cache_folder(cache_dir)

    @cached_property
    def text(self) -> TextFiles:
        """The whole text; a hub's data set is loaded at first use."""
        if self.path is not None:
            return TextFiles(find_text_files(self.path), self.encoding)
        if self.hub is not None:
            return TextFiles([hub_text(self.cache / "texts", self.hub, self.revision, self.column)])
        return TextFiles([embedded_text(self.cache / "texts")])

    @cached_property
    def shares(self) -> dict[Split, tuple[int, int]]:
        """Where each split begins and ends, in characters."""

        def count(path: Path) -> None:
            with progress_bar(self.text.size, "counting the text's characters", "B") as bar:
                path.write_text(str(self.text.count(bar.update)))

        size = int(once(self.cache / "streams" / f"{self.text.fingerprint}.characters", count).read_text())
        if size == 0:
            raise UserError(f"path {self.path or self.hub}: the text is empty; give a file with text in it")
        train, test = int((1 - self.val_fraction - self.test_fraction) * size), int((1 - self.test_fraction) * size)
        val = (train, test)
        return {"train": (0, train), "val": val, "test": (test, size) if self.test_fraction else val}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer: read from ``tokenizer_path``, or learned from the training text, once for all processes."""
        if self.tokenizer_path is not None:
            return load(self.tokenizer_path)
        if self.tokenizer_kind == "byte":
            return ByteTokenizer()
        start, stop = self.shares["train"]
        if start == stop:
            raise UserError(f"val_fraction {self.val_fraction} leaves no character to train on; give a longer text")
        kind: str = self.tokenizer_kind
        if kind != "char":
            kind += f"-{self.pieces}-{SentencePieceTokenizer.recipe()}"
        made = once(
            self.cache / "streams" / f"{self.text.fingerprint}-{start}-{stop}-{kind}.tokenizer",
            lambda path: save(self._train_tokenizer(), path),
        )
        return load(made)

    @property
    def vocab_size(self) -> int:
        """Number of tokens that there really are."""
        return self.tokenizer.vocab_size

    def _train_tokenizer(self) -> Tokenizer:
        start, stop = self.shares["train"]
        pieces = with_progress(self.text.line_pieces(start, stop), stop - start, "reading the text for the tokenizer")
        if self.tokenizer_kind in ("unigram", "bpe"):
            return SentencePieceTokenizer.train(pieces, self.tokenizer_kind, self.pieces, stop - start)
        return CharTokenizer.train(pieces)

    def stream(self, split: Split) -> TokenStream:
        """The ids of a split, encoded at first use.

        Raises:
            ValueError: They do not fill one window.
        """
        start, stop = self.shares[split]
        tokenizer, text = self.tokenizer, self.text
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
                f"another share, or a seq_len below {max(len(stream), 2)}"
            )
        return stream

    def train_text(self) -> str:
        """The text of the training share; of more than 50 million characters the first ones."""
        return self._text("train")

    def val_text(self) -> str:
        """The text of the validation share, limited likewise."""
        return self._text("val")

    def test_text(self) -> str:
        """The text that the test uses, limited likewise."""
        return self._text("test")

    def _text(self, split: Split) -> str:
        start, stop = self.shares[split]
        return "".join(self.text.pieces(start, min(stop, start + self.TEXT_LIMIT)))

    def setup(self, stage: str) -> None:
        """Encodes what the stage needs; predict needs no corpus."""
        super().setup(stage)
        if stage == "fit":
            characters = self.tokenizer.characters
            self.train_set = TrainWindows(
                self.stream("train"), self.seq_len, characters, self.crops, self.epoch_size, self.seed
            )
        if stage in ("fit", "validate"):
            self.val_set = self._evaluation("val")
        if stage == "test":
            self.test_set = self._evaluation("test")
        if stage == "predict":
            texts = read_prompts(self.prompts_path) if self.prompts_path is not None else self.prompts or ["The "]
            self.predict_set = Prompts(texts, self.tokenizer, self.stop)

    def _evaluation(self, split: Split) -> Windows:
        stream, characters = self.stream(split), self.tokenizer.characters
        if self.eval_windows is not None:
            return RandomEvalWindows(stream, self.seq_len, characters, self.eval_windows, self.EVAL_SEED)
        return EvalWindows(stream, self.seq_len, characters, self.stride)
