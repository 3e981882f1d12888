"""The scores of a tested translation system with their signatures, and every sentence with its own scores."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sacrebleu
from lightning.pytorch import LightningModule, Trainer

from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.callbacks.text.translation_rows import Translation, TranslationCallback
from seq_modules.protocols.systems import HasDecoding, HasScores
from seq_modules.training.metrics.translation import SCORES, CorpusScore, Score, translation_metrics


class TranslationReport(TranslationCallback):
    """Writes, after ``test``, what a published score needs, and what explains it.

    ``bleu.json`` holds the system's corpus scores, sacrebleu's signature of each, the number of sentences and the
    settings of decoding; the scores and signatures are printed as well. ``translations.tsv`` has a line for each
    sentence: index, source, reference, hypothesis, and its own BLEU (with effective order) and chrF. Texts with a tab
    or a line break are quoted as in CSV.
    """

    def use(self, trainer: Trainer, pl_module: LightningModule, rows: list[Translation]) -> None:
        """Writes both files."""
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        report = corpus_report(rows, scores_of(pl_module))
        for name, signature in report["signatures"].items():
            print(f"{name} {report['scores'][name]:.2f} {signature}")
        if isinstance(pl_module, HasDecoding):
            report["decoding"] = asdict(pl_module.decoding)
        (folder / "bleu.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        with (folder / "translations.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(("index", "source", "reference", "hypothesis", "bleu", "chrf"))
            writer.writerows(sentence_rows(rows))


def scores_of(module: LightningModule) -> Sequence[Score]:
    """The scores of a system's translations: its own, or all."""
    return module.scores if isinstance(module, HasScores) else SCORES


def corpus_scores(rows: Sequence[Translation], names: Sequence[Score] = SCORES) -> dict[str, float]:
    """Scores of some sentences: BLEU and chrF from 0 to 100, exact match from 0 to 1."""
    metrics = translation_metrics(names)
    for metric in metrics.values():
        metric.update([row.hypothesis for row in rows], [row.reference for row in rows])
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def corpus_report(rows: Sequence[Translation], names: Sequence[Score] = SCORES) -> dict[str, Any]:
    """What ``bleu.json`` holds."""
    signed = {name: metric for name, metric in translation_metrics(names).items() if isinstance(metric, CorpusScore)}
    return {
        "sentences": len(rows),
        "scores": corpus_scores(rows, names),
        "signatures": {name: metric.signature for name, metric in signed.items()},
    }


def sentence_rows(rows: Sequence[Translation]) -> list[tuple[int, str, str, str, str, str]]:
    """What ``translations.tsv`` holds, without its heading."""
    bleu, chrf = sacrebleu.BLEU(effective_order=True), sacrebleu.CHRF()
    return [
        (
            row.index,
            row.source,
            row.reference,
            row.hypothesis,
            f"{bleu.sentence_score(row.hypothesis, [row.reference]).score:.2f}",
            f"{chrf.sentence_score(row.hypothesis, [row.reference]).score:.2f}",
        )
        for row in rows
    ]
