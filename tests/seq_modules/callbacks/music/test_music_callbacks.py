"""Music that is written while training, by predict and after a test; and the numbers that stand beside it."""

import json
import re
import warnings
import wave
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.loggers import csv_metrics
from helpers.music_pieces import piece_from
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from datamodules.music.sources.midi_files import read_midi, write_midi
from seq_modules.callbacks import MusicSamples, MusicStatistics, MusicWriter
from seq_modules.callbacks.music import music_writer as writer
from seq_modules.callbacks.music.music_samples import MusicSamples as Samples
from seq_modules.callbacks.music.music_statistics import looping
from seqlight.music.comparison import Row, compare, group_into_sets, markdown
from seqlight.music.copying import CopyIndex
from seqlight.music.notes import Note, Piece

SMALL = (
    "--model.net.d_model=16", "--model.net.rnn.hidden_size=16", "--model.net.rnn.num_layers=1",
    "--data.source.num_etudes=24",
    "--data.seq_len=32", "--data.windows.epoch_size=16", "--data.batch_size=8", "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
)  # fmt: skip


def callback(name: str, **arguments: Any) -> str:
    return f"--trainer.callbacks=[{json.dumps({'class_path': name, 'init_args': arguments})}]"


def etude(pitches: list[int], name: str = "piece") -> Piece:
    return Piece(name, tuple(Note(12 * at, pitch, 12) for at, pitch in enumerate(pitches)))


def test_fit_test_and_predict_write_music(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("fit", "--config=music/lstm", *SMALL, callback("MusicSamples", max_notes=20, every=2))
    assert done.code == 0, done.err
    (samples,) = Path().rglob("samples")
    steps = sorted({path.name[:12] for path in samples.iterdir()})
    assert steps == ["step-0000004"]  # the second validation of two, and not again at the end
    assert {path.suffix for path in samples.iterdir()} == {".mid", ".png", ".wav"}
    (last,) = Path().rglob("last.ckpt")
    composed = torch.load(last, weights_only=True)["state_dict"]
    assert 1 <= len(read_midi(samples / "step-0000004-1.mid").notes) <= 20
    with wave.open(str(samples / "step-0000004-1.wav")) as file:
        assert file.getnframes() > 1000

    indexed: list[tuple[str, ...]] = []
    make = CopyIndex.__init__

    def counted(self: CopyIndex, pieces: Any) -> None:
        indexed.append(tuple(piece.name for piece in pieces))
        make(self, pieces)

    monkeypatch.setattr(CopyIndex, "__init__", counted)
    done = run("test", "--ckpt_path=best", callback("MusicStatistics", num_samples=3, num_notes=16))
    assert done.code == 0, done.err
    assert len(indexed) == len(set(indexed)) == 7  # of the training pieces, and of the others of each of six sets
    (table,) = Path().rglob("music.md")
    text = table.read_text()
    names = re.findall(r"^\| ([\w ]+) \|", text, re.MULTILINE)
    assert len(names) == 13  # twelve and the header
    (metrics,) = csv_metrics(table.parent).values()
    assert {f"test/{name.replace(' ', '_')}_distance" for name in names[1:]} < metrics.keys()
    assert metrics["test/statistics_within"] == text.count("| yes |")
    samples = [read_midi(path) for path in (table.parent / "music").glob("*.mid")]
    assert metrics["test/looping_samples"] == looping(samples)
    assert "held out" in text
    assert "etude" in text.partition("Longest copies")[2]
    assert len(list((table.parent / "music").glob("*.mid"))) == 3
    assert {"music.png", "music_distributions.png"} <= {path.name for path in (table.parent / "plots").iterdir()}

    done = run(
        "predict", "--ckpt_path=best", "--data.prompt.samples=2", "--decoding.max_new_tokens=12",
        callback("MusicWriter", audio="synth"),
    )  # fmt: skip
    assert done.code == 0, done.err
    (rows,) = Path().rglob("predictions.jsonl")
    folder = rows.parent / "music"
    assert f"music of 2 rows (.mid .png .svg .wav): {folder}" in done.out
    for line in rows.read_text().splitlines():
        row = json.loads(line)
        piece = read_midi(folder / f"{row['index']:05d}-prelude.mid")
        expected = sorted(map(tuple, row["prompt_notes"] + row["notes"]))
        assert [note[:3] for note in piece.notes] == expected

    assert run("fit", "--config=music/lstm", *SMALL, "--trainer.callbacks=[]").code == 0
    newest = max(Path().rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert newest != last
    for name, value in torch.load(newest, weights_only=True)["state_dict"].items():
        assert torch.equal(value, composed[name]), f"composing has disturbed the training of {name}"


def test_a_sample_of_few_phrases_loops() -> None:
    def piece(pitches: Sequence[int]) -> Piece:
        return Piece("", tuple(Note(12 * n, pitch, 12) for n, pitch in enumerate(pitches)))

    scale, note, phrase = piece(range(40, 80)), piece([60] * 40), piece([60, 64, 67] * 13)
    assert looping([scale, note, phrase, scale, piece([])]) == 2


class FakeLogger(WandbLogger):
    """Keeps the pictures that it is given."""

    log_dir = property(lambda self: str(self.folder))  # type: ignore[assignment]

    def __init__(self, folder: Path) -> None:
        self.folder, self.taken = folder, []  # type: ignore[var-annotated]

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.taken += [(key, path, Path(path).is_file(), step) for path in images]


def trainer_of(folder: Path, **more: Any) -> Any:
    """What the callbacks ask of a trainer."""
    logger = FakeLogger(folder)
    data = SimpleNamespace(write_midi=write_midi)
    return SimpleNamespace(
        logger=logger, loggers=[logger], datamodule=data, global_step=7, sanity_checking=False,
        default_root_dir=str(folder), strategy=SimpleNamespace(barrier=lambda name: None), **more,
    )  # fmt: skip


def test_samples_go_to_the_logger_by_path(tmp_path: Path) -> None:
    module = SimpleNamespace(tokens_per_note=1, sample_pieces=lambda count, decoding: [etude([60, 62, 64])] * count)
    callback, trainer = Samples(count=2, every=3, audio="none"), trainer_of(tmp_path)
    for _ in range(2):
        callback.on_validation_end(trainer, module)  # type: ignore[arg-type]
    assert not trainer.logger.taken
    resumed = Samples(count=2, every=3, audio="none")
    resumed.load_state_dict(callback.state_dict())
    resumed.on_validation_end(trainer, module)  # type: ignore[arg-type]
    resumed.on_train_end(trainer, module)  # type: ignore[arg-type]
    keys = [(key, Path(path).suffix, there, step) for key, path, there, step in trainer.logger.taken]
    assert keys == [("sample_1", ".png", True, 7), ("sample_2", ".png", True, 7)]  # sound: tests/command
    trainer.global_step = 9
    resumed.on_train_end(trainer, module)  # type: ignore[arg-type]
    assert (tmp_path / "samples" / "step-0000009-2.mid").is_file()


def test_the_writer_leaves_other_rows_alone_and_music_without_notes_has_no_picture(tmp_path: Path) -> None:
    callback, trainer = MusicWriter(audio="synth", score=False), trainer_of(tmp_path)
    rows = [
        {"index": 0, "prompt": "text", "continuation": "more"},
        {"index": 3, "prompt": "../../a b/c.d", "prompt_notes": [[0, 60, 12]], "notes": [[12, 62, 12]]},
        {"index": 4, "prompt": "none", "notes": []},
    ]
    module, trainer.loggers = LightningModule(), []
    callback.on_predict_batch_end(trainer, module, rows, {}, 0)
    callback.on_predict_batch_end(trainer, module, torch.zeros(3), {}, 1)
    names = sorted(path.name for path in (tmp_path / "music").iterdir())
    assert names == ["00003-c.d.mid", "00003-c.d.png", "00003-c.d.wav", "00004-none.mid"]


def test_fluidsynth_that_fails_is_replaced_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(midi: Path, sound: Path) -> None:
        raise OSError(f"fluidsynth failed on {midi}: no luck")

    monkeypatch.setattr(writer.fluidsynth, "available", lambda: True)
    monkeypatch.setattr(writer.fluidsynth, "render", fail)
    piece = piece_from("one", ((0, 60, 12),))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        files = writer.write_music(tmp_path / "a", piece, trainer_of(tmp_path).datamodule, audio="auto", engrave=False)
    assert "no luck; the built-in synthesiser plays instead" in str(warned[0].message)
    assert files["wav"].stat().st_size > 10_000


def test_without_verovio_there_is_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer.importlib.util, "find_spec", lambda name: None)
    piece = piece_from("one", ((0, 60, 12),))
    files = writer.write_music(tmp_path / "a", piece, trainer_of(tmp_path).datamodule, audio="none")
    assert sorted(files) == ["mid", "png"]


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        (MusicSamples, {"count": 0}, "count must be at least 1"),
        (MusicSamples, {"every": 0}, "every must be at least 1"),
        (MusicSamples, {"max_notes": 0}, "max_notes must be at least 1"),
        (MusicSamples, {"audio": "loud"}, "audio must be one of"),
        (MusicWriter, {"audio": "loud"}, "audio must be one of"),
        (MusicStatistics, {"num_samples": 0}, "num_samples must be at least 1"),
        (MusicStatistics, {"num_notes": 7}, "num_notes must be at least 8"),
        (MusicStatistics, {"sets": "("}, r"sets '\(' is no regular expression"),
        (MusicStatistics, {"top_p": 2.0}, "top_p must be above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(kind: type, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        kind(**arguments)


def test_asked_for_fluidsynth_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer.fluidsynth, "available", lambda: False)
    with pytest.raises(ValueError, match=r"^audio 'fluidsynth' needs that program and a soundfont"):
        MusicWriter(audio="fluidsynth")


def test_statistics_need_a_music_model() -> None:
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    with pytest.raises(ValueError, match="needs a music model"):
        MusicStatistics().on_test_epoch_end(trainer, LightningModule())


def test_comparison_with_the_sets_of_real_music() -> None:
    """Every set is measured against all others, the held-out pieces and the samples against the training pieces."""
    names = ["bwv1-a", "bwv1-b", "bwv2-a", "bwv3-a", "bwv3-b"]
    pieces = [etude([60 + at * number % 7 for at in range(16)], name) for number, name in enumerate(names)]
    training, held_out, samples = pieces[:3], pieces[3:], [etude([50] * 16, "sample 1")]
    asked = []

    def measure(some: Any, reference: Any) -> dict[str, float]:
        asked.append(([piece.name for piece in some], [piece.name for piece in reference]))
        return {"interval_overlap": float(len(asked)), "longest_copy": -float(len(asked))}

    rows = compare(samples, held_out, training, 16, r"bwv\d", measure)
    assert asked == [
        (["sample 1"], names[:3]),
        (names[3:], names[:3]),
        (names[:2], names[2:]),
        (names[2:3], names[:2] + names[3:]),
        (names[3:], names[:3]),
    ]
    assert rows == [Row("interval_overlap", 1, 2, 3, 5), Row("longest_copy", -1, -2, -5, -3)]
    assert [(row.distance, row.within) for row in rows] == [(1, False), (1, False)]
    assert Row("longest_copy", 2, 5, 4, 8).within  # fewer copies than in real music are as well
    assert not Row("interval_overlap", 2, 5, 4, 8).within
    assert "| longest copy | -1.000 | -2.000 | 1.000 | -5.000 to -3.000 | no |" in markdown(rows)


def test_pieces_without_sets_are_dealt_out() -> None:
    pieces = [etude([60], f"etude {number:02d}") for number in range(14)]
    parts = group_into_sets([*pieces, pieces[0]], r"bwv\d+")
    assert [len(part) for part in parts] == [3, 3, 2, 2, 2, 2]
    assert sorted(piece.name for part in parts for piece in part) == [piece.name for piece in pieces]
    assert len(group_into_sets(pieces, r"\d\d")) == 6  # fourteen sets are too many
