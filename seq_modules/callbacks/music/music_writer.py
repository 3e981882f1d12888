"""A prediction's music on disk: as MIDI, as a picture, as sound, as a score."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from seq_modules.callbacks.loggers.media import log_picture, log_sound
from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice
from seqlight.core.plots import new_figure
from seqlight.music import fluidsynth, score, synth
from seqlight.music.notes import Piece, to_note
from seqlight.music.piano_roll import draw_piano_roll, num_lines

Audio = Literal["auto", "fluidsynth", "synth", "none"]


class MusicWriter(Callback):
    """Writes each row of ``predict`` to ``music/``: MIDI, piano roll (PNG), sound (WAV) and, with verovio, score (SVG).

    Piano roll and sound of the rows of rank 0 go to W&B and TensorBoard too.

    In the pictures, notes of the prompt are grey and generated notes are coloured. Rows without ``notes`` are ignored,
    so the callback may be used with any system.

    Args:
        audio: How to make sound. "fluidsynth" uses the program of that name and a soundfont (the environment variable
            SOUNDFONT, or a file in /usr/share/sounds). "synth" uses the built-in synthesiser. "auto" uses fluidsynth
            if it is installed, else the built-in synthesiser. "none" makes no sound.
        score: Engrave a score if verovio is installed.
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
        """Writes the rows of a batch, on the rank that computed them."""
        for row in outputs if isinstance(outputs, list) else ():
            if isinstance(row, dict) and "notes" in row:
                piece, prompt_notes = piece_of(row)
                name = "-".join([f"{row['index']:05d}", *re.findall(r"[\w.]+", Path(piece.name).name)[:8]])
                stem = run_folder(trainer) / "music" / name
                files = write_music(stem, piece, trainer.datamodule, prompt_notes, self.audio, self.score)  # type: ignore[attr-defined]
                log_music(trainer, f"music/{name}", files)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the folder of the files."""
        trainer.strategy.barrier("music")
        self._print(run_folder(trainer) / "music")

    @rank_zero_only
    def _print(self, folder: Path) -> None:
        if folder.is_dir():
            kinds = " ".join(sorted({path.suffix for path in folder.iterdir()}))
            print(f"music of {len(list(folder.glob('*.mid')))} rows ({kinds}): {folder}")


def piece_of(row: dict[str, Any]) -> tuple[Piece, int]:
    """The piece of a row of ``predict``, and the number of its prompt's notes, which come first."""
    prompt = [to_note(note) for note in row.get("prompt_notes", ())]
    piece = Piece(
        str(row.get("prompt", "")),
        (*prompt, *map(to_note, row["notes"])),
        tuple(row.get("time_signature", Piece.time_signature)),
        row.get("quarters_per_minute", Piece.quarters_per_minute),
        None if row.get("key") is None else tuple(row["key"]),
        metres=tuple((tick, tuple(metre)) for tick, metre in row.get("metres", ())),
        tempos=tuple((tick, tempo) for tick, tempo in row.get("tempos", ())),
    )
    return piece, len(prompt)


def checked_audio(audio: str) -> Audio:
    """Checks the value of ``audio`` and returns it.

    Raises:
        UserError: The value is not one of the choices, or its program is missing.
    """
    check_choice("audio", audio, Audio)
    if audio == "fluidsynth" and not fluidsynth.available():
        raise UserError("audio 'fluidsynth' needs that program and a soundfont; install both, or give synth")
    return audio  # type: ignore[return-value]


def write_music(
    stem: Path, piece: Piece, data: Any, prompt_notes: int = 0, audio: Audio = "auto", engrave: bool = True
) -> dict[str, Path]:
    """Writes a piece as MIDI, picture, sound and score.

    Args:
        stem: Path of the files without extension.
        piece: The music. Without notes, only the MIDI file is written.
        data: The datamodule, which writes MIDI (protocols.data.WritesMidi).
        prompt_notes: Number of notes of the prompt, which come first.
        audio: As in :class:`MusicWriter`.
        engrave: Whether to write a score if verovio is installed.

    Returns:
        Extension ("mid", "png", "wav", "svg") -> path of each file that was written.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    files = {"mid": with_ending(stem, "mid")}
    data.write_midi(files["mid"], piece)
    if not piece.notes:
        return files
    files["png"] = with_ending(stem, "png")
    piano_roll(piece, prompt_notes).savefig(files["png"], dpi=120)
    if audio != "none":
        files["wav"] = with_ending(stem, "wav")
        play(piece, files["mid"], files["wav"], audio)
    if engrave and importlib.util.find_spec("verovio") is not None:
        files["svg"] = with_ending(stem, "svg")
        files["svg"].write_text(score.svg(piece, prompt_notes), encoding="utf-8")
    return files


def log_music(trainer: Trainer, name: str, files: Mapping[str, Path]) -> None:
    """Logs the piano roll as ``name`` and the sound as ``<name>_audio``, of what :func:`write_music` has written."""
    if "png" in files:
        log_picture(trainer, name, files["png"])
    if "wav" in files:
        log_sound(trainer, f"{name}_audio", files["wav"])


def with_ending(stem: Path, ending: str) -> Path:
    """The path with an extension appended. The name may contain dots, so ``with_suffix`` cannot be used."""
    return stem.with_name(f"{stem.name}.{ending}")


def piano_roll(piece: Piece, prompt_notes: int = 0) -> Any:
    """A figure with the piano roll of a piece, eight bars per line."""
    lines = num_lines(piece)
    figure, axes = new_figure(width=11.0, height=1.7 if lines > 1 else 2.4, rows=lines)
    draw_piano_roll(axes, piece, prompt_notes)
    colours = "  (grey: prompt, blue: generated)" if prompt_notes else ""
    axes[0].set_title(piece.name + colours, fontsize=9)
    return figure


def play(piece: Piece, midi: Path, sound: Path, audio: Audio) -> None:
    """Writes the sound of a piece. If fluidsynth fails, a warning says why and the built-in synthesiser is used."""
    if audio == "fluidsynth" or (audio == "auto" and fluidsynth.available()):
        try:
            fluidsynth.render(midi, sound)
            return
        except OSError as error:
            rank_zero_warn(f"{error}; the built-in synthesiser plays instead")
    sound.write_bytes(synth.wav(synth.render(piece)))
