"""Music for next-event models: a folder of MIDI files, Bach's chorales, or etudes composed by rule."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info

from datamodules.base import SequenceDataModule
from datamodules.loading.cache import cache_folder
from datamodules.music.event_windows import EvalEvents, TrainEvents, versions_of
from datamodules.music.kinship import families, note_traits, tune_traits
from datamodules.music.midi_config import (
    AugmentConfig,
    MusicPromptConfig,
    SourceConfig,
    SplitConfig,
    TokensConfig,
    WindowConfig,
)
from datamodules.music.music_prompts import PiecePrompts, read_prompts
from datamodules.music.reports import count_notes, report_left_out, report_passed_over, report_unseen
from datamodules.music.sources.chorales import chorales
from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.midi_files import CELLO, read_folder, write_midi
from datamodules.music.splits import Splits, hold_out, split_pieces
from datamodules.tokenizers import MusicTokenizer, NoteTokenizer, RemiTokenizer, load_notes
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from, refuse_both
from seqlight.music.notes import Piece, top_voice

MOST_NOTES = 4096  # of a window; the memory of retrieval grows with its square


class MidiDataModule(SequenceDataModule):
    """Windows of notes with the next note of each as its label.

    Whole pieces are split, and pieces that are the same music stay together: copies in any key, and all settings of one
    chorale tune (datamodules/music/kinship.py). The tokenizer (24 ticks a quarter) learns its durations, shifts and
    range from the training pieces only. A training window is determined by its number and the seed. Validation and test
    read every note of their pieces once.

    Args:
        path: A MIDI file, or a folder that is searched for MIDI files with all folders in it. Default: ``source``.
        source: The music where ``path`` names no files.
        split: Which pieces are trained on, validated and tested with.
        tokens: How music becomes tokens.
        augment: Changes of the training windows.
        windows: Which windows are trained and evaluated on.
        prompt: The prompt of predict.
        seq_len: Notes in a training window; a signature counts as one.
        batch_size: Windows in a batch of one process.
        program: Instrument of written files, a General MIDI program from 0: 42 cello, 19 church organ.
        tokenizer_path: Checkpoint whose tokenizer is used instead of a learned one.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training windows. Default: the run's seed (--seed_everything).
        cache_dir: Folder in which the chorales are cached. Default: seqlight under $XDG_CACHE_HOME or ~/.cache. Never
            taken from a checkpoint.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    new_rows_each_epoch = True

    def __init__(
        self,
        path: str | None = None,
        source: SourceConfig = SourceConfig(),
        split: SplitConfig = SplitConfig(),
        tokens: TokensConfig = TokensConfig(),
        augment: AugmentConfig = AugmentConfig(),
        windows: WindowConfig = WindowConfig(),
        prompt: MusicPromptConfig = MusicPromptConfig(),
        seq_len: int = 96,
        batch_size: int = 16,
        program: int = CELLO,
        tokenizer_path: str | None = None,
        num_workers: int = 0,
        seed: int | None = None,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        self.source, self.split = group_from(SourceConfig, source), group_from(SplitConfig, split)
        self.tokens, self.augment = group_from(TokensConfig, tokens), group_from(AugmentConfig, augment)
        self.windows, self.prompt = group_from(WindowConfig, windows), group_from(MusicPromptConfig, prompt)
        refuse_both("path", path, "source.kind", None if self.source.kind == "etudes" else self.source.kind)
        signatures = self.tokens.signatures
        check_range("seq_len", seq_len, least=2 if signatures else 1, most=MOST_NOTES)
        check_range("windows.eval_seq_len", self.windows.eval_seq_len, least=2 if signatures else 1, most=MOST_NOTES)
        check_range("program", program, least=0, most=127)
        self.eval_seq_len = self.windows.eval_seq_len or seq_len
        stride = self.windows.stride
        if stride is not None and stride > self.eval_seq_len - signatures:
            room = f"the windows of {self.eval_seq_len}" + (", less the signature" if signatures else "")
            raise UserError(f"windows.stride {stride} is greater than {room}, which would leave notes out")
        for name, value in (("metre", self.prompt.metre), ("key", self.prompt.key)):
            if value is not None and not signatures:
                raise UserError(
                    f"prompt.{name} {value} needs a model of signatures; train one with --data.tokens.signatures true"
                )
        self.path, self.seq_len, self.program = path, seq_len, program
        self.transpose = (-self.augment.transpose_down, self.augment.transpose_up)
        self.top = self.tokens.voices == "top"
        self.tokenizer_path, self.cache = tokenizer_path, cache_folder(cache_dir)
        self.problems: list[str] = []  # a line for each file that is left out

    @cached_property
    def splits(self) -> Splits:
        """The training, validation and test pieces, read at first use."""
        pieces = self._read()
        if self.top:
            pieces = [top_voice(piece) for piece in pieces]
        kin = families(pieces, tune_traits if self.source.kind == "chorales" else note_traits)
        of = self.split
        if of.held_out is not None:
            splits = hold_out(pieces, of.held_out, of.val_fraction, of.seed, kin)
        else:
            splits = split_pieces(pieces, of.val_fraction, of.test_fraction, of.seed, kin)
        self._report_kin(pieces, kin, splits)
        return splits

    def _report_kin(self, pieces: Sequence[Piece], kin: Sequence[int], splits: Splits) -> None:
        """Logs which pieces are the same music as an earlier one; pieces in no split are added to ``problems``.

        Args:
            pieces: All pieces.
            kin: For each piece, the index of its family's first piece.
            splits: The splits.
        """
        later = [f"{pieces[n].name} as {pieces[head].name}" for n, head in enumerate(kin) if n != head]
        if not later:
            return
        used = {piece.name for part in splits.values() for piece in part}
        same = "a tune" if self.source.kind == "chorales" else "all notes"
        left = [piece.name for piece in pieces if piece.name not in used]
        self.problems += [f"{name}: has {same} of a piece that is held out" for name in left]
        what = self._origin
        rank_zero_info(
            f"{what}: of {len(pieces)} pieces {len(later)} have {same} of an earlier one ({', '.join(later[:3])}"
            f"{', ...' if len(later) > 3 else ''}) and stay on its side of the split"
            + (f"; {len(left)} of held-out pieces are left out" if left else "")
        )

    @property
    def _origin(self) -> str:
        """The source's name in messages."""
        return f"source.kind {self.source.kind}" if self.path is None else f"path {self.path}"

    def _read(self) -> list[Piece]:
        if self.path is None:
            if self.source.kind == "chorales":
                return chorales(self.cache, self.tokens.voices)
            return etudes(self.source.num_etudes, self.split.seed)
        pieces, self.problems = read_folder(self.path, "path", self.tokens.velocity)
        report_passed_over(self._origin, self.path)
        report_left_out(self._origin, len(pieces), self.problems)
        count, moved = count_notes(pieces), sum(piece.moved for piece in pieces)
        if moved:
            rank_zero_info(f"{self._origin}: of {count:,} notes {moved:,} were moved to the nearest tick")
        dropped = count - count_notes(map(top_voice, pieces)) if self.top else 0
        if dropped:
            rank_zero_info(f"{self._origin}: of {count:,} notes {dropped:,} are not the highest of their chord")
        return pieces

    @cached_property
    def tokenizer(self) -> MusicTokenizer:
        """The tokenizer: read from ``tokenizer_path``, or learned from the training pieces."""
        signatures = self.tokens.signatures
        if self.tokenizer_path is None:
            values = self.augment.note_values
            versions = [version for piece in self.splits["train"] for version in versions_of(piece, values)]
            if self.tokens.kind == "remi":
                return RemiTokenizer.train(versions, self.top, self.transpose)
            return NoteTokenizer.train(versions, self.tokens.fields, self.transpose, signatures)
        tokenizer = load_notes(self.tokenizer_path)
        for name, given, held in (
            ("kind", self.tokens.kind, "remi" if isinstance(tokenizer, RemiTokenizer) else "events"),
            ("voices", self.tokens.voices, "top" if tokenizer.one_voice else "all"),
            ("signatures", str(signatures).lower(), str(tokenizer.signatures is not None).lower()),
            ("velocity", str(self.tokens.velocity).lower(), str("velocity" in tokenizer.fields).lower()),
        ):
            if given != held:
                raise UserError(
                    f"tokens.{name} {given} does not fit the tokenizer of {self.tokenizer_path}; leave it out"
                )
        return tokenizer

    @property
    def fields(self) -> list[str]:
        """Names of an event's fields."""
        return list(self.tokenizer.fields)

    @property
    def vocab_sizes(self) -> list[int]:
        """Number of ids of each field."""
        return self.tokenizer.vocab_sizes

    @property
    def pitch_ids(self) -> list[int]:
        """Smallest and largest id of a pitch."""
        pitches = self.tokenizer.pitches
        return [pitches.index(self.tokenizer.lowest), pitches.index(self.tokenizer.highest)]

    @property
    def ticks(self) -> list[int]:
        """Ticks by which each id advances time: of the durations with one voice, else of the shifts."""
        tokenizer = self.tokenizer
        return tokenizer.durations if isinstance(tokenizer, NoteTokenizer) and tokenizer.one_voice else tokenizer.shifts

    def train_pieces(self) -> list[Piece]:
        """The training pieces as the model reads them: with voices top, their top voice."""
        return self.splits["train"]

    def val_pieces(self) -> list[Piece]:
        """The validation pieces, likewise."""
        return self.splits["val"]

    def test_pieces(self) -> list[Piece]:
        """The test pieces, likewise."""
        return self.splits["test"]

    def split_files(self) -> dict[str, list[str]]:
        """Names of the pieces of each split, and the files that are left out, with reasons."""
        names = {split: [piece.name for piece in pieces] for split, pieces in self.splits.items()}
        return names | {"left_out": self.problems}

    def setup(self, stage: str) -> None:
        """Makes the windows that the stage needs; predict needs no music but its prompts."""
        super().setup(stage)
        tokenizer = self.tokenizer
        if stage == "fit":
            self.train_set = TrainEvents(
                self.splits["train"],
                tokenizer,
                self.seq_len,
                self.windows.epoch_size,
                self.seed,
                self.transpose,
                self.augment.note_values,
            )
            self._save_split()
        if stage in ("fit", "validate"):
            self.val_set = self._evaluation("val")
        if stage == "test":
            self.test_set = self._evaluation("test")
        if stage == "predict":
            kept = self.tokens.velocity, self.prompt.tempo_changes
            prompts, problems = read_prompts(self.prompt.source, self.prompt.bars, *kept)
            report_passed_over(f"prompt.source {self.prompt.source}", self.prompt.source)
            report_left_out(f"prompt.source {self.prompt.source}", len(prompts), problems)
            if self.top:
                prompts = [top_voice(piece) for piece in prompts]
            prompts = [self._with_signature(piece) for piece in prompts]
            report_unseen("prompt", prompts, tokenizer)
            repeated = [piece for piece in prompts for _ in range(self.prompt.samples)]
            self.predict_set = PiecePrompts(repeated, tokenizer)

    def _with_signature(self, prompt: Piece) -> Piece:
        """The prompt with the metre and key of the options, if given.

        Raises:
            UserError: Training had no such metre.
        """
        known, metre = self.tokenizer.signatures, self.prompt.parsed_metre
        if metre is not None and known is not None and metre not in known.metres:
            choices = ", ".join(f"{beats}/{fraction}" for beats, fraction in known.metres)
            beats, fraction = metre
            raise UserError(
                f"prompt.metre {beats}/{fraction} is not a metre that training had; choose one of {choices}"
            )
        if metre is not None:
            prompt = replace(prompt, time_signature=metre, metres=())
        return replace(prompt, key=self.prompt.parsed_key or prompt.key)

    def _evaluation(self, split: str) -> EvalEvents:
        report_unseen(split, self.splits[split], self.tokenizer)
        return EvalEvents(self.splits[split], self.tokenizer, self.eval_seq_len, self.windows.stride)

    def _save_split(self) -> None:
        """Writes ``split.json`` into the run's folder, if there is one."""
        trainer = self.trainer
        folder = getattr(trainer.logger, "log_dir", None) if trainer is not None and trainer.is_global_zero else None
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.split_files(), indent=1, ensure_ascii=False)
            (Path(folder) / "split.json").write_text(text + "\n", encoding="utf-8")

    def write_midi(self, path: str | Path, piece: Piece) -> None:
        """Writes a piece as a MIDI file, played by ``program``."""
        write_midi(path, piece, self.program)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """See the base class; prompts are not tensors and stay on the host."""
        if "prompts" in batch:
            return batch | {"index": batch["index"].to(device)}
        return super().transfer_batch_to_device(batch, device, dataloader_idx)
