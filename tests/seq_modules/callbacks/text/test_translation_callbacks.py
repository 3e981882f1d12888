"""What a tested translation system leaves: scores with signatures, every sentence, scores by length, alignments."""

import csv
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sacrebleu
import torch
from helpers.toy_translation import PAIR, REFERENCES, SOURCES, Attending, ToyTranslator, loader, translated
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import CSVLogger

from seq_modules.callbacks import Alignments, BleuByLength, TranslationReport
from seq_modules.callbacks.text.bleu_by_length import length_ranges
from seq_modules.callbacks.text.translation_rows import TranslationCallback

HYPOTHESES = [translated(source) for source in SOURCES]


def left_by_a_test(folder: Path, *callbacks: Any, module: LightningModule | None = None, **settings: Any) -> Path:
    logger = CSVLogger(folder, name="", version="run")
    trainer = quiet_trainer(folder, *callbacks, logger=logger, **settings)
    trainer.test(module or ToyTranslator(Attending(1, 1)), loader(), verbose=False)
    return folder / "run"


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_the_report_has_sacrebleus_scores_and_signatures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads((left_by_a_test(tmp_path, TranslationReport()) / "bleu.json").read_text())
    assert report["sentences"] == 7
    peers = {"bleu": sacrebleu.BLEU(), "bleu_lower": sacrebleu.BLEU(lowercase=True), "chrf": sacrebleu.CHRF()}
    printed = capsys.readouterr().out
    for name, peer in peers.items():
        score = peer.corpus_score(HYPOTHESES, [REFERENCES]).score
        assert 50 < score < 100
        assert report["scores"][name] == pytest.approx(score, abs=1e-9)
        assert report["signatures"][name] == str(peer.get_signature())
        assert printed.count(f"{name} {score:.2f} {peer.get_signature()}\n") == 1
    assert report["scores"]["exact_match"] == pytest.approx(4 / 7)
    assert report["decoding"]["max_new_tokens"] == 30


def test_every_sentence_stands_in_the_table(tmp_path: Path) -> None:
    rows = rows_of(left_by_a_test(tmp_path, TranslationReport()) / "translations.tsv", delimiter="\t")
    assert [row["index"] for row in rows] == [str(i) for i in range(7)]
    assert [row["source"] for row in rows] == SOURCES
    assert [row["reference"] for row in rows] == REFERENCES
    assert [row["hypothesis"] for row in rows] == HYPOTHESES
    for row, hypothesis, reference in zip(rows, HYPOTHESES, REFERENCES, strict=True):
        bleu = sacrebleu.sentence_bleu(hypothesis, [reference]).score
        assert float(row["bleu"]) == pytest.approx(bleu, abs=0.006)
        assert float(row["chrf"]) == pytest.approx(sacrebleu.sentence_chrf(hypothesis, [reference]).score, abs=0.006)
    assert rows[0]["bleu"] == "100.00"


def keep(callback: TranslationCallback, batch: Any) -> None:
    module = ToyTranslator(Attending(1, 1))
    callback.on_test_batch_end(None, module, module.test_step(batch, 0), batch, 0)  # type: ignore[arg-type]


def gather(rank: int, folder: Path) -> None:
    """One of two processes; the second repeats a row that the first has."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    rows = TranslationCallback()
    for batch in loader(2, rank, 2):
        keep(rows, batch)
    if rank:
        batch = next(iter(loader(1)))
        keep(rows, batch)
    found = rows.gathered(SimpleNamespace(world_size=2))  # type: ignore[arg-type]
    (folder / f"{rank}.txt").write_text("\n".join(map(str, found)))
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_rows_of_one(tmp_path: Path) -> None:
    one = TranslationCallback()
    for batch in loader():
        keep(one, batch)
    expected = one.gathered(SimpleNamespace(world_size=1))  # type: ignore[arg-type]
    assert [(row.source, row.source_tokens) for row in expected] == [(text, len(text.split())) for text in SOURCES]
    # Forked, since the imports of new processes would take seconds.
    torch.multiprocessing.start_processes(gather, (tmp_path,), nprocs=2, start_method="fork")
    for rank in range(2):
        assert (tmp_path / f"{rank}.txt").read_text() == "\n".join(map(str, expected))


def test_ranges_of_lengths_hold_enough_sentences() -> None:
    assert length_ranges([1, 2, 3, 4, 5, 6], 2, 1) == [(1, 2), (3, 4), (5, 6)]
    assert length_ranges([1, 2, 3, 4, 5], 2, 2) == [(1, 2), (3, 6)]  # one sentence of 5 is joined with 3 to 4
    assert length_ranges([1, 9, 9], 2, 2) == [(1, 10)]  # the first joins the next, until there are two
    assert length_ranges([0, 1], 5, 30) == [(1, 5)]
    assert length_ranges([0], 5, 1) == [(1, 5)]


def test_scores_by_length_are_those_of_the_sentences_of_each_length(tmp_path: Path) -> None:
    folder = left_by_a_test(tmp_path, BleuByLength(width=2, min_sentences=2))
    assert (folder / "plots/bleu_by_length.png").is_file()
    rows = rows_of(folder / "bleu_by_length.csv")
    assert [(row["first"], row["last"], row["sentences"]) for row in rows] == [
        ("1", "2", "2"), ("3", "4", "2"), ("5", "6", "3"),
    ]  # fmt: skip
    for row, chosen in zip(rows, ([4, 6], [0, 2], [1, 3, 5]), strict=True):
        score = sacrebleu.BLEU().corpus_score([HYPOTHESES[i] for i in chosen], [[REFERENCES[i] for i in chosen]]).score
        assert float(row["bleu"]) == pytest.approx(score, abs=1e-9)
    assert [float(row["exact_match"]) for row in rows] == pytest.approx([1 / 2, 1, 1 / 3], abs=1e-6)


def test_scores_are_those_that_the_system_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Any] = []
    monkeypatch.setattr(
        "seq_modules.callbacks.text.bleu_by_length.save_figure", lambda trainer, figure, name: saved.append(figure)
    )
    module = ToyTranslator(Attending(1, 1))
    module.scores = ("exact_match", "chrf")
    folder = left_by_a_test(tmp_path, TranslationReport(), BleuByLength(min_sentences=7), module=module)
    report = json.loads((folder / "bleu.json").read_text())
    assert list(report["scores"]) == ["exact_match", "chrf"]
    assert list(report["signatures"]) == ["chrf"]
    (row,) = rows_of(folder / "bleu_by_length.csv")
    assert list(row) == ["first", "last", "sentences", "exact_match", "chrf"]
    assert float(row["chrf"]) == pytest.approx(report["scores"]["chrf"])
    (axis, _) = saved[0].axes
    assert {line.get_label(): line.get_ydata().tolist() for line in axis.lines} == {
        "chrF": [float(row["chrf"])], "exact match, %": [100 * float(row["exact_match"])],
    }  # fmt: skip


def test_a_system_that_returns_no_translations_is_left_alone(tmp_path: Path) -> None:
    class Silent(ToyTranslator):
        def test_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
            pass

    folder = left_by_a_test(tmp_path, TranslationReport(), BleuByLength(), module=Silent(Attending(1, 1)))
    assert not list(folder.rglob("bleu*"))


def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    saved: dict[str, Any] = {}
    monkeypatch.setattr(
        "seq_modules.callbacks.text.alignments.save_figure", lambda trainer, figure, name: saved.update({name: figure})
    )
    return saved


@pytest.mark.parametrize("layer", [None, 2])
def test_alignments_show_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: int | None) -> None:
    saved, net = drawn(monkeypatch), Attending(2, 3)
    left_by_a_test(tmp_path, Alignments(layer=layer), module=ToyTranslator(net))
    assert list(saved) == ["alignment_1", "alignment_2", "alignment_3", "alignment_4"]
    for source, figure in zip(SOURCES, saved.values(), strict=False):
        axis = figure.axes[0]
        keys, queries = [*source.split(), "</s>"], [*translated(source).split(), "</s>"]
        assert [label.get_text() for label in axis.get_xticklabels()] == keys
        assert [label.get_text() for label in axis.get_yticklabels()] == queries
        weights = net.weights(len(queries), len(keys))[0]
        expected = weights.mean((0, 1)) if layer is None else weights[1].mean(0)
        torch.testing.assert_close(torch.tensor(axis.images[0].get_array().data), expected)


def test_alignments_of_given_sentences_are_cut(tmp_path: Path) -> None:
    folder = left_by_a_test(tmp_path, Alignments(sentences=["Ein $ $ Mann .", "  "], max_tokens=3))
    assert [path.name for path in folder.glob("plots/*")] == ["alignment_1.png"]


def test_predictions_have_alignments_on_request(tmp_path: Path) -> None:
    for wanted in (False, True):
        trainer = quiet_trainer(tmp_path / str(wanted), Alignments(count=2, predict=wanted))
        trainer.predict(ToyTranslator(Attending(1, 1)), loader())
        assert len(list((tmp_path / str(wanted)).glob("plots/alignment_*.png"))) == (2 if wanted else 0)


def test_a_net_without_attention_has_no_alignments_which_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        folder = left_by_a_test(tmp_path, Alignments(), module=ToyTranslator(Attending(0, 1)))
    assert not (folder / "plots").exists()
    assert caplog.text.count("Alignments draws nothing") == 1


def test_a_layer_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^layer must be at most 2, not 3"):
        left_by_a_test(tmp_path, Alignments(layer=3), module=ToyTranslator(Attending(2, 1)))


@pytest.mark.parametrize(
    ("make_one", "named"),
    [
        (lambda: Alignments(count=0), "count"),
        (lambda: Alignments(layer=0), "layer"),
        (lambda: Alignments(max_tokens=1), "max_tokens"),
        (lambda: BleuByLength(width=0), "width"),
        (lambda: BleuByLength(min_sentences=0), "min_sentences"),
    ],
)
def test_refuses(make_one: Any, named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        make_one()


def test_the_toy_knows_all_words() -> None:
    assert all(1 not in PAIR.source.encode(text) for text in SOURCES)
