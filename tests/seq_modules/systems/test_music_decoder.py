"""Music decoders: loss against plain sums, padding, generation in the tokenizer's terms, what a checkpoint holds."""

import itertools
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer
from hypothesis import strategies as st
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

import seqlight
from datamodules.tokenizers import NoteTokenizer
from seq_modules import MusicDecoder, RNNMusicDecoder, TransformerMusicDecoder
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.music.event_heads import Heads, NoteConfig
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig
from seq_modules.systems.music_generation import MusicGeneration, event_rules
from seq_modules.training.optim import OptimConfig
from seqlight.music.notes import Note, Piece

ONE_VOICE, ALL_NOTES = ("pitch", "duration"), ("shift", "pitch", "duration")
TUNE = Piece("tune", tuple(Note(12 * i, 48 + 2 * (i * i % 7), 12 if i % 3 else 6) for i in range(12)), (3, 4), 90.0)
SCALE = Piece("scale", tuple(Note(12 * i, 50 + i, 12, 40 + 20 * (i % 3)) for i in range(8)))
CHORDS = Piece(
    "chords", tuple(Note(24 * (i // 2), 48 + 7 * (i % 2) + i // 2, 24, 80 - 20 * (i % 3)) for i in range(12))
)
KINDS = ("lstm", "transformer", "lstm with context", "transformer with context")
CLOSE = st.lists(  # of few pitches and onsets, so that there are unisons
    st.builds(Note, st.integers(0, 12), st.integers(30, 44), st.integers(1, 6), st.just(80)), min_size=1, max_size=20
)


def tokenizer_of(fields: tuple[str, ...]) -> NoteTokenizer:
    return NoteTokenizer.train([TUNE, CHORDS], fields)


def make(kind: str, fields: tuple[str, ...] = ONE_VOICE, **changes: Any) -> MusicDecoder:
    torch.manual_seed(0)
    tokenizer = tokenizer_of(fields)
    changes = {"fields": list(fields), **changes}
    if kind.endswith("context"):
        pitches = [i for i, pitch in enumerate(tokenizer.pitches) if pitch is not None]
        ticks = tokenizer.durations if tokenizer.one_voice else tokenizer.shifts
        changes = {"notes": NoteConfig(relative=True, retrieved=3), **changes}
        changes |= {"pitch_ids": [pitches[0], pitches[-1]], "ticks": ticks}
    if kind.startswith("transformer"):
        shape = {"d_model": 16, "num_layers": 2, "num_heads": 2, "max_seq_len": 8, **changes.pop("net", {})}
        transformer = GPTConfig(**{"positions": "rotary", "dropout": 0.2, "tie_weights": False, **shape})
        module: MusicDecoder = TransformerMusicDecoder(tokenizer.vocab_sizes, net=transformer, **changes)
    else:
        shape = {"hidden_size": 24, "num_layers": 2, "dropout": 0.2, **changes.pop("net", {})}
        rnn = RNNConfig(d_model=16, dropout=shape["dropout"], rnn=RecurrentConfig(**shape))
        module = RNNMusicDecoder(tokenizer.vocab_sizes, net=rnn, **changes)
    module.tokenizer = tokenizer
    return module


def batch_of(module: MusicDecoder, pieces: list[Piece], length: int = 8) -> dict[str, torch.Tensor]:
    """Windows from the pieces' beginnings, padded, as the data gives them."""
    tokenizer, fields = module.tokenizer, len(module.vocab_sizes)
    inputs = torch.zeros(len(pieces), length, fields, dtype=torch.long)
    labels = torch.full((len(pieces), length, fields), -100)
    for row, piece in enumerate(pieces):
        ids = torch.from_numpy(tokenizer.encode(piece))
        text = torch.zeros(len(ids) + 2, fields, dtype=torch.long)
        text[0, 0], text[1:-1], text[-1, 0] = tokenizer.start_id, ids, tokenizer.end_id
        count = min(length, len(text) - 1)
        inputs[row, :count], labels[row, :count] = text[:count], text[1 : count + 1]
    labels[..., 1:][labels[..., 1:] == 0] = -100
    return {"input_ids": inputs, "labels": labels, "index": torch.arange(len(pieces))}


def short(piece: Piece, notes: int) -> Piece:
    return Piece(piece.name, piece.notes[:notes])


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(CLOSE, CLOSE)
def test_what_the_tokenizer_writes_may_be_drawn(learned: list[Note], others: list[Note]) -> None:
    """Event for event, unisons and what is read as the nearest included."""
    tokenizer = NoteTokenizer.train([Piece("learned", tuple(sorted(learned)))], ALL_NOTES)
    rules = event_rules(tokenizer, tokenizer.vocab_sizes, MusicGeneration())
    for notes in (learned, others):
        before = torch.tensor([[tokenizer.start_id, 0, 0]])
        for event in torch.from_numpy(tokenizer.encode(Piece("", tuple(sorted(notes))))):
            chosen: list[torch.Tensor] = []
            for field, id_ in enumerate(event):
                assert rules.mask(field, chosen, before, first=False)[0, id_], (field, event, before)
                chosen.append(id_[None])
            before = event[None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
@pytest.mark.parametrize("heads", ["chained", "independent"])
def test_step_sums_over_fields_and_labels_that_count(kind: str, fields: tuple[str, ...], heads: Heads) -> None:
    features = kind.endswith("context")
    module = make(kind, fields, notes=NoteConfig(heads, features, 3 * features)).double().eval()
    batch = batch_of(module, [TUNE, short(SCALE, 4)])
    step = module.step(batch)
    labels = batch["labels"]
    losses, right, counts = [[0.0] * len(fields) for _ in range(3)]
    for b in range(2):
        for t in range(8):
            # One step at a time, from what stands before it alone; END has a first field and nothing else.
            states = module.net.states(module.net.pack(batch["input_ids"][b : b + 1, : t + 1]))[0, -1]
            told: list[torch.Tensor] = []
            for field in range(len(fields)):
                label = labels[b, t, field]
                if label < 0:
                    break
                log_p = module.net.field(states, told).log_softmax(-1)
                losses[field] -= log_p[label].item()
                right[field] += float(log_p.argmax() == label)
                counts[field] += 1
                told.append(label)
    assert step.loss_sum.item() == pytest.approx(sum(losses))
    assert step.metric_inputs["field_losses"].tolist() == pytest.approx(losses)
    assert step.metric_inputs["field_hits"].tolist() == right
    assert step.metric_inputs["field_targets"].tolist() == counts
    assert counts[0] == counts[1] + 1 == 8 + 5  # eight notes; four and an END, which has no pitch and duration beside
    assert step.num_targets == counts[0]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_counts(kind: str) -> None:
    module = make(kind, net={"dropout": 0.0})
    batch = batch_of(module, [TUNE, short(SCALE, 3)])
    alone = batch_of(module, [short(SCALE, 3)], length=4)

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        return torch.autograd.grad(loss, list(module.parameters()))

    step = module.step(batch)
    batch["input_ids"][1, 4:] = torch.tensor([7, 1])  # what stands in the padding has no say
    again = module.step(batch)
    assert torch.equal(step.loss_sum, again.loss_sum)
    apart = [module.step(batch_of(module, [TUNE])), module.step(alone)]
    assert step.num_targets == apart[0].num_targets + apart[1].num_targets
    torch.testing.assert_close(step.loss_sum, apart[0].loss_sum + apart[1].loss_sum)
    ours = gradients(step.loss_sum)
    theirs = [a + b for a, b in zip(*(gradients(part.loss_sum) for part in apart), strict=True)]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_backends_of_the_lstm_agree() -> None:
    modules = [make("lstm", net={"backend": backend, "dropout": 0.0}) for backend in ("fused", "loop", "bptt", "numpy")]
    losses = []
    for module in modules:
        module.load_state_dict(modules[0].state_dict())
        losses.append(module.step(batch_of(module, [TUNE, CHORDS])).loss_sum)
    for loss in losses[1:]:
        torch.testing.assert_close(losses[0], loss)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_cached_samples_equal_naive_ones_past_the_context(kind: str, fields: tuple[str, ...]) -> None:
    module = make(kind, fields).double()
    module.generation = MusicGeneration(stop_at_end=False)
    decoding = Decoding(max_new_tokens=30, seed=3)
    prompt = module.tokenizer.encode(TUNE)
    for given in (None, prompt):
        cached = module.sample(3, decoding, given)
        naive = module.sample(3, decoding, given, cached=False)
        assert [row.tolist() for row in cached] == [row.tolist() for row in naive]
        assert [len(row) for row in cached] == [30] * 3
    assert module.sample(1, decoding)[0].tolist() == module.sample(3, decoding)[0].tolist()
    assert module.training


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_samples_are_pieces_that_begin_with_the_prompt(fields: tuple[str, ...]) -> None:
    module = make("lstm", fields)
    decoding = Decoding(max_new_tokens=40)
    for piece in module.sample_pieces(4, decoding, CHORDS):
        given = module.tokenizer.decode(module.tokenizer.encode(CHORDS)).notes
        assert piece.notes[: len(given)] == given
        assert len(piece.notes) > len(given)
        # As the tokenizer would write it: order, onsets and all.
        assert module.tokenizer.decode(module.tokenizer.encode(piece)).notes == piece.notes
    free = module.sample_pieces(4, decoding)
    assert [piece.name for piece in free] == [f"sample {number}" for number in (1, 2, 3, 4)]
    ids = module.sample(4, decoding)
    assert [module.tokenizer.decode(row).notes for row in ids] == [piece.notes for piece in free]


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_end_stops_and_is_not_part_of_a_sample(fields: tuple[str, ...]) -> None:
    module = make("lstm", fields)
    with torch.no_grad():
        module.net.each[0].head.field_heads[0].bias[module.tokenizer.end_id] = 3.0
    ids = module.sample(30, Decoding(max_new_tokens=50))
    lengths = [len(row) for row in ids]
    assert min(lengths) >= 1  # never nothing at all
    assert max(lengths) < 50
    assert not any(np.isin(row[:, 0], [module.tokenizer.start_id, module.tokenizer.end_id]).any() for row in ids)
    module.generation = MusicGeneration(stop_at_end=False)
    assert [len(row) for row in module.sample(3, Decoding(max_new_tokens=50))] == [50] * 3


def test_range_is_kept() -> None:
    module = make("lstm", ALL_NOTES)
    module.generation = MusicGeneration(lowest_pitch=50, highest_pitch=53)
    pitches = {note.pitch for piece in module.sample_pieces(9, Decoding(max_new_tokens=50)) for note in piece.notes}
    assert pitches == {50, 51, 52, 53}
    module.generation = MusicGeneration(lowest_pitch=100, highest_pitch=103)
    with pytest.raises(ValueError, match=r"^generation.lowest_pitch: none of the model's pitches, 48 to 60"):
        module.sample(1)


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
@pytest.mark.parametrize("prompt", [None, TUNE, CHORDS])
def test_length_in_bars(fields: tuple[str, ...], prompt: Piece | None) -> None:
    module = make("lstm", fields)
    module.generation = MusicGeneration(max_bars=3, stop_at_end=False)
    # TUNE ends within its second bar of 72 ticks (the third begins then), CHORDS with its sixth quarter of 4/4.
    end = {"None": 3 * 96, "tune": (2 + 3) * 72, "chords": (2 + 3) * 96}[prompt.name if prompt else "None"]
    pieces = module.sample_pieces(6, Decoding(max_new_tokens=300), prompt)
    if fields == ONE_VOICE:
        assert all(piece.end <= end for piece in pieces)
        assert max(piece.end for piece in pieces) == end
    else:
        assert all(end - 24 <= piece.notes[-1].start < end for piece in pieces)
        assert all(piece.end <= end for piece in pieces)
    if prompt is None:
        ids = module.sample(6, Decoding(max_new_tokens=300))
        assert all(len(row) >= len(piece.notes) for row, piece in zip(ids, pieces, strict=True))
    with pytest.warns(UserWarning, match="max_bars 3 are not reached in 2 notes"):
        module.sample_pieces(1, Decoding(max_new_tokens=2), prompt)


def test_muon_takes_the_blocks_of_all_nets_and_compiling_finds_them() -> None:
    module = make("transformer", ensemble_size=2, optim=OptimConfig(optimizer="muon"))
    assert [len(member.blocks) for member in module.net.each] == [2, 2]
    assert module.net.blocks is not None
    assert len(module.net.blocks) == 4
    matrices = {id(weight) for block in module.net.blocks for weight in block.parameters() if weight.dim() == 2}
    by_muon = [group for group in module.make_optimizer().param_groups if group["rule"] == "muon"]
    assert matrices == {id(weight) for group in by_muon for weight in group["params"]}
    assert make("lstm").net.blocks is None


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_rows_of_notes(kind: str) -> None:
    module = make(kind)
    module.decoding = Decoding(max_new_tokens=9, seed=5)
    nothing = Piece("none", ())
    rows = module.predict_step({"prompts": [TUNE, nothing], "index": torch.tensor([4, 7])}, 0)
    assert [(row["index"], row["prompt"]) for row in rows] == [(4, "tune"), (7, "none")]
    assert rows[0]["prompt_notes"] == [list(note[:3]) for note in TUNE.notes]
    assert (rows[0]["time_signature"], rows[0]["quarters_per_minute"]) == ([3, 4], 90.0)
    assert rows[1]["prompt_notes"] == []
    assert all(rows[0]["notes"][0][0] >= TUNE.notes[-1].start for _ in rows)
    (alone,) = module.predict_step({"prompts": [nothing], "index": torch.tensor([7])}, 0)
    assert alone == rows[1]


class OneBatch(LightningDataModule):
    def __init__(self, module: MusicDecoder) -> None:
        super().__init__()
        self.piece = SCALE if module.tokenizer.one_voice else CHORDS
        self.tokenizer, self.batch = module.tokenizer, batch_of(module, [short(self.piece, 6)])
        self.seq_len = 8

    def train_dataloader(self) -> DataLoader:
        return DataLoader([self.batch], batch_size=None)

    val_dataloader = train_dataloader


def trainer(folder: Path, epochs: int) -> Trainer:
    return quiet_trainer(folder, max_epochs=epochs, check_val_every_n_epoch=epochs, num_sanity_val_steps=0)


LOUD = [("lstm with context", ONE_VOICE), ("transformer with context", ALL_NOTES)]


@pytest.mark.parametrize(
    ("kind", "fields"), [pair for pair in itertools.product(KINDS, (ONE_VOICE, ALL_NOTES)) if pair not in LOUD]
)
def test_one_batch_is_learnt_by_heart_and_the_checkpoint_holds_all(
    kind: str, fields: tuple[str, ...], tmp_path: Path
) -> None:
    module = make(
        kind, fields, net={"dropout": 0.0}, generation={"max_bars": 7}, optim=OptimConfig(1e-2, weight_decay=0.1)
    )
    data, fitted = OneBatch(module), trainer(tmp_path, 120)
    fitted.fit(module, data)
    metrics = {name: value.item() for name, value in fitted.callback_metrics.items()}
    assert metrics["val/loss"] < 0.05
    assert metrics["val/perplexity"] == pytest.approx(np.exp(metrics["val/loss"]), rel=1e-4)
    assert metrics["val/pitch_accuracy"] == metrics["val/duration_accuracy"] == 1
    assert sum(metrics[f"val/{field}_loss"] for field in fields) == pytest.approx(metrics["val/loss"], rel=1e-4)
    greedy = Decoding(max_new_tokens=20, temperature=0)
    for given in (0, 3):
        heard = module.sample_pieces(1, greedy, short(data.piece, given))[0].notes
        assert [note[:3] for note in heard] == [note[:3] for note in data.piece.notes[:6]]
    path = tmp_path / "a.ckpt"
    fitted.save_checkpoint(path)
    held = torch.load(path, weights_only=True)["hyper_parameters"]
    assert "generation" not in held
    assert held["vocab_sizes"] == module.vocab_sizes
    again = seqlight.load(path)
    assert again.generation.max_bars is None
    module.generation = MusicGeneration()
    free = Decoding(max_new_tokens=20, seed=1)
    assert [row.tolist() for row in again.sample(2, free)] == [row.tolist() for row in module.sample(2, free)]


@pytest.mark.parametrize(("kind", "fields"), LOUD)
def test_loudness_is_a_further_field(kind: str, fields: tuple[str, ...], tmp_path: Path) -> None:
    module = make(kind, (*fields, "velocity"), net={"dropout": 0.0}, optim=OptimConfig(1e-2, weight_decay=0.1))
    data, fitted = OneBatch(module), trainer(tmp_path, 120)
    fitted.fit(module, data)
    metrics = {name: value.item() for name, value in fitted.callback_metrics.items()}
    assert metrics["val/velocity_accuracy"] == metrics["val/pitch_accuracy"] == 1
    parts = (*fields, "velocity")
    assert sum(metrics[f"val/{field}_loss"] for field in parts) == pytest.approx(metrics["val/loss"], rel=1e-4)
    greedy = Decoding(max_new_tokens=20, temperature=0)
    assert len({note.velocity for note in data.piece.notes[:6]}) > 2
    assert module.sample_pieces(1, greedy, short(data.piece, 2))[0].notes == data.piece.notes[:6]
    (row,) = module.predict_step({"prompts": [short(data.piece, 2)], "index": torch.tensor([0])}, 0)
    assert row["prompt_notes"] == [list(note) for note in data.piece.notes[:2]]
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    again = seqlight.load(tmp_path / "a.ckpt")
    free = Decoding(max_new_tokens=20, seed=1)
    assert [one.tolist() for one in again.sample(2, free)] == [one.tolist() for one in module.sample(2, free)]
    assert all(note.velocity in module.tokenizer.velocities[1:] for note in again.sample_pieces(1, free)[0].notes)


def test_data_with_longer_windows_than_the_context_is_refused(tmp_path: Path) -> None:
    module = make("transformer", net={"max_seq_len": 7})
    with pytest.raises(ValueError, match=r"^data.seq_len 8 is longer than .*max_seq_len 7"):
        trainer(tmp_path, 1).fit(module, OneBatch(module))


def test_a_model_without_tokenizer_says_what_to_do() -> None:
    module = make("lstm")
    module.tokenizer = None
    with pytest.raises(ValueError, match=r"^tokenizer .* seqlight.load"):
        module.sample(1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_sizes": None}, "vocab_sizes"),
        ({"vocab_sizes": [5, 5, 5, 5]}, "vocab_sizes"),
        ({"vocab_sizes": [5, 5], "fields": ["shift", "pitch"]}, "vocab_sizes"),
        ({"vocab_sizes": [5, 0]}, "vocab_sizes"),
        ({"generation": {"max_bars": 0}}, "generation.max_bars"),
        ({"generation": {"lowest_pitch": -1}}, "generation.lowest_pitch"),
        ({"generation": {"highest_pitch": 128}}, "generation.highest_pitch"),
        ({"notes": {"heads": "both"}}, "notes.heads"),
        ({"net": {"rnn": {"cell": "tanh"}}}, "RecurrentConfig.cell"),
    ],
)
def test_bad_values_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        RNNMusicDecoder(**{"vocab_sizes": [5, 6], **changes})


def test_parts_of_a_transformer_that_need_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^net.extras.value_embeddings is for tokens, not for notes"):
        make("transformer", net={"extras": ExtrasConfig(value_embeddings=True)})
