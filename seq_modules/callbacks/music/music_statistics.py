"""What a music model composes, in numbers beside those of music that was held out."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.generation.decoding_config import Decoding
from seq_modules.protocols.data import HasPieces
from seq_modules.protocols.systems import ComposesMusic
from seq_modules.training.music_metrics import (
    DurationOverlap,
    IntervalOverlap,
    OnsetTimeOverlap,
    Overlap,
    PitchClassDivergence,
    music_metrics,
)
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure, new_panels
from seqlight.music.comparison import Measure, Row, compare, markdown
from seqlight.music.copying import Copy, CopyIndex
from seqlight.music.notes import TICKS_PER_QUARTER, Piece, excerpts
from seqlight.music.statistics import distinct_four_grams

SHOWN_COPIES = 5
LOOPING = 0.5  # a sample of which a smaller fraction of the 4-grams is distinct repeats itself
HISTOGRAMS: dict[str, Callable[[Sequence[Piece]], PitchClassDivergence | Overlap]] = {
    "pitch classes, in C": PitchClassDivergence,
    "intervals (semitones)": IntervalOverlap,
    "durations (quarters)": DurationOverlap,
    "time between onsets (quarters)": OnsetTimeOverlap,
}


class MusicStatistics(Callback):
    """Has the model compose after ``test``, from nothing, and compares that with the held-out pieces.

    Both are measured against the training pieces (training/music_metrics.py), the held-out ones in parts as long
    as the samples. Logs each number of the samples, for example ``test/interval_overlap``, and how far it is from that
    of the held-out pieces, ``test/interval_overlap_distance``: a small distance is good, not a high number. Beside them
    is the range of real music: what its sets (suites) have, each against all others. Logs too how many of the numbers
    lie within it, ``test/statistics_within``, and how many samples repeat themselves, with fewer than half of their
    4-grams distinct, ``test/looping_samples``. Writes ``music.md``, with the longest copies by piece and bar,
    ``plots/music.png``, ``plots/music_distributions.png`` and the samples as MIDI.

    Args:
        num_samples: Samples, at least 1.
        num_notes: Length of a sample in notes, at least 8; one that the model ends before is taken as it is.
        temperature: Above 0, or 0 for the likeliest note each time.
        top_k: Choose among this many of the likeliest; by default among all.
        top_p: Choose among the fewest that together are this likely, in (0, 1]; by default among all.
        seed: Of the choices.
        sets: Regular expression; what it matches in a piece's name names the set that the piece belongs to. Where
            that gives fewer than 3 sets or more than 12, the pieces are dealt out into six.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(
        self,
        num_samples: int = 24,
        num_notes: int = 128,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        sets: str = r"(?i)bwv ?\d+",
    ) -> None:
        check_range("num_samples", num_samples, least=1)
        check_range("num_notes", num_notes, least=8)
        try:
            re.compile(sets)
        except re.error as error:
            raise UserError(f"sets {sets!r} is no regular expression: {error}") from None
        self.num_samples, self.num_notes, self.sets = num_samples, num_notes, sets
        events = num_notes + num_notes // 4  # rests are chosen like notes
        self.decoding = Decoding(events, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Composes, measures (each rank its part), logs, writes and draws."""
        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(pl_module, ComposesMusic) or not isinstance(data, HasPieces):
            raise UserError(f"MusicStatistics needs a music model and its pieces, not a {type(pl_module).__name__}")
        started = time.monotonic()
        steps = self.decoding.max_new_tokens * pl_module.tokens_per_note
        made = pl_module.sample_pieces(self.num_samples, replace(self.decoding, max_new_tokens=steps))
        samples = [replace(piece, notes=piece.notes[: self.num_notes]) for piece in made]
        training, held_out = data.train_pieces(), data.test_pieces()
        index = CopyIndex(training)
        measure = shared(trainer, pl_module, training, index)
        rows = compare(samples, held_out, training, self.num_notes, self.sets, measure)
        for row in rows:
            pl_module.log(f"test/{row.name}", row.samples, rank_zero_only=True)
            pl_module.log(f"test/{row.name}_distance", row.distance, rank_zero_only=True)
        pl_module.log("test/statistics_within", float(sum(row.within for row in rows)), rank_zero_only=True)
        loops = looping(samples)
        pl_module.log("test/looping_samples", float(loops), rank_zero_only=True)
        self._write(trainer, rows, samples, loops, index, time.monotonic() - started)

    @rank_zero_only
    def _write(
        self, trainer: Trainer, rows: list[Row], samples: list[Piece], loops: int, index: CopyIndex, seconds: float
    ) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        training, held_out = data.train_pieces(), excerpts(data.test_pieces(), self.num_notes)
        folder = run_folder(trainer) / "music"
        folder.mkdir(parents=True, exist_ok=True)
        for number, piece in enumerate(samples):
            data.write_midi(folder / f"sample-{number:03d}.mid", piece)
        ended = sum(len(piece.notes) < self.num_notes for piece in samples)
        text = (
            f"{len(samples)} samples of up to {self.num_notes} notes ({ended} are shorter, {loops} "
            f"repeat themselves), {len(held_out)} parts of held-out pieces, {len(training)} training pieces. "
            f"{self.decoding}\n\n{markdown(rows)}\n"
            f"Longest copies from the training pieces, in any key:\n\n"
            f"{copies_of(samples, index, 'sample')}{copies_of(held_out, index, 'held out')}"
        )
        path = folder.with_name("music.md")
        path.write_text(text, encoding="utf-8")
        save_figure(trainer, ranges(rows), "music")
        save_figure(trainer, distributions(samples, held_out, training), "music_distributions")
        inside = sum(row.within for row in rows)
        print(f"{inside} of {len(rows)} statistics within the range of real music, in {seconds:.1f} s: {path}")


def looping(samples: Sequence[Piece]) -> int:
    """How many samples have fewer than half of their 4-grams distinct."""
    distinct = [distinct_four_grams(piece) for piece in samples]
    return sum(share is not None and share < LOOPING for share in distinct)


def shared(trainer: Trainer, pl_module: LightningModule, training: Sequence[Piece], index: CopyIndex) -> Measure:
    """A way to measure in which each rank takes its part of the pieces, and the counts are summed over ranks.

    Args:
        trainer: Knows the ranks.
        pl_module: Knows the device.
        training: Pieces with which most are compared.
        index: Theirs, which takes a while to make.
    """
    device = pl_module.device if trainer.world_size > 1 else torch.device("cpu")  # NCCL sums on its devices alone

    def measure(pieces: Sequence[Piece], reference: Sequence[Piece]) -> dict[str, float]:
        metrics = music_metrics(reference, index=index if reference is training else None).to(device)
        metrics.update(pieces[trainer.global_rank :: trainer.world_size])
        return {name: float(value) for name, value in metrics.compute().items()}

    return measure


def copies_of(pieces: Sequence[Piece], index: CopyIndex, what: str) -> str:
    """Lines on the longest copies in some pieces."""
    found = [(index.longest(piece), number, piece.name) for number, piece in enumerate(pieces)]
    found.sort(key=lambda item: (-item[0].notes, item[1]))
    return "".join(f"- {what} {number} ({name}), {described(copy)}\n" for copy, number, name in found[:SHOWN_COPIES])


def described(copy: Copy) -> str:
    """A copy in words."""

    def bars(first: int, last: int) -> str:
        return f"bar {first}" if first == last else f"bars {first}-{last}"

    if not copy.notes:
        return "nothing in common"
    key = f" ({copy.semitones:+d} semitones)" if copy.semitones else ""
    return f"{bars(*copy.bars)}: {copy.notes} notes of {copy.source}, {bars(*copy.source_bars)}{key}"


def ranges(rows: Sequence[Row]) -> Any:
    """A figure with an axis for each statistic: the range of real music, the held-out pieces and the samples."""
    figure, axes = new_panels(len(rows), columns=3, width=3.6, height=0.95)
    for axis, row in zip(axes, rows, strict=True):
        axis.axvspan(row.low, row.high, color="0.85")
        axis.axvline(row.held_out, color="0.3", linewidth=2)
        axis.plot(row.samples, 0, "o", color="C0" if row.within else "C3", markersize=8)
        axis.set_yticks([])
        axis.grid(visible=False)
        axis.set_title(row.name.replace("_", " "), fontsize=9)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.15)
    title = "samples (dot; red: outside the range), held-out pieces (line), range of sets of real music (grey)"
    figure.suptitle(title, fontsize=10)
    return figure


def distributions(samples: Sequence[Piece], held_out: Sequence[Piece], training: Sequence[Piece]) -> Any:
    """A figure of the distributions that the overlaps compare: of samples, held-out and training pieces."""
    figure, axes = new_figure(2, width=5.5, height=2.8, rows=2)
    for axis, (title, counted) in zip(axes, HISTOGRAMS.items(), strict=True):
        for name, pieces, style in (
            ("training", training, "C7"),
            ("held out", held_out, "0.2"),
            ("samples", samples, "C0"),
        ):
            metric = counted(pieces)
            fractions = (metric.reference / metric.reference.sum()).numpy()
            centres = np.arange(len(fractions), dtype=float)
            if isinstance(metric, IntervalOverlap):
                centres -= len(fractions) // 2
            elif isinstance(metric, Overlap):  # ticks
                centres /= TICKS_PER_QUARTER
            width = centres[1] - centres[0]
            if name == "training":
                axis.bar(centres, fractions, width=0.9 * width, color="0.85", label=name)
            else:
                edges = np.append(centres, centres[-1] + width) - width / 2
                axis.stairs(fractions, edges, color=style, label=name, linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
    axes[0].set_xticks(range(12), ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"])
    for axis in axes[2:]:
        axis.set_xlim(0, 3)
    for axis in axes[::2]:
        axis.set_ylabel("fraction of all", fontsize=8)
    axes[0].legend(fontsize=8)
    return figure
