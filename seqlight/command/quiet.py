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


def quieten() -> None:
    """Filters those warnings, and Lightning's advertisements."""

    def is_no_tip(record: logging.LogRecord) -> bool:
        return "Tip:" not in record.getMessage() and "litlogger" not in record.getMessage()

    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(is_no_tip)
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message)
