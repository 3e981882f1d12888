"""Text of any size for language models, streamed from the hub or from many files: never on disk or in memory whole."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch

from datamodules.base import SequenceDataModule
from datamodules.loading.batch_dataset import Batch
from datamodules.loading.cache import cache_folder
from datamodules.loading.ordered_windows import OrderedWindows
from datamodules.loading.stream_batches import StreamLoader
from datamodules.loading.streams import encode_once
from datamodules.text.document_source import DocumentConfig, DocumentSource, DocumentStream, held_out
from datamodules.text.learned_tokenizer import TokenizerChoice, TokenizerKind
from datamodules.text.packed_windows import PackedWindows
from datamodules.text.prompts import check_prediction, prompt_rows
from datamodules.text.stream_config import HeldOutConfig, StreamConfig
from datamodules.tokenizers import Tokenizer
from seqlight.core.errors import UserError
from seqlight.core.files.found_files import printable
from seqlight.core.hyperparameters import check_range, group_from, refuse_both


class StreamingTextDataModule(SequenceDataModule):
    """Windows of streamed documents, with the next token of each token as its label.

    Documents are tokenized while they are read, and packed into windows with a separator after each. Neither the text
    nor its tokens are kept. Training resumes at the same window in the middle of an epoch, also with other numbers of
    workers and processes.

    Args:
        path: Parquet, JSON-lines or text files: a file, a folder, a pattern such as shards/*.parquet, or a list of
            such. Default: Python's own reference manual.
        text: A data set of the hub in place of ``path``, its column, what a document is, and how it is read.
        stream: How documents are read for training.
        held_out: What the model is validated and tested on.
        tokenizer: One id a character, a byte, a word, or a SentencePiece subword (unigram or bpe).
        vocab_size: Number of subwords, for unigram and bpe; most words, for word.
        tokenizer_path: SentencePiece .model file or checkpoint whose tokenizer is used instead.
        seq_len: Tokens in a window.
        batch_size: Windows in a batch of one process.
        prompts: Texts that predict continues, or a file of them, one a line. Default: one short example.
        stop: For predict: end a continuation before the first of these strings.
        cache_dir: Folder of tokenizers and held-out texts. Default: seqlight under $XDG_CACHE_HOME or ~/.cache. Never
            taken from a checkpoint.
        num_workers: Processes that read and tokenize; 0 does so in the training process.
        seed: Seed of the order of files and windows. Default: the run's seed (--seed_everything).

    Raises:
        UserError: A value is out of its range, or two exclude each other.
    """

    TEXT_LIMIT = 10_000_000  # characters that train_text, val_text and test_text return at most

    def __init__(
        self,
        path: str | list[str] | None = None,
        text: DocumentConfig = DocumentConfig(),
        stream: StreamConfig = StreamConfig(),
        held_out: HeldOutConfig = HeldOutConfig(),
        tokenizer: TokenizerKind = "unigram",
        vocab_size: int = 8000,
        tokenizer_path: str | None = None,
        seq_len: int = 256,
        batch_size: int = 64,
        prompts: list[str] | str | None = None,
        stop: list[str] | None = None,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        self.text_config, self.stream = group_from(DocumentConfig, text), group_from(StreamConfig, stream)
        self.held_out = group_from(HeldOutConfig, held_out)
        self.tokenizer_factory = TokenizerChoice(
            tokenizer,
            vocab_size,
            tokenizer_path,
            self.text_config.lower_case,
            self.text_config.strip_punctuation,
            self.text_config.min_count,
        )
        check_range("seq_len", seq_len, least=1)
        check_prediction(prompts, stop)
        hub = self.text_config.hub
        refuse_both("path", path, "text.hub", hub)
        for name in ("split", "test_split"):
            if hub is None and getattr(self.held_out, name) is not None:
                raise UserError(
                    f"held_out.{name} {getattr(self.held_out, name)} needs a data set of the hub; give text.hub, or "
                    f"files by held_out.{name.replace('split', 'path')}"
                )
        self.path, self.seq_len, self.cache = path, seq_len, cache_folder(cache_dir)
        self.prompts, self.stop = prompts, stop
        self._streams: StreamLoader | None = None
        self._saved: dict[str, Any] | None = None  # the position of a checkpoint

    def __str__(self) -> str:
        """Lightning's own makes all loaders, which would begin to read the stream."""
        return f"{type(self).__name__} ({self.train_source.name})"

    # Documents.

    @cached_property
    def train_source(self) -> DocumentSource:
        """The documents, those that are held out among them."""
        return self._source(self.path, None)

    @cached_property
    def val_source(self) -> DocumentSource | None:
        """Documents of files or a split for validation; None if a fraction of the training documents is held out."""
        return self._other_source(self.held_out.path, self.held_out.split)

    @cached_property
    def test_source(self) -> DocumentSource | None:
        """Documents of files or a split for the test; by default those of validation."""
        return self._other_source(self.held_out.test_path, self.held_out.test_split) or self.val_source

    def _other_source(self, path: str | list[str] | None, split: str | None) -> DocumentSource | None:
        if path is None and split is None:
            return None
        source = self._source(path if split is None else self.path, split)
        trained = {file.resolve() for file in self.train_source.files}
        if shared := [file for file in source.files if file.resolve() in trained]:
            raise UserError(f"held_out: {printable(shared[0])} is among the files of path too; leave it out of one")
        if not source.files and source.split == self.train_source.split:
            raise UserError(f"held_out: {source.split} is the split that is trained on; give another")
        return source

    def _source(self, path: str | list[str] | None, split: str | None) -> DocumentSource:
        return DocumentSource(path, self.text_config, self.cache / "texts", split)

    def is_trained_on(self, text: str) -> bool:
        """Whether a document is trained on, and not held out."""
        return self.val_source is not None or held_out(text) >= self.held_out.fraction

    def _training_texts(self) -> Iterator[str]:
        for texts in self.train_source.read():
            yield from (text + self.text_config.separator for text in texts if text and self.is_trained_on(text))

    def _held_out_texts(self, source: DocumentSource | None) -> Iterator[str]:
        for texts in (source or self.train_source).read():
            for text in texts:
                if text and (source is not None or not self.is_trained_on(text)):
                    yield text + self.text_config.separator

    def train_text(self) -> str:
        """The first documents of training, 10 million characters at most."""
        return "".join(_first(self._training_texts(), self.TEXT_LIMIT))

    def val_text(self) -> str:
        """The first documents of validation, 10 million characters at most."""
        return "".join(_first(self._held_out_texts(self.val_source), self.TEXT_LIMIT))

    def test_text(self) -> str:
        """The first documents of the test, 10 million characters at most."""
        return "".join(_first(self._held_out_texts(self.test_source), self.TEXT_LIMIT))

    # Tokens.

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer: read from ``tokenizer_path``, or learned from the first documents, by one process for all."""
        if not self.tokenizer_factory.needs_text:
            return self.tokenizer_factory.make(self.cache, "", tuple, 0)
        limit = self.stream.tokenizer_characters
        name = f"{self._fingerprint(None)}-{limit}"
        return self.tokenizer_factory.make(
            self.cache / "streams", name, lambda: _first(self._training_texts(), limit), limit
        )

    @property
    def vocab_size(self) -> int:
        """Number of ids that the tokenizer has."""
        return self.tokenizer.vocab_size

    def _fingerprint(self, source: DocumentSource | None) -> str:
        """Everything in the documents that is read once: of a source, or of those that are held out of training."""
        if source is not None:
            return source.fingerprint
        return f"{self.train_source.fingerprint}-{0 if self.val_source else self.held_out.fraction}"

    def _eval_windows(self, source: DocumentSource | None, stage: str) -> OrderedWindows:
        """The first windows of a source, or of the documents that are held out; encoded once.

        Raises:
            UserError: The documents do not fill one window.
        """
        tokenizer, wanted = self.tokenizer, self.held_out.windows * self.seq_len + 1
        made = encode_once(
            self.cache / "streams",
            f"{self._fingerprint(source)}-held-out-{wanted}-{tokenizer.fingerprint}",
            tokenizer.vocab_size,
            lambda: _first(map(tokenizer.encode_array, self._held_out_texts(source)), wanted),
        )
        if len(made) <= self.seq_len:
            raise UserError(
                f"seq_len {self.seq_len} is too long for the {len(made)} tokens of the {stage} documents; give more "
                "documents, a larger held_out.fraction, files by held_out.path, or a smaller seq_len"
            )
        return OrderedWindows(made, self.seq_len, tokenizer.characters)

    # Batches.

    def setup(self, stage: str) -> None:
        """Learns the tokenizer and encodes what is held out, unless that is done; the rest is read in training."""
        super().setup(stage)
        if stage == "fit":
            self._streams, self._saved = None, None
        if stage in ("fit", "validate"):
            self.val_set = self._eval_windows(self.val_source, "validation")
        if stage == "test":
            self.test_set = self._eval_windows(self.test_source, "test")
        if stage == "predict":
            self.predict_set = prompt_rows(self.prompts, self.tokenizer, self.stop)

    def train_dataloader(self) -> StreamLoader:  # type: ignore[override]
        """Training batches, from the checkpoint's position on."""
        ranks, config = {"num_replicas": 1, "rank": 0} | self._ranks(), self.stream
        if config.num_streams % ranks["num_replicas"]:
            raise UserError(
                f"data.stream.num_streams {config.num_streams} is not a multiple of the {ranks['num_replicas']} "
                "processes (--trainer.devices); give one that is"
            )
        if self._streams is None:
            streams = [self._packed(number) for number in range(config.num_streams)]
            states, position, rows = [stream.state for stream in streams], (0, 0), 0
        else:
            before = self._streams
            streams, states, position, rows = before.streams, before.states, before.position, before.rows  # type: ignore[assignment]
        if self._saved is not None:
            states, rows = self._saved["streams"], self._saved["taken"]
            position, self._saved = self._resumed_position(self._saved), None
        self._streams = StreamLoader(
            streams,
            states,
            self.batch_size,
            self._batches,
            self._collate,
            position=position,
            rows=rows,
            repeat=self.trainer is not None and self.trainer.overfit_batches > 0,  # type: ignore[attr-defined]
            num_workers=self.num_workers,
            **ranks,
        )
        return self._streams

    @property
    def _global_size(self) -> int:
        """Rows of a batch of all processes."""
        return self.batch_size * self._ranks().get("num_replicas", 1)

    @property
    def _batches(self) -> int:
        """Batches in an epoch."""
        return max(1, self.stream.epoch_size // self._global_size)

    def resumed_batches(self) -> int | None:
        """See the base class. Rows go on without a gap; only where the epoch ends depends on the batch size."""
        return None if self._saved is None else self._resumed_position(self._saved)[1]

    def _resumed_position(self, state: dict[str, Any]) -> tuple[int, int]:
        """Epoch, and number of its batches that are done; an epoch that is done is the next one."""
        done = state["rows"] // self._global_size
        return (state["epoch"] + 1, 0) if done >= self._batches else (state["epoch"], done)

    def _packed(self, number: int) -> PackedWindows:
        """The windows of one stream."""
        documents = DocumentStream(
            self.train_source, number, self.stream.num_streams, self.seed, keep=self.is_trained_on
        )
        return PackedWindows(documents, self._encode, self.seq_len, self.stream.shuffle_buffer, self.seed)

    def _encode(self, text: str) -> np.ndarray:
        return self.tokenizer.encode_array(text + self.text_config.separator)

    def _collate(self, numbers: np.ndarray, windows: np.ndarray) -> Batch:
        """A batch as in token_windows.py: ``input_ids`` and ``labels`` (B, T), ``characters`` and ``index`` (B,)."""
        ids = torch.from_numpy(windows.astype(np.int64))
        return {
            "input_ids": ids[:, :-1].contiguous(),
            "labels": ids[:, 1:].contiguous(),
            "characters": torch.from_numpy(self.tokenizer.characters[windows[:, 1:]].sum(1)),
            "index": torch.from_numpy(numbers),
        }

    # Checkpoints.

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: the seed, the epoch with its rows that are done, and the state of every stream.

        Every process must call it, since each knows the states of its own streams.
        """
        if self._streams is None:
            return {"seed": self.seed}
        epoch, done = self.from_epoch_end(self._streams.position)
        return {
            "seed": self.seed,
            "epoch": epoch,
            "rows": done * self._streams.global_size,
            "taken": self._streams.rows,
            "streams": self._all_states(self._streams),
            "seq_len": self.seq_len,
            "shuffle_buffer": self.stream.shuffle_buffer,
        }

    def _all_states(self, loader: StreamLoader) -> list[dict[str, Any]]:
        """The states of all streams, each from the process that reads it."""
        if loader.num_replicas == 1:
            return loader.states
        gathered: list[Any] = [None] * loader.num_replicas
        torch.distributed.all_gather_object(gathered, loader.states)
        # Rank r takes the rows that follow ``rows`` at r, r + R ...
        owners = [(number - loader.rows) % loader.num_replicas for number in range(len(loader.streams))]
        return [gathered[rank][number] for number, rank in enumerate(owners)]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's position. Lightning calls this after ``setup`` and before it makes the loaders.

        Raises:
            UserError: The streams, their windows or their order are not the checkpoint's.
        """
        if not self._seed_is_given:
            self.seed = state["seed"]
        if "streams" not in state:
            self._saved = None
            return
        now = {
            "stream.num_streams": (self.stream.num_streams, len(state["streams"])),
            "stream.shuffle_buffer": (self.stream.shuffle_buffer, state["shuffle_buffer"]),
            "seq_len": (self.seq_len, state["seq_len"]),
        }
        for name, (given, held) in now.items():
            if given != held:
                raise UserError(
                    f"data.{name} {given} cannot go on from a stream that was read with {held}; leave it out"
                )
        self._saved = state


def _first(parts: Iterable[Any], size: int) -> Iterator[Any]:
    """The first texts or arrays, up to ``size`` characters or ids in all."""
    for part in parts:
        if len(part) >= size:
            yield part[:size]
            return
        size -= len(part)
        yield part
