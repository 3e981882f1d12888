"""How the scores of translations change with the length of the source."""

import csv
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.callbacks.text.translation_report import corpus_scores, scores_of
from seq_modules.callbacks.text.translation_rows import Translation, TranslationCallback
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure

DRAWN = {"bleu": ("BLEU", 1.0), "chrf": ("chrF", 1.0), "exact_match": ("exact match, %", 100.0)}  # label, factor


class BleuByLength(TranslationCallback):
    """Scores, after ``test``, the sentences of each range of source lengths by themselves.

    A net that puts a source into one vector loses the long ones first (Cho et al. 2014). Writes ``bleu_by_length.csv``,
    a line for each range: its first and last length, its number of sentences, and the system's scores of them, such as
    BLEU, chrF and exact match; and ``plots/bleu_by_length.png``.

    Args:
        width: Lengths in a range, in tokens of the source without eos, at least 1.
        min_sentences: A range with fewer sentences is joined with the next longer one, the last with the one before.
    """

    def __init__(self, width: int = 5, min_sentences: int = 30) -> None:
        super().__init__()
        check_range("width", width, least=1)
        check_range("min_sentences", min_sentences, least=1)
        self.width, self.min_sentences = width, min_sentences

    def use(self, trainer: Trainer, pl_module: LightningModule, rows: list[Translation]) -> None:
        """Writes and draws."""
        table, names = [], scores_of(pl_module)
        for first, last in length_ranges([row.source_tokens for row in rows], self.width, self.min_sentences):
            inside = [row for row in rows if first <= max(row.source_tokens, 1) <= last]
            table.append({"first": first, "last": last, "sentences": len(inside), **corpus_scores(inside, names)})
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "bleu_by_length.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
        save_figure(trainer, self.draw(table), "bleu_by_length")

    def draw(self, table: Sequence[dict[str, Any]]) -> Any:
        """The plot: those scores of the table that are drawn as lines, numbers of sentences as bars."""
        figure, (axis,) = new_figure(width=6.4)
        places = range(len(table))
        counts = axis.twinx()
        counts.bar(places, [row["sentences"] for row in table], color="0.88", width=0.7)
        counts.set_ylabel("sentences", color="0.5")
        counts.tick_params(colors="0.5")
        axis.set_zorder(counts.get_zorder() + 1)  # lines before bars
        axis.patch.set_visible(False)
        for name, (label, factor) in DRAWN.items():
            if name in table[0]:
                axis.plot(places, [factor * row[name] for row in table], marker="o", label=label)
        axis.set_xticks(places, [f"{row['first']}\N{EN DASH}{row['last']}" for row in table])
        axis.set(xlabel="tokens of the source", ylabel="score", ylim=(-2, 102))
        axis.legend(loc="best")
        return figure


def length_ranges(lengths: Sequence[int], width: int, least: int) -> list[tuple[int, int]]:
    """Ranges of lengths, first and last included, that together cover 1 to the longest length.

    Args:
        lengths: The sentences' lengths, one at least; a length of 0 counts as 1.
        width: Lengths in a range before ranges are joined.
        least: Sentences in a range, unless there are fewer in all.
    """
    longest = max(1, *lengths)
    ranges: list[tuple[int, int]] = []
    start = 1
    for last in range(width, longest + width, width):
        count = sum(start <= max(length, 1) <= last for length in lengths)
        if count >= least:
            ranges.append((start, last))
            start = last + 1
        elif last >= longest:
            ranges.append((ranges.pop()[0] if ranges else start, last))
    return ranges
