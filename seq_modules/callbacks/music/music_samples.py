"""What a music model composes, while it learns."""

from dataclasses import replace
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.music.music_writer import Audio, checked_audio, log_music, write_music
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.generation.decoding_config import Decoding
from seq_modules.protocols.systems import ComposesMusic
from seqlight.core.hyperparameters import check_range


class MusicSamples(Callback):
    """Has a music model compose at intervals and at the end of training, from nothing.

    Writes MIDI, piano roll and sound to ``samples/`` and gives picture and sound to W&B and TensorBoard. The same
    numbers are drawn each time, so that what changes is the model; they do not depend on the training's, and do not
    disturb them.

    Args:
        count: Samples each time, at least 1.
        max_notes: Length of a sample in notes, at least 1.
        every: Compose at every so many validations, at least 1, and at the end.
        temperature: Above 0, or 0 for the likeliest note each time.
        top_p: Choose among the fewest that together are this likely, in (0, 1]; by default among all.
        seed: Of the choices.
        audio: As in MusicWriter: "auto", "fluidsynth", "synth" or "none".
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(
        self,
        count: int = 2,
        max_notes: int = 128,
        every: int = 1,
        temperature: float = 1.0,
        top_p: float | None = None,
        seed: int = 0,
        audio: Audio = "synth",
    ) -> None:
        for name, value in (("count", count), ("max_notes", max_notes), ("every", every)):
            check_range(name, value, least=1)
        self.count, self.every, self.audio = count, every, checked_audio(audio)
        self.decoding = Decoding(max_new_tokens=max_notes, temperature=temperature, top_p=top_p, seed=seed)
        self.validations = 0
        self.last_step = -1

    def state_dict(self) -> dict[str, Any]:
        """How many validations there were, so that a resumed run keeps the interval."""
        return {"validations": self.validations, "last_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See :meth:`state_dict`."""
        self.validations, self.last_step = state_dict["validations"], state_dict["last_step"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Composes if it is time, with the weights that were validated."""
        if trainer.sanity_checking:
            return
        self.validations += 1
        if self.validations % self.every == 0:
            self.compose(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Composes once more, unless the last validation did."""
        self.compose(trainer, pl_module)

    @rank_zero_only
    def compose(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the samples of this step."""
        step = trainer.global_step
        if step == self.last_step or not isinstance(pl_module, ComposesMusic):
            return
        self.last_step = step
        folder = run_folder(trainer) / "samples"
        steps = self.decoding.max_new_tokens * pl_module.tokens_per_note
        decoding = replace(self.decoding, max_new_tokens=steps)
        for number, piece in enumerate(pl_module.sample_pieces(self.count, decoding)):
            piece = replace(piece, name=f"step {step:,}, sample {number + 1}")
            stem = folder / f"step-{step:07d}-{number + 1}"
            files = write_music(stem, piece, trainer.datamodule, audio=self.audio, engrave=False)  # type: ignore[attr-defined]
            log_music(trainer, f"sample_{number + 1}", files)
        print(f"samples at step {step}: {folder}")
