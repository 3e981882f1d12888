"""Minimal pairs, read from files or made from a corpus, and how often a language model prefers the good text."""

from seq_modules.probes.grammar import make_grammar
from seq_modules.probes.pairs import Pair, Report, score_pairs
from seq_modules.probes.sources import LoadedPairs, from_blimp, from_csv, from_hub
from seq_modules.probes.spelling import make_spelling

__all__ = [
    "LoadedPairs",
    "Pair",
    "Report",
    "from_blimp",
    "from_csv",
    "from_hub",
    "make_grammar",
    "make_spelling",
    "score_pairs",
]
