"""The music datamodule: what each source and stage gives, what it says of bad files, prompts, resumption, refusals."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.music_data import midi_data
from helpers.trainers import quiet_trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger

from datamodules import MidiDataModule
from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.midi_files import read_midi, write_midi
from datamodules.music.sources.prelude import PRELUDE
from datamodules.tokenizers import save
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Note, Piece, top_voice, transposed

pytest.importorskip("symusic")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Twelve made-up pieces in three suites, and two bad files."""
    for number, piece in enumerate(etudes(12, 5)):
        write_midi(tmp_path / f"music/suite{number // 4 + 1}/{number % 4 + 1}.mid", piece)
    (tmp_path / "music/suite1/empty.mid").write_bytes(b"")
    (tmp_path / "music/text.mid").write_text("no music")
    return str(tmp_path / "music")


def data(stage: str = "fit", **kwargs: Any) -> MidiDataModule:
    module = midi_data(**{"num_etudes": 20, "seq_len": 24, "batch_size": 4, "seed": 1} | kwargs)
    module.setup(stage)
    return module


def rows(loader: Any) -> dict[str, torch.Tensor]:
    batches = list(loader)
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("voices", ["top", "all"])
def test_every_stage_gives_whole_batches(voices: str) -> None:
    module = data(voices=voices)
    fields = 2 if voices == "top" else 3
    assert len(module.vocab_sizes) == fields
    batch = next(iter(module.train_dataloader()))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in batch.items()} == {
        "input_ids": (torch.int64, (4, 24, fields)),
        "labels": (torch.int64, (4, 24, fields)),
        "index": (torch.int64, (4,)),
    }
    assert (batch["input_ids"] < torch.tensor(module.vocab_sizes)).all()
    module.setup("test")
    for loader, pieces in (
        (module.val_dataloader(), module.val_pieces()),
        (module.test_dataloader(), module.test_pieces()),
    ):
        whole = rows(loader)
        labels = whole["labels"][whole["labels"][..., 0] != IGNORED].clamp(min=0).numpy()
        ends = np.flatnonzero(labels[:, 0] == module.tokenizer.end_id)
        assert len(ends) == len(pieces)
        for piece, part in zip(pieces, np.split(labels, ends + 1), strict=False):
            assert module.tokenizer.decode(part, piece.name, piece.time_signature, piece.quarters_per_minute) == piece
    names = [
        {piece.name for piece in part} for part in (module.train_pieces(), module.val_pieces(), module.test_pieces())
    ]
    assert [len(part) for part in names] == [16, 2, 2]
    assert len(set.union(*names)) == 20


def test_a_folder_is_read_and_bad_files_are_named(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        module = data(path=folder)
    files = module.split_files()
    assert files["left_out"] == [
        "suite1/empty.mid: the file is empty",
        "text.mid: not a MIDI file (it does not begin with MThd)",
    ]
    assert sorted(files["train"] + files["val"] + files["test"]) == [
        f"suite{s}/{m}" for s in (1, 2, 3) for m in (1, 2, 3, 4)
    ]
    said = " ".join(caplog.messages)
    assert "2 of 14 MIDI files are left out" in said
    assert "suite1/empty.mid: the file is empty" in said
    assert "12 are not the highest of their chord" not in said
    assert "24 are not the highest of their chord" in said  # each ends in a chord of three


def test_copies_are_counted_and_stay_on_one_side(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    pieces = etudes(12, 5)
    for name, piece in (("again/x", pieces[0]), ("suite1/1", pieces[0]), ("again/y", transposed(pieces[7], 2))):
        write_midi(Path(folder, f"{name}.midi"), piece)
    sides = set()
    for seed in range(6):
        with caplog.at_level(logging.INFO):
            files = data(path=folder, split_seed=seed).split_files()
        side = {name: split for split in ("train", "val", "test") for name in files[split]}
        assert len(side) == 15
        assert side["again/x"] == side["suite1/1.mid"] == side["suite1/1.midi"]
        assert side["again/y"] == side["suite2/4"]
        sides.add(side["again/y"])
    assert len(sides) > 1
    said = "of 15 pieces 3 have all notes of an earlier one (suite1/1.mid as again/x, suite1/1.midi as again/x, "
    assert any(said + "suite2/4 as again/y)" in line for line in caplog.messages)
    held = data(path=folder, held_out="suite2/*").split_files()
    assert held["test"] == [f"suite2/{m}" for m in (1, 2, 3, 4)]
    assert "again/y: has all notes of a piece that is held out" in held["left_out"]
    assert "again/y" not in held["train"] + held["val"]


def test_settings_of_a_chorale_tune_stay_on_one_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twelve tunes, each set three times: no melody that is trained on may stand in the validation or the test."""

    def settings(cache: Path, voices: str) -> list[Piece]:
        found = []
        for number in range(36):
            draw = random.Random(number % 12)
            soprano = [Note(24 * n, 67 + draw.randint(-4, 4) + number // 12, 24) for n in range(30)]
            below = random.Random(number)
            bass = [Note(24 * n, 45 + below.randint(-4, 4), 24) for n in range(30)]
            notes = soprano if voices == "top" else soprano + bass
            found.append(Piece(f"bwv{number}", tuple(sorted(notes))))
        return found

    monkeypatch.setattr("datamodules.music.midi.chorales", settings)
    for voices in ("top", "all"):
        files = data(source="chorales", voices=voices, cache_dir=str(tmp_path)).split_files()
        sides = [{int(name[3:]) % 12 for name in files[split]} for split in ("train", "val", "test")]
        assert [len(files[split]) for split in ("train", "val", "test")] == [30, 3, 3]
        assert sum(map(len, sides)) == 12


def test_a_suite_is_held_out(folder: str) -> None:
    module = data(path=folder, held_out="suite2/*", voices="all")
    assert {piece.name for piece in module.test_pieces()} == {f"suite2/{m}" for m in (1, 2, 3, 4)}
    assert len(module.val_pieces()) == 1  # the test suite chooses nothing
    assert len(module.train_pieces()) == 7
    assert module.test_pieces()[0].notes == etudes(12, 5)[4].notes


def test_the_tokenizer_learns_from_the_training_pieces_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pieces = etudes(4, 5)
    for number, piece in enumerate(pieces):
        write_midi(tmp_path / f"{number}.mid", piece)
    known = pieces[0].notes[0].duration
    odd = (Note(0, 60, 7), Note(7, 61, known), Note(7 + known, 127, known))  # a duration and a pitch of its own
    write_midi(tmp_path / "odd.mid", Piece("odd", odd))
    with caplog.at_level(logging.INFO):
        module = data("test", path=str(tmp_path), held_out="odd", transpose_up=0)
    assert 7 not in module.tokenizer.durations
    assert 127 not in module.tokenizer.pitches
    assert "test: 2 of 3 notes have a pitch, a duration, a shift or a velocity" in " ".join(caplog.messages)


def test_transposition_and_note_values_are_settings() -> None:
    plain = data(transpose_down=0, transpose_up=0)
    pitches = [note.pitch for piece in plain.train_pieces() for note in piece.notes]
    assert (plain.tokenizer.lowest, plain.tokenizer.highest) == (min(pitches), max(pitches))
    wide = data(transpose_down=5, transpose_up=6, note_values=True)
    assert (wide.tokenizer.lowest, wide.tokenizer.highest) == (min(pitches) - 5, max(pitches) + 6)
    assert set(plain.tokenizer.durations) < set(wide.tokenizer.durations)
    assert len(plain.train_dataloader()) == len(wide.train_dataloader())


def test_prompts(tmp_path: Path) -> None:
    module = data("predict", samples=3)
    batch = next(iter(module.predict_dataloader()))
    assert batch["prompts"] == [PRELUDE] * 3
    assert batch["index"].tolist() == [0, 1, 2]
    assert module.tokenizer.decode(batch["prompt_ids"][2]).notes == PRELUDE.notes
    none = next(iter(data("predict", prompt="none", voices="all").predict_dataloader()))
    assert (none["prompts"][0].notes, none["prompt_ids"][0].shape) == ((), (0, 3))
    module.write_midi(tmp_path / "my.mid", etudes(1, 3)[0])
    begun = next(iter(data("predict", prompt=str(tmp_path / "my.mid"), prompt_bars=2).predict_dataloader()))
    whole = etudes(1, 3)[0]
    bar = 96 * whole.time_signature[0] // whole.time_signature[1]
    assert begun["prompts"][0].notes == tuple(note for note in whole.notes if note.start < 2 * bar)
    assert begun["prompts"][0].name == "my"
    chords = next(iter(data("predict", prompt=str(tmp_path / "my.mid")).predict_dataloader()))
    assert chords["prompts"][0].notes == top_voice(whole).notes != whole.notes
    assert read_midi(tmp_path / "my.mid", whole.name) == whole


def test_prompts_stay_on_the_host() -> None:
    module = data("predict")
    batch = next(iter(module.predict_dataloader()))
    moved = module.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["index"].device.type == "meta"
    assert moved["prompts"] == [PRELUDE]
    train = next(iter(data().train_dataloader()))
    assert data().transfer_batch_to_device(train, torch.device("meta"), 0)["labels"].device.type == "meta"


def test_predict_needs_the_tokenizer_alone(tmp_path: Path) -> None:
    save(data().tokenizer, tmp_path / "t.ckpt")
    module = data("predict", path="gone", tokenizer_path=str(tmp_path / "t.ckpt"))
    assert module.vocab_sizes == data().vocab_sizes
    assert "splits" not in vars(module)
    with pytest.raises(ValueError, match=r"^tokens.voices all does not fit"):
        _ = midi_data(voices="all", tokenizer_path=str(tmp_path / "t.ckpt")).vocab_sizes


@pytest.mark.parametrize("num_workers", [0, 1])
def test_training_goes_on_where_it_stopped(num_workers: int) -> None:
    def batches(module: MidiDataModule, count: int) -> list[list[int]]:
        found: list[list[int]] = []
        while len(found) < count:
            for batch in module.train_dataloader():
                found.append(batch["labels"].flatten().tolist())
                if len(found) == count:
                    break
        return found

    settings = {"num_workers": num_workers, "epoch_size": 12}
    whole = batches(data(**settings), 8)
    first = data(**settings)
    assert batches(first, 4) == whole[:4]
    second = midi_data(num_etudes=20, seq_len=24, batch_size=4, seed=None, **settings)
    second.setup("fit")
    second.load_state_dict(first.state_dict())
    assert batches(second, 4) == whole[4:]


def test_a_run_keeps_the_list_of_its_pieces(tmp_path: Path, folder: str) -> None:
    class Model(BoringModel):
        def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
            return self.layer(torch.zeros(1, 32)).sum()

    module = midi_data(path=folder, held_out="suite3/*", seq_len=24)
    logger = CSVLogger(tmp_path / "run", name="", version="")
    quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0, logger=logger).fit(Model(), datamodule=module)
    (kept,) = (tmp_path / "run").rglob("split.json")
    assert json.loads(kept.read_text()) == module.split_files()
    assert json.loads(kept.read_text())["test"] == [f"suite3/{m}" for m in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "x", "source": "chorales"}, "^path x and source.kind chorales are both given"),
        ({"num_etudes": 1}, "^source.num_etudes must be at least 2"),
        ({"seq_len": 0}, "^seq_len must"),
        ({"eval_seq_len": 0}, "^windows.eval_seq_len must be at least 1"),
        ({"stride": 25}, "^windows.stride 25 is greater than the windows of 24"),
        ({"transpose_down": -1}, "^augment.transpose_down must be at least 0"),
        ({"val_fraction": 0}, "^split.val_fraction must be above 0"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "^split.test_fraction 0.5 and split.val_fraction 0.5 must"),
        ({"val_fraction": 0.98, "test_fraction": 0.01}, "leave none of 20 pieces"),
        ({"held_out": "suite9"}, "^split.held_out suite9: no piece"),
        ({"program": 128}, "^program must be .* not 128"),
        ({"prompt": ""}, "^prompt.source is empty"),
        ({"prompt_bars": 0}, "^prompt.bars must"),
        ({"samples": 0}, "^prompt.samples must"),
        ({"signatures": True, "seq_len": 1}, "^seq_len must be at least 2"),
        (
            {"signatures": True, "stride": 24},
            "^windows.stride 24 is greater than the windows of 24, less the signature",
        ),
        ({"signatures": True, "eval_seq_len": 1}, "^windows.eval_seq_len must be at least 2"),
        ({"metre": "3/4"}, "^prompt.metre 3/4 needs a model of signatures"),
        ({"signatures": True, "key": "H"}, "^prompt.key 'H' is not a key"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(**arguments)


def test_a_bad_prompt_or_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path nowhere: no such file or folder"):
        data(path="nowhere")
    with pytest.raises(FileNotFoundError, match=r"^prompt.source nowhere\.mid: no such file"):
        data("predict", prompt="nowhere.mid")
    (tmp_path / "a.mid").write_bytes(b"MThd")
    with pytest.raises(
        ValueError, match=r"^prompt.source .*: none of 1 MIDI files can be read; the first is a\.mid: cut short"
    ):
        data("predict", prompt=str(tmp_path))
    write_midi(tmp_path / "late.mid", Piece("late", (Note(960, 60, 24),)))
    with pytest.raises(ValueError, match=r"^prompt.bars 2: late has no note in them"):
        data("predict", prompt=str(tmp_path / "late.mid"), prompt_bars=2)


def test_chorales_come_with_the_voices_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def some(cache: Path, voices: str) -> list[Piece]:
        asked.append((cache, voices))
        return etudes(10, 0)

    monkeypatch.setattr("datamodules.music.midi.chorales", some)
    for voices in ("top", "all"):
        module = data(source="chorales", voices=voices, cache_dir=str(tmp_path))
        expected = etudes(10, 0) if voices == "all" else [top_voice(piece) for piece in etudes(10, 0)]
        found = module.train_pieces() + module.val_pieces() + module.test_pieces()
        assert sorted(found, key=lambda piece: piece.name) == sorted(expected, key=lambda piece: piece.name)
    assert asked == [(tmp_path, "top"), (tmp_path, "all")]
