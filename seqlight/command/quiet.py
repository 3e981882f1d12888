"""Silences what Lightning and torch print that calls for no action by the user."""

import logging
import warnings

IGNORED_WARNINGS = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*callbacks used to create the checkpoint.*",
    ".*training batches .* smaller than the logging interval.*",
    ".*FSDP2-wrapped module.*returned a view tensor.*",  # logits, which nothing changes in place
    ".*Experiment logs directory.*not empty.*",
)
# Advertisements, and signals, about which the command has a line of its own.
UNTOLD = ("Tip:", "litlogger", "Detected KeyboardInterrupt", "Received SIGTERM")


def quieten() -> None:
    """Filters those warnings, and Lightning's advertisements."""

    def is_told(record: logging.LogRecord) -> bool:
        return not any(words in record.getMessage() for words in UNTOLD)

    for name in ("utilities.rank_zero", "trainer.connectors.signal_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").addFilter(is_told)
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message)
