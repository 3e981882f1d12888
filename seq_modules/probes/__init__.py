"""What a language model knows of a language: minimal pairs, read or made from its own corpus. Knows text alone."""

from seq_modules.probes.grammar import make_grammar
from seq_modules.probes.pairs import Pair, Report, judge
from seq_modules.probes.sources import Found, from_blimp, from_csv, from_hub
from seq_modules.probes.spelling import make_spelling

__all__ = ["Found", "Pair", "Report", "from_blimp", "from_csv", "from_hub", "judge", "make_grammar", "make_spelling"]
