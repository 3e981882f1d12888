"""Music for next-event models: a folder of MIDI files, Bach's chorales, or etudes composed by rule."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_info

from datamodules.base import SequenceDataModule
from datamodules.loading.cache import cache_folder
from datamodules.music.event_windows import EvalEvents, TrainEvents, versions_of
from datamodules.music.kinship import families, score, tunes
from datamodules.music.music_prompts import PiecePrompts, read_prompts
from datamodules.music.reports import count_notes, report_left_out, report_unseen
from datamodules.music.sources.chorales import chorales
from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.midi_files import CELLO, read_folder, write_midi
from datamodules.music.splits import Splits, hold_out, split_pieces
from datamodules.tokenizers import MusicTokenizer, NoteTokenizer, RemiTokenizer, load_notes
from datamodules.tokenizers.midi import ALL_NOTES, ONE_VOICE
from datamodules.tokenizers.signatures import parse_metre
from seqlight.core.errors import UserError
from seqlight.music.keys import parse_key
from seqlight.music.notes import Piece, top_voice

MOST_NOTES = 4096  # of a window; what is recalled takes memory by its square


class MidiDataModule(SequenceDataModule):
    """Windows of notes with the next note of each as its label.

    Pieces are split whole, and those that are the same music stay together: copies, in whatever key, and of the
    chorales all settings that share a phrase of their tune (datamodules/music/kinship.py). The tokenizer (24 ticks a
    quarter) learns its durations, shifts and range from the training pieces alone. Training windows follow from their
    number and the seed; validation and test read each of their pieces whole, every note once.

    Args:
        source: Where the music comes from: etudes composed here, path, or the chorales that music21 brings along.
        path: For source path: a folder of MIDI files, searched with all folders in it, or one file.
        num_etudes: For source etudes: how many.
        voices: The top voice, a note being (pitch, duration), or all notes, each (shift, pitch, duration).
        tokens: A note as one event of several ids, or, for comparison, spelled in REMI's tokens by miditok, about three
            a note; seq_len, stride and --decoding.max_new_tokens then count tokens.
        signatures: Tell the model each piece's metre and key, in an event before the notes of every window. The key is
            what the file's key signature says; without one it is not told.
        held_out: Test on the pieces whose name fits this pattern, such as bwv1010*; validate and train on the others,
            but for copies of those pieces and settings of their tunes.
        val_fraction: Share of the pieces (with held_out: of the others) for validation, above 0.
        test_fraction: Without held_out: share for the test; with 0 the test uses the validation pieces.
        split_seed: Which pieces those are; also the seed of the etudes.
        seq_len: Notes in a window; a signature counts as one.
        batch_size: Windows in a batch of one process.
        epoch_size: Windows in an epoch of training; by default as many as cover the pieces.
        eval_seq_len: Notes in a window of validation and test, where a model that recalls profits from whole pieces; by
            default seq_len.
        stride: Evaluate with windows that start every so many notes and count their last ones alone, which gives each
            note a context; by default half of eval_seq_len.
        transpose_down: Move training windows by up to so many semitones down,
        transpose_up: and up. With -5 to +6 every key is learned from; an instrument's range is not heeded. 0 and 0 for
            none.
        note_values: Also train on doubled and halved note values.
        prompt: What predict goes on from: prelude (the opening of Bach's first cello suite), none, or a MIDI file or a
            folder of them.
        prompt_bars: Only so many bars of it; by default all.
        metre: With signatures: the metre that predict asks for, such as 3/4, whatever that of the prompt; it must be
            one that training had.
        key: Likewise the key, such as "G major" or "c# minor"; with prompt none none is told by default.
        samples: Pieces to make of each prompt.
        program: Instrument of the files that are written, as General MIDI counts from 0: 42 cello, 19 church organ.
        tokenizer_path: Take the tokenizer of this checkpoint instead.
        cache_dir: Where the chorales are kept once read; by default seqlight under $XDG_CACHE_HOME or ~/.cache.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training windows; by default that of the run (--seed_everything).
    """

    fresh_rows = True

    def __init__(
        self,
        source: Literal["etudes", "path", "chorales"] = "etudes",
        path: str | None = None,
        num_etudes: int = 300,
        voices: Literal["top", "all"] = "top",
        tokens: Literal["events", "remi"] = "events",
        signatures: bool = False,
        held_out: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        seq_len: int = 96,
        batch_size: int = 16,
        epoch_size: int | None = None,
        eval_seq_len: int | None = None,
        stride: int | None = None,
        transpose_down: int = 5,
        transpose_up: int = 6,
        note_values: bool = False,
        prompt: str = "prelude",
        prompt_bars: int | None = None,
        metre: str | None = None,
        key: str | None = None,
        samples: int = 1,
        program: int = CELLO,
        tokenizer_path: str | None = None,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters(logger=False)
        if source == "path" and path is None:
            raise UserError("path is missing; give a folder of MIDI files with --data.path")
        if source != "path" and path is not None:
            raise UserError(f"path {path} is given, but source is {source}; give --data.source path")
        for name, number, least in (
            ("num_etudes", num_etudes, 2),
            ("seq_len", seq_len, 2 if signatures else 1),
            ("epoch_size", epoch_size, 1),
            ("eval_seq_len", eval_seq_len, 2 if signatures else 1),
            ("stride", stride, 1),
            ("prompt_bars", prompt_bars, 1),
            ("samples", samples, 1),
            ("split_seed", split_seed, 0),
            ("transpose_down", transpose_down, 0),
            ("transpose_up", transpose_up, 0),
        ):
            if number is not None and number < least:
                raise UserError(f"{name} must be at least {least}, not {number}")
        longest = eval_seq_len or seq_len
        if longest > MOST_NOTES:
            raise UserError(
                f"{'eval_seq_len' if eval_seq_len else 'seq_len'} must be at most {MOST_NOTES}, not {longest}"
            )
        if stride is not None and stride > longest - signatures:
            room = f"the windows of {longest}" + (", less the signature" if signatures else "")
            raise UserError(f"stride {stride} is greater than {room}, so that notes would be left out")
        if not 0 < val_fraction < 1:
            raise UserError(f"val_fraction must be above 0 and below 1, not {val_fraction}")
        if not 0 <= test_fraction < 1 - val_fraction:
            raise UserError(f"test_fraction must be at least 0 and, with val_fraction, below 1, not {test_fraction}")
        if not 0 <= program <= 127:
            raise UserError(f"program {program} is no instrument of General MIDI, 0 to 127")
        if signatures and tokens == "remi":
            raise UserError("signatures true goes with tokens events alone")
        for name, asked in (("metre", metre), ("key", key)):
            if asked is not None and not signatures:
                raise UserError(f"{name} {asked} needs a model of signatures; train one with --data.signatures true")
        self.metre = None if metre is None else parse_metre(metre)
        self.key = None if key is None else parse_key(key)
        if not prompt:
            raise UserError("prompt is empty; give prelude, none or a MIDI file")
        self.source, self.path, self.num_etudes, self.voices, self.held_out = source, path, num_etudes, voices, held_out
        self.tokens, self.signatures = tokens, signatures
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.seq_len, self.epoch_size = seq_len, epoch_size
        self.eval_seq_len, self.stride = longest, stride
        self.transpose, self.note_values = (-transpose_down, transpose_up), note_values
        self.prompt, self.prompt_bars, self.samples, self.program = prompt, prompt_bars, samples, program
        self.tokenizer_path, self.cache = tokenizer_path, cache_folder(cache_dir)
        self.problems: list[str] = []  # files left out, a line each

    @cached_property
    def splits(self) -> Splits:
        """The pieces to train on, to validate and to test with; read, and files left out reported, at first use."""
        pieces = self._read()
        if self.voices == "top":
            pieces = [top_voice(piece) for piece in pieces]
        kin = families(pieces, tunes if self.source == "chorales" else score)
        if self.held_out is not None:
            splits = hold_out(pieces, self.held_out, self.val_fraction, self.split_seed, kin)
        else:
            splits = split_pieces(pieces, self.val_fraction, self.test_fraction, self.split_seed, kin)
        self._report_kin(pieces, kin, splits)
        return splits

    def _report_kin(self, pieces: Sequence[Piece], kin: Sequence[int], splits: Splits) -> None:
        """Says in a line which pieces are the same music as an earlier one; those in no split go to the files left out.

        Kin are numbers of a family's first piece.
        """
        later = [f"{pieces[n].name} as {pieces[head].name}" for n, head in enumerate(kin) if n != head]
        if not later:
            return
        used = {piece.name for part in splits.values() for piece in part}
        same = "a tune" if self.source == "chorales" else "all notes"
        left = [piece.name for piece in pieces if piece.name not in used]
        self.problems += [f"{name}: has {same} of a piece that is held out" for name in left]
        what = f"path {self.path}" if self.source == "path" else f"source {self.source}"
        rank_zero_info(
            f"{what}: of {len(pieces)} pieces {len(later)} have {same} of an earlier one ({', '.join(later[:3])}"
            f"{', ...' if len(later) > 3 else ''}) and stay on its side of the split"
            + (f"; {len(left)} of held-out pieces are left out" if left else "")
        )

    def _read(self) -> list[Piece]:
        if self.source == "etudes":
            return etudes(self.num_etudes, self.split_seed)
        if self.source == "chorales":
            return chorales(self.cache, self.voices)
        assert self.path is not None
        pieces, self.problems = read_folder(self.path)
        report_left_out(f"path {self.path}", len(pieces), self.problems)
        count, moved = count_notes(pieces), sum(piece.moved for piece in pieces)
        if moved:
            rank_zero_info(f"path {self.path}: of {count:,} notes {moved:,} were moved to the nearest tick")
        dropped = count - count_notes(map(top_voice, pieces)) if self.voices == "top" else 0
        if dropped:
            rank_zero_info(f"path {self.path}: of {count:,} notes {dropped:,} are not the highest of their chord")
        return pieces

    @cached_property
    def tokenizer(self) -> MusicTokenizer:
        """The tokenizer: read from ``tokenizer_path``, or learned from the training pieces."""
        fields = ONE_VOICE if self.voices == "top" else ALL_NOTES
        if self.tokenizer_path is None:
            versions = [version for piece in self.splits["train"] for version in versions_of(piece, self.note_values)]
            if self.tokens == "remi":
                return RemiTokenizer.train(versions, self.voices == "top", self.transpose)
            return NoteTokenizer.train(versions, fields, self.transpose, self.signatures)
        tokenizer = load_notes(self.tokenizer_path)
        told = tokenizer.signatures is not None
        for name, asked, held in (
            ("tokens", self.tokens, "remi" if isinstance(tokenizer, RemiTokenizer) else "events"),
            ("voices", self.voices, "top" if tokenizer.one_voice else "all"),
            ("signatures", str(self.signatures).lower(), str(told).lower()),
        ):
            if asked != held:
                raise UserError(f"{name} {asked} does not fit the tokenizer of {self.tokenizer_path}; leave it out")
        return tokenizer

    @property
    def vocab_sizes(self) -> list[int]:
        """Number of ids of each field."""
        return self.tokenizer.vocab_sizes

    @property
    def pitch_ids(self) -> list[int]:
        """Smallest and greatest id that is a pitch."""
        pitches = self.tokenizer.pitches
        return [pitches.index(self.tokenizer.lowest), pitches.index(self.tokenizer.highest)]

    @property
    def ticks(self) -> list[int]:
        """Ticks by which each id moves the clock on: of the durations, or of the shifts where there are some."""
        tokenizer = self.tokenizer
        return tokenizer.durations if isinstance(tokenizer, NoteTokenizer) and tokenizer.one_voice else tokenizer.shifts

    def train_pieces(self) -> list[Piece]:
        """The pieces that are trained on, as the model sees them: with voices top, their top voice."""
        return self.splits["train"]

    def val_pieces(self) -> list[Piece]:
        """The validation pieces, likewise."""
        return self.splits["val"]

    def test_pieces(self) -> list[Piece]:
        """The test pieces, likewise."""
        return self.splits["test"]

    def split_files(self) -> dict[str, list[str]]:
        """Names of the pieces of each split, and what was left out and why."""
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
                self.epoch_size,
                self.seed,
                self.transpose,
                self.note_values,
            )
            self._save_split()
        if stage in ("fit", "validate"):
            self.val_set = self._evaluation("val")
        if stage == "test":
            self.test_set = self._evaluation("test")
        if stage == "predict":
            prompts, problems = read_prompts(self.prompt, self.prompt_bars)
            report_left_out(f"prompt {self.prompt}", len(prompts), problems)
            if self.voices == "top":
                prompts = [top_voice(piece) for piece in prompts]
            prompts = [self._as_asked(piece) for piece in prompts]
            report_unseen("prompt", prompts, tokenizer)
            self.predict_set = PiecePrompts([piece for piece in prompts for _ in range(self.samples)], tokenizer)

    def _as_asked(self, prompt: Piece) -> Piece:
        """The prompt with the metre and the key that are asked for.

        Raises:
            ValueError: Training had no such metre.
        """
        known = self.tokenizer.signatures
        if self.metre is not None and known is not None and self.metre not in known.metres:
            choices = ", ".join(f"{beats}/{fraction}" for beats, fraction in known.metres)
            beats, fraction = self.metre
            raise UserError(f"metre {beats}/{fraction} is none that training had; choose among {choices}")
        return replace(prompt, time_signature=self.metre or prompt.time_signature, key=self.key or prompt.key)

    def _evaluation(self, split: str) -> EvalEvents:
        report_unseen(split, self.splits[split], self.tokenizer)
        return EvalEvents(self.splits[split], self.tokenizer, self.eval_seq_len, self.stride)

    def _save_split(self) -> None:
        """Writes which pieces are trained on into the run's folder, where there is one."""
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
        """See the base class; prompts are no tensors, and stay where they are."""
        if "prompts" in batch:
            return batch | {"index": batch["index"].to(device)}
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See the base class; the windows follow the seed."""
        super().load_state_dict(state)
        if isinstance(self.train_set, TrainEvents):
            self.train_set.seed = self.seed
