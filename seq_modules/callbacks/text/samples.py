"""Samples of a language model's text during training."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.loggers.media import log_text
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.generation.decoding_config import Decoding
from seq_modules.protocols.systems import Generates, HasTokenizer
from seqlight.core.errors import UserError


class Samples(Callback):
    """Continues a prompt with a language model at each validation; prints, logs and keeps the text.

    All samples of a run stand in ``samples.md``; W&B and TensorBoard get them as text. Sampling has random numbers of
    its own: training is the same with and without it.

    Args:
        prompt: Text to continue.
        max_new_tokens: Length of a sample in tokens, at least 1.
        temperature: Above 0, or 0 for the likeliest token each time.
        top_k: Choose among this many of the likeliest tokens; by default among all.
        seed: Of the choices.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(
        self,
        prompt: str = "The ",
        max_new_tokens: int = 200,
        temperature: float = 0.8,
        top_k: int | None = None,
        seed: int = 0,
    ) -> None:
        if not prompt:
            raise UserError("prompt is empty; give a text to continue")
        self.prompt = prompt
        self.decoding = Decoding(max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, seed=seed)

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes one sample, with the weights that were validated."""
        if trainer.sanity_checking or not isinstance(pl_module, Generates):
            return
        if not isinstance(pl_module, HasTokenizer) or pl_module.tokenizer is None:
            return
        (text,) = pl_module.generate([self.prompt], self.decoding)
        step = trainer.global_step
        print(f"sample at step {step}: {(self.prompt + text)!r}")
        with (run_folder(trainer) / "samples.md").open("a", encoding="utf-8") as file:
            file.write(f"## Step {step}\n**{self.prompt.strip()}**\n\n```\n{self.prompt}{text}\n```\n\n")
        log_text(trainer, "samples", self.prompt + text)
