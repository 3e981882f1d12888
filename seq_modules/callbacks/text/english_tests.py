"""Tests of a language model's English: spelling, grammar, and pairs of one's own."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only, rank_zero_warn

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.probes.grammar import make_grammar
from seq_modules.probes.pairs import Pair, Report, score_pairs
from seq_modules.probes.sources import LoadedPairs, from_blimp, from_csv, from_hub
from seq_modules.probes.spelling import make_spelling
from seq_modules.protocols.data import HasTexts
from seq_modules.protocols.systems import Scores
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure

SHOWN_PROBLEMS = 5  # rows that could not be read, named one by one


class EnglishTests(Callback):
    """Measures, after ``test``, how often the model prefers the right one of two texts (docs/notes/probes.md).

    The pairs of spelling and grammar are made from the corpus: from the training text, and for spelling from the words
    of the test text too. Logs each test's accuracy, ``test/spelling_seen``, ``test/spelling_unseen``, ``test/grammar``,
    ``test/blimp``, and for pairs of one's own in ``words.csv`` ``test/pairs_words``; writes details, with intervals, to
    ``english.csv``, ``english.md`` and ``plots/english.png``.

    Args:
        spelling: Include words against non-words.
        grammar: Include right sentences against wrong ones, from templates.
        per_kind: Pairs of each kind of spelling and grammar, at least 1.
        context: Words of the text to put before a word of the spelling test; 0 shows it alone.
        pairs: A CSV file of two columns, the good text and the bad one.
        blimp: BLiMP's JSON lines: a file, or a folder of them.
        blimp_hub: Kinds (configurations) of BLiMP to take from the hub, such as ["anaphor_gender_agreement"].
        seed: Of the pairs that are made.
    """

    reads = ("pairs", "blimp")  # arguments that name files; of a checkpoint from elsewhere they may be missing

    def __init__(
        self,
        spelling: bool = True,
        grammar: bool = True,
        per_kind: int = 200,
        context: int = 0,
        pairs: str | None = None,
        blimp: str | None = None,
        blimp_hub: list[str] | None = None,
        seed: int = 0,
    ) -> None:
        check_range("per_kind", per_kind, least=1)
        check_range("context", context, least=0)
        self.spelling, self.grammar, self.per_kind, self.context = spelling, grammar, per_kind, context
        self.pairs, self.blimp, self.blimp_hub, self.seed = pairs, blimp, blimp_hub, seed
        self._given: list[Pair] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads the files, so that a missing one is reported before the test."""
        self._given = self._read()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures, logs, writes and draws; every rank measures all pairs, which takes seconds."""
        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(pl_module, Scores) or not isinstance(data, HasTexts):
            raise UserError(f"EnglishTests needs a language model and its corpus, not a {type(pl_module).__name__}")
        started = time.monotonic()
        report = score_pairs(self._made(data) + self._given, pl_module.score)
        for row in report.rows:
            if row.by == "all":
                pl_module.log(f"test/{row.suite}", row.accuracy, rank_zero_only=True)
        self._write(trainer, report, time.monotonic() - started)

    def _made(self, data: HasTexts) -> list[Pair]:
        """Pairs from the corpus."""
        made: list[Pair] = []
        if self.spelling:
            made += make_spelling(
                data.train_text(), data.test_text(), per_kind=self.per_kind, seed=self.seed, context=self.context
            )
        if self.grammar:
            made += make_grammar(data.train_text(), per_kind=self.per_kind, seed=self.seed)
        return made

    def _read(self) -> list[Pair]:
        """Pairs from files and from the hub, with a warning of the rows that are no pairs."""
        sources: list[LoadedPairs] = []
        if self.pairs is not None:
            # The prefix keeps it apart from other tests and metrics: a file may be called grammar.csv, or loss.csv.
            sources.append(from_csv(self.pairs, suite=f"pairs_{Path(self.pairs).stem}"))
        if self.blimp is not None:
            sources.append(from_blimp(self.blimp))
        if self.blimp_hub is not None:
            sources.append(from_hub(kinds=self.blimp_hub))
        for remark in filter(None, (found.remark for found in sources)):
            rank_zero_info(remark)
        for problems in (found.problems for found in sources if found.problems):
            shown = "; ".join(problems[:SHOWN_PROBLEMS])
            rank_zero_warn(f"{len(problems)} rows are no pairs and are left out: {shown}")
        return [pair for found in sources for pair in found.pairs]

    @rank_zero_only
    def _write(self, trainer: Trainer, report: Report, seconds: float) -> None:
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "english.csv").write_text(report.csv(), encoding="utf-8")
        (folder / "english.md").write_text(report.markdown(), encoding="utf-8")
        rows = [row for row in report.rows if row.by in ("all", "kind")]
        if not rows:
            return
        figure, (axis,) = new_figure(width=7.0, height=1.2 + 0.24 * len(rows))
        for at, row in enumerate(rows):
            whole = row.by == "all"
            axis.plot([row.low, row.high], [at, at], color="C0" if whole else "C7", linewidth=3 if whole else 1.5)
            axis.plot(row.accuracy, at, "o", color="C0" if whole else "C7")
        axis.axvline(0.5, color="C3", linewidth=1, linestyle="--", label="chance")
        axis.legend(fontsize=8, loc="lower left")
        axis.set_yticks(range(len(rows)), [row.suite if row.by == "all" else row.group for row in rows], fontsize=8)
        axis.set(xlabel="accuracy, with its 95 % interval", ylim=(len(rows) - 0.5, -0.5), xlim=(None, 1.01))
        save_figure(trainer, figure, "english")
        print(f"{len(report.outcomes):,} pairs of English in {seconds:.1f} s: {folder / 'english.md'}")
        for row in report.rows:
            if row.by == "all":
                print(f"  {row.suite:<16} {100 * row.accuracy:5.1f} %  ({100 * row.low:.1f} to {100 * row.high:.1f})")
