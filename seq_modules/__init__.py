"""Systems (LightningModules) and what they are made of. Their import paths stand in checkpoints: they stay."""

import seq_modules.callbacks  # noqa: F401  the command line names callbacks by their class alone
from seq_modules.base import SequenceModule
from seq_modules.parity import ParityModule

__all__ = ["ParityModule", "SequenceModule"]
