"""A prediction's music on disk: as MIDI, as a picture, as sound, as a score."""

import importlib.util
import re
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.checks import check_choice
from seqlight.core.errors import UserError
from seqlight.core.plots import new_figure
from seqlight.music import fluidsynth, score, synth
from seqlight.music.notes import Piece, plain
from seqlight.music.piano_roll import draw_piano_roll, lines_of

Audio = Literal["auto", "fluidsynth", "synth", "none"]


class MusicWriter(Callback):
    """Writes each row of ``predict`` to ``music/``: MIDI, piano roll (PNG), sound (WAV) and, with verovio, score (SVG).

    What the music began with is grey in the pictures, what was made is coloured. Rows without ``notes`` are left alone,
    so that the callback may stand in any prediction.

    Args:
        audio: "fluidsynth" plays with the program of that name and a soundfont (the environment's SOUNDFONT, or one
            in /usr/share/sounds), "synth" with a small synthesiser of our own, "auto" with the first where it is there
            and else the second, "none" not at all.
        score: Engrave a score, where verovio is installed.
    """

    def __init__(self, audio: Audio = "auto", score: bool = True) -> None:
        self.audio = checked_audio(audio)
        self.score = score

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Writes a batch's rows, on the rank that has them."""
        for row in outputs if isinstance(outputs, list) else ():
            if isinstance(row, dict) and "notes" in row:
                given = [plain(note) for note in row.get("prompt_notes", ())]
                piece = Piece(
                    str(row.get("prompt", "")),
                    (*given, *map(plain, row["notes"])),
                    tuple(row.get("time_signature", Piece.time_signature)),
                    row.get("quarters_per_minute", Piece.quarters_per_minute),
                    None if row.get("key") is None else tuple(row["key"]),
                )
                name = "-".join([f"{row['index']:05d}", *re.findall(r"[\w.]+", Path(piece.name).name)[:8]])
                stem = run_folder(trainer) / "music" / name
                write_music(stem, piece, trainer, len(given), self.audio, self.score)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints where the files are."""
        trainer.strategy.barrier("music")
        self._tell(run_folder(trainer) / "music")

    @rank_zero_only
    def _tell(self, folder: Path) -> None:
        if folder.is_dir():
            kinds = " ".join(sorted({path.suffix for path in folder.iterdir()}))
            print(f"music of {len(list(folder.glob('*.mid')))} rows ({kinds}): {folder}")


def checked_audio(audio: str) -> Audio:
    """The way to make sound, if it is one.

    Raises:
        ValueError: It is none, or its program is missing.
    """
    check_choice("audio", audio, Audio)
    if audio == "fluidsynth" and not fluidsynth.available():
        raise UserError("audio 'fluidsynth' needs that program and a soundfont; install both, or give synth")
    return audio  # type: ignore[return-value]


def write_music(
    stem: Path, piece: Piece, trainer: Trainer, given: int = 0, audio: Audio = "auto", engrave: bool = True
) -> dict[str, Path]:
    """Writes a piece in every form.

    Args:
        stem: The files' path without an ending.
        piece: The music; without notes, there is no file but the MIDI's.
        trainer: Whose datamodule writes MIDI.
        given: How many of its notes, the first ones, it began with.
        audio: As in :class:`MusicWriter`.
        engrave: Whether to write a score where verovio is installed.

    Returns:
        Ending ("mid", "png", "wav", "svg") -> path of each file that was written.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    files = {"mid": with_ending(stem, "mid")}
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    data.write_midi(files["mid"], piece)
    if not piece.notes:
        return files
    files["png"] = with_ending(stem, "png")
    piano_roll(piece, given).savefig(files["png"], dpi=120)
    if audio != "none":
        files["wav"] = with_ending(stem, "wav")
        play(piece, files["mid"], files["wav"], audio)
    if engrave and importlib.util.find_spec("verovio") is not None:
        files["svg"] = with_ending(stem, "svg")
        files["svg"].write_text(score.svg(piece, given), encoding="utf-8")
    return files


def with_ending(stem: Path, ending: str) -> Path:
    """A path with an ending more; the name may have dots of its own."""
    return stem.with_name(f"{stem.name}.{ending}")


def piano_roll(piece: Piece, given: int = 0) -> Any:
    """A figure of the piece, a line for each eight bars."""
    lines = lines_of(piece)
    figure, axes = new_figure(width=11.0, height=1.7 if lines > 1 else 2.4, rows=lines)
    draw_piano_roll(axes, piece, given)
    axes[0].set_title(piece.name, fontsize=9)
    return figure


def play(piece: Piece, midi: Path, sound: Path, audio: Audio) -> None:
    """Writes a piece's sound; a program that fails is named, and our own synthesiser takes its place."""
    if audio == "fluidsynth" or (audio == "auto" and fluidsynth.available()):
        try:
            fluidsynth.render(midi, sound)
            return
        except OSError as error:
            rank_zero_warn(f"{error}; the built-in synthesiser plays instead")
    sound.write_bytes(synth.wav(synth.render(piece)))
