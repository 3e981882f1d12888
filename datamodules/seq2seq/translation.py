"""Sentences with their translations: files, tables, a data set of the hub, or a few sentences of our own."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from datamodules.loading.batches import Batches
from datamodules.loading.cache import cache_folder
from datamodules.loading.length_batches import LengthBatches
from datamodules.seq2seq import example_pairs
from datamodules.seq2seq.base import Seq2SeqDataModule
from datamodules.seq2seq.pair_files import Pairs
from datamodules.seq2seq.pair_sources import PairSource, PairSplitConfig, PairTextConfig, Split
from datamodules.seq2seq.pair_tokens import PairTokenConfig, PairTokenizerKind, PairTokenizers
from datamodules.seq2seq.pairs import IdRows, PairRows, RowOrigin
from datamodules.seq2seq.swapped import SideWords, check_languages
from datamodules.tokenizers import TokenizerPair, load_pair
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from, refuse_both

# What helps where a pair is longer than the net reads.
LONG_TRAINING = "raise it, or lower data.tokens.max_len to it, which leaves longer training pairs out"
LONG_EVALUATION = "raise it, or take the pair out of the files; data.tokens.max_len is for training pairs"


class TranslationDataModule(Seq2SeqDataModule):
    """Sentences of one language with their translations into another.

    Training batches have sentences of similar length. Pairs with an empty side are left out, and so are training pairs
    whose sides look swapped; a warning names their lines. Validation and test pairs that look swapped stay, with such a
    warning, so that every command measures the same pairs. Two files with different numbers of lines are refused.

    Args:
        path: Where the pairs are: a folder with files such as train.de, train.en, val.de and so on, or with tables such
            as train.tsv; a list of two files, the source's first; the beginning of the names of two files; or a .csv,
            .tsv or .jsonl file. Each may be a .gz. Default: 36 German and English sentences of our own.
        source: Language to translate from: its files' ending, or its column or key in a table.
        target: Language to translate to. The two swapped translate the other way.
        text: A data set of the hub in place of ``path``, and the files' encoding.
        split: Validation and test.
        tokenizer: SentencePiece's subwords (unigram or bpe), words, or characters.
        vocab_size: Most subwords or words of a vocabulary.
        source_vocab_size: The same of the source's vocabulary, where the two are separate. Default: ``vocab_size``.
        tokens: Shared or separate vocabularies, and which pairs are too long.
        tokenizer_path: Checkpoint whose tokenizers are used instead.
        batch_size: Pairs in a batch of one process.
        batch_tokens: Bound of a training batch of one process in place of ``batch_size``: most tokens on its longer
            side, padding included.
        cache_dir: Folder of learned tokenizers. Default: seqlight under $XDG_CACHE_HOME or ~/.cache. Never taken from a
            checkpoint.
        shared: Further arguments of Seq2SeqDataModule.

    Attributes:
        left_out: Training pairs that are too long, after ``setup("fit")``.

    Raises:
        UserError: A value is out of its range, or two exclude each other.
    """

    def __init__(
        self,
        path: str | list[str] | None = None,
        source: str = "de",
        target: str = "en",
        text: PairTextConfig = PairTextConfig(),
        split: PairSplitConfig = PairSplitConfig(),
        tokenizer: PairTokenizerKind = "unigram",
        vocab_size: int = 8000,
        source_vocab_size: int | None = None,
        tokens: PairTokenConfig = PairTokenConfig(),
        tokenizer_path: str | None = None,
        batch_size: int = 64,
        batch_tokens: int | None = None,
        cache_dir: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(batch_size, **shared)
        self.save_hyperparameters()
        self.tokens, self.tokenizer_path = group_from(PairTokenConfig, tokens), tokenizer_path
        self.tokenizer_factory = PairTokenizers(tokenizer, vocab_size, self.tokens, source_vocab_size)
        check_range("batch_tokens", batch_tokens, least=self.tokens.max_len)
        files, divided = group_from(PairTextConfig, text), group_from(PairSplitConfig, split)
        if source == target:
            raise UserError(f"source and target are both {source}; give two languages")
        refuse_both("path", path, "text.hub", files.hub)
        self.source, self.target, self.batch_tokens = source, target, batch_tokens
        self.cache, self.left_out = cache_folder(cache_dir), 0
        self._pairs = PairSource(path, source, target, files, divided)
        self._train: Pairs | None = None  # kept from the tokenizer to the encoding
        self._words: SideWords | None = None  # of the training pairs, once they are read

    def read(self, name: Split) -> Pairs:
        """The pairs of a split, of training those left out whose sides look swapped.

        What looks swapped is told by the words of the training pairs, once they are read, else by those of the split
        itself.

        Raises:
            FileNotFoundError: A file is missing.
            UserError: The files are not what they should be, or most pairs look swapped.
        """
        if name == "train" and self._train is not None:
            return self._train
        pairs = self._pairs.read(name)
        check_languages(pairs.sources, pairs.targets, self.source, self.target, pairs.where)
        words = SideWords(pairs.sources, pairs.targets) if name == "train" or self._words is None else self._words
        swapped, looks = words.swapped(pairs.sources, pairs.targets), "look swapped (each side reads like the other's)"
        if name == "train":
            self._words, self._train = words, pairs.leave_out(swapped, looks)
            return self._train
        if swapped.mean() > 0.5:
            raise UserError(
                f"path: {pairs.where}: the sides look swapped beside those of the training pairs; put the files in "
                "their places"
            )
        pairs.warn_of(swapped, f"{looks} and are kept, as all pairs to evaluate")
        return pairs

    @cached_property
    def tokenizer(self) -> TokenizerPair:
        """The tokenizers: read from ``tokenizer_path``, or learned from the training pairs by one process for all."""
        if self.tokenizer_path is not None:
            return load_pair(self.tokenizer_path)
        pairs = self.read("train")
        return self.tokenizer_factory.make(self.cache / "tokenizers", pairs.sources, pairs.targets)

    @property
    def examples(self) -> Sequence[str]:
        """Texts for predict where none are given: a few of our own, if we have them in this language."""
        if self.source not in example_pairs.LANGUAGES:
            raise UserError(f"texts is not given; give sentences in {self.source}, or --data.texts_path")
        side = example_pairs.LANGUAGES.index(self.source)
        return [pair[side] for pair in example_pairs.TEST]

    def setup(self, stage: str) -> None:
        """Encodes what the stage needs; predict needs no pairs."""
        super().setup(stage)
        if stage == "fit":
            self.train_set = self._train_rows()
        if stage in ("fit", "validate"):
            self.val_set = self._eval_rows("val", "validation")
        if stage == "test":
            self.test_set = self._eval_rows("test", "test")

    def _eval_rows(self, name: Split, what: str) -> PairRows:
        pairs = self.read(name)
        origin = RowOrigin(pairs.where, pairs.lines, LONG_EVALUATION)
        return self.pair_rows(pairs.sources, pairs.targets, what, origin)

    def _train_rows(self) -> PairRows:
        pairs, tokenizer = self.read("train"), self.tokenizer
        sources = IdRows.encode(tokenizer.source, pairs.sources, "training sources")
        targets = IdRows.encode(tokenizer.target, pairs.targets, "training targets")
        lines = pairs.lines
        fits = self.tokens.fits(np.stack([sources.lengths, targets.lengths], axis=1) + 1)
        self.left_out, self._train = int((~fits).sum()), None
        if self.left_out:
            ratio = "" if self.tokens.max_ratio is None else f", or differ by more than {self.tokens.max_ratio:g} times"
            rank_zero_info(
                f"{self.left_out:,} of {len(fits):,} training pairs have more than {self.tokens.max_len} tokens on a "
                f"side{ratio}, and are left out (--data.tokens.max_len)"
            )
            sources, targets = (side.take(np.flatnonzero(fits)) for side in (sources, targets))
            lines = lines[fits]
        if not fits.any():
            raise UserError(f"tokens.max_len {self.tokens.max_len} leaves no training pair; give more")
        return PairRows(sources, targets, origin=RowOrigin(pairs.where, lines, LONG_TRAINING))

    def train_batches(self) -> Batches:
        """Batches of pairs of similar length, of so many rows or so many tokens."""
        return LengthBatches(
            self.train_set.lengths,
            seed=self.seed,
            batch_size=self.batch_size,
            batch_tokens=self.batch_tokens,
            **self._ranks(),
        )
