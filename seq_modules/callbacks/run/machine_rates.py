"""The machine's rates beside what a run reached in its time."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core import hardware


class MachineRates(Callback):
    """Writes ``machine.txt`` into a run's folder: the processor and its measured rates of products, in one line.

    What a training reaches in so many seconds means little without them; a loaded machine shows as a slow one.
    """

    @rank_zero_only
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures, for some hundredths of a second, and writes."""
        line = hardware.describe("cuda" if pl_module.device.type == "cuda" else "cpu")
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "machine.txt").write_text(f"{line}\n", encoding="utf-8")
        rank_zero_info(f"machine: {line}")
