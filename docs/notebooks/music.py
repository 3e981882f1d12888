# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Composing in Bach's manner
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/YOUR_ACCOUNT/seqlight/blob/main/docs/notebooks/music.ipynb
#
# A melody is a sequence too. A net that has learned which note tends to follow which can go on with a piece that
# somebody else has begun. You will train a small **LSTM** on music for the cello, let it continue the prelude of Bach's
# first cello suite, look at what it wrote, listen to it, and check that it did not just copy.

# %%
import importlib.util
import os
import subprocess
import sys
import warnings

if importlib.util.find_spec("seqlight") is None:  # in Colab: install it
    address = "git+https://github.com/YOUR_ACCOUNT/seqlight"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", address], check=True)

SMALL = "SEQLIGHT_SMALL" in os.environ  # tests set it: all is tiny then, and nothing is learned
warnings.filterwarnings("ignore", ".*(many workers|LeafSpec|IProgress).*")  # remarks of Lightning, torch and tqdm

# %%
import logging
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

from datamodules import MidiDataModule
from datamodules.music.midi_config import SourceConfig, WindowConfig
from datamodules.music.sources.prelude import PRELUDE
from seq_modules import RNNMusicDecoder
from seq_modules.callbacks.music.music_writer import piano_roll
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.music.event_heads import NoteConfig
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.systems.music_generation import MusicGeneration
from seq_modules.training.optim import OptimConfig
from seqlight.core.plots import read_metrics
from seqlight.music import synth
from seqlight.music.copying import CopyIndex
from seqlight.music.notes import first_bars
from seqlight.music.statistics import interval_counts, pitch_class_counts_in_c

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # leave out what it says of each training
plt.close(plt.figure())  # from here on, figures that others have made are shown too
started = time.process_time()

# %% [markdown]
# ## The music
# With `PATH = None` the music is **etudes** that are composed by rule: broken chords that walk through the harmonies of
# a key, the way Bach's prelude does, with a close at the end. `PATH` may be a folder of MIDI files in their place. The
# six suites themselves are free at the Mutopia Project (the README says where).
#
# A note is an *event* of two numbers: its **pitch** (60 is the middle C of a piano) and its **duration** in ticks, 24
# of which are a quarter note.
#
# *Look at the piano roll: time runs to the right, and height is pitch. The figure of a bar comes again and again at
# another height.*

# %%
PATH = None  # for example "cello-suites/"

seed_everything(0, verbose=False)
data = MidiDataModule(
    PATH,
    source=SourceConfig(num_etudes=20 if SMALL else 200),
    windows=WindowConfig(epoch_size=4 if SMALL else 480),
    seq_len=16 if SMALL else 96,
    batch_size=2 if SMALL else 16,
)
pieces = data.train_pieces()
print(f"{len(pieces)} pieces with {sum(len(piece.notes) for piece in pieces):,} notes to learn from")
print("the first notes of one:", [(note.pitch, note.duration) for note in pieces[0].notes[:6]])
piano_roll(first_bars(pieces[0], 16))

# %% [markdown]
# Bach's own four bars, the only ones of his that this project brings along. They were typed by hand.

# %%
piano_roll(PRELUDE)

# %% [markdown]
# ## The model
# The LSTM reads the notes so far, and two last layers give probabilities: of the next pitch, and then, when the pitch
# is known, of its duration. `relative=True` lets it read **intervals**, distances from one pitch to the next, beside
# the pitches themselves, so that what it learns in one key holds in all of them. Besides, training windows are
# transposed at random. `retrieved=4` gives it a memory for figures: it finds four earlier places of the piece, at most,
# that went like its last notes, and sees what followed there.

# %%
seed_everything(0, verbose=False)
module = RNNMusicDecoder(
    data.vocab_sizes,
    data.pitch_ids,
    tuple(data.ticks),
    net=RNNConfig(
        d_model=8 if SMALL else 96,
        dropout=0.2,
        rnn=RecurrentConfig(cell="lstm", hidden_size=8 if SMALL else 96),
    ),
    notes=NoteConfig(relative=True, retrieved=4),
    optim=OptimConfig(learning_rate=5e-3, weight_decay=0.1, warmup_steps=20, schedule="cosine"),
    fields=data.fields,
)


def compose(seed, bars, temperature=0.8):
    """The prelude's first two bars, and so many bars more; nothing but the seed decides which."""
    module.generation = MusicGeneration(max_bars=bars, lowest_pitch=36)  # 36 is the C of the cello's lowest string
    decoding = Decoding(max_new_tokens=40 if SMALL else 400, temperature=temperature, seed=seed)
    (piece,) = module.sample_pieces(1, decoding, first_bars(PRELUDE, 2))
    return replace(piece, name=f"two bars of Bach, then the model (seed {seed})")


trainer = Trainer(
    max_epochs=1 if SMALL else 12,
    accelerator="cpu",
    gradient_clip_val=1.0,
    logger=CSVLogger("runs/notebooks", name="music"),
    log_every_n_steps=1 if SMALL else 10,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, datamodule=data)
(measured,) = trainer.test(module, datamodule=data, verbose=False)
print(f"pieces that were held out: {measured['test/nats_per_note']:.2f} nats per note;")
for field in ("pitch", "duration"):
    print(f"the likeliest {field} is the true one for {measured[f'test/{field}_accuracy']:.0%} of them")

# %% [markdown]
# The loss is the average of -log p, where p is the probability that the model gave to the note that really came: "nats
# per note". *Look at how the durations are learned first. Rhythm is the easy part; in this music most notes are as long
# as the one before.*

# %%
curves = read_metrics(Path(trainer.log_dir) / "metrics.csv")
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for name in ("pitch_loss", "duration_loss"):
    axis.plot(*zip(*curves[f"val/{name}"], strict=True), "o-", label=name.partition("_")[0])
axis.set(xlabel="training step", ylabel="validation loss (nats)", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown]
# ## What might come next
# Two places in the prelude. On the left three beats have been played, and its figure is half through for the second
# time. On the right the second bar has just begun, and with it another chord.
#
# *Look at where Bach's own note, in orange, stands among the guesses; if no bar is orange, it is not among the ten
# likeliest. When the figure goes on, the model is nearly sure. When the harmony moves, there is more than one way to
# go.*

# %%
NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"]
tokenizer = data.tokenizer
start = np.array([[tokenizer.start_id, 0]])
module.eval()
figure, axes = plt.subplots(1, 2, figsize=(9.6, 2.6), sharey=True, layout="constrained")
for axis, played in zip(axes, (12, 17), strict=True):
    begun = replace(PRELUDE, notes=PRELUDE.notes[:played])
    with torch.inference_mode():
        logits, _ = module(torch.from_numpy(np.concatenate([start, tokenizer.encode(begun)]))[None])
    chances = logits[0, -1].softmax(-1)
    best = [i for i in chances.topk(10).indices.tolist() if tokenizer.pitches[i] is not None]
    pitches = [tokenizer.pitches[i] for i in best]
    colours = ["C1" if pitch == PRELUDE.notes[played].pitch else "C0" for pitch in pitches]
    axis.bar([f"{NAMES[pitch % 12]}{pitch // 12 - 1}" for pitch in pitches], chances[best].numpy(), color=colours)
    axis.set_title(f"after {played} notes", fontsize=10)
axes[0].set_ylabel("probability")
plt.show()

# %% [markdown]
# ## Composing
# The first two bars are given (grey), and the model goes on (blue): it draws a note from its probabilities, appends it,
# and begins again.
#
# *Look at whether bars have a figure, and whether the figure moves as a whole, as it does in the etudes. A piece that
# is over early has a close: a run and a long note, which the model has learned from them. Then look for what is
# missing: does the music go anywhere?*

# %%
composed = [compose(seed, bars=2 if SMALL else 14) for seed in range(3)]
given = len(first_bars(PRELUDE, 2).notes)
piano_roll(composed[0], given)

# %%
piano_roll(composed[1], given)

# %% [markdown]
# Listen to it. `data.write_midi` writes a file for any music program; a small synthesiser makes the sound here. To keep
# the page small, you hear four bars, in a hurry and as over a telephone; `composed.wav` in the run's folder is the
# whole.

# %%
folder = Path(trainer.log_dir)
data.write_midi(folder / "composed.mid", composed[0])
(folder / "composed.wav").write_bytes(synth.wav(synth.render(composed[0])))
RATE = 8000
excerpt = synth.render(replace(first_bars(composed[0], 4), quarters_per_minute=160.0), RATE)
if importlib.util.find_spec("IPython") is not None:
    from IPython.display import Audio, display

    display(Audio(excerpt, rate=RATE))
print(f"{len(composed[0].notes)} notes: {folder}/composed.mid and composed.wav")

# %% [markdown]
# ## Is it any good?
# No number tells whether music is good. Some tell whether it is *like* the music it was learned from.
#
# *Look at the steps between neighbouring notes (left), and at the notes of the scale (right; every piece was moved to
# C). The outlines are the model's and should follow the grey bars. Notes outside the scale, the black keys of a piano,
# are rare in both.*

# %%
figure, (steps, scale) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
for axis, count, places in (
    (steps, interval_counts, range(-24, 25)),
    (scale, pitch_class_counts_in_c, range(12)),
):
    real, made = (sum(map(count, those)) for those in (data.test_pieces(), composed))
    axis.bar(places, real / real.sum(), color="0.8", width=0.9, label="held-out music")
    axis.step(places, made / made.sum(), where="mid", label="composed")
    axis.legend(fontsize=8)
steps.set(xlabel="step in semitones", ylabel="fraction", title="intervals")
scale.set_xticks(range(12), NAMES)
scale.set(title="notes, in C")
plt.show()

# %% [markdown]
# And did it copy? The longest passage that each piece shares with any training piece, in whatever key, counted in
# notes. For comparison, the same of the held-out pieces, of which the model has seen nothing.

# %%
index = CopyIndex(pieces)
for name, those in (("composed", composed), ("held-out", data.test_pieces()[:3])):
    for piece in those:
        copy = index.longest(piece)
        print(f"{name}: {copy.notes} of {len(piece.notes)} notes in a row are also in {copy.source or 'none'}")

# %%
print(f"this notebook took {time.process_time() - started:.0f} seconds of processor time")

# %% [markdown]
# ## Exercises
# 1. Compose with `temperature=0.5` and with `1.3`. What changes in the piano roll?
# 2. Set `relative=False`. Compare the nats per note and say why they change.
# 3. Train on Bach's own suites (`PATH`) and compare the nats per note. Why is real music harder to predict?
# 4. Why do we compare the copies with those of held-out pieces?
#
# <details><summary>Answers</summary>
#
# 1. Cold, the model repeats its figure, for the likeliest next thing is what was there before. Hot, it leaves the scale
#    and the figure falls apart.
# 2. They become worse. Without intervals, a chord that goes up by a fifth in G and one that does so in A have nothing
#    in common for the net; it has to learn each key by itself, with the same number of notes.
# 3. The etudes follow a few rules that can be found out. Bach follows some of them and breaks them with a purpose, in
#    forms (a dance, a prelude) of which there are only a few examples each.
# 4. Two pieces in one style share passages without anybody copying: scales, broken chords. Only more than that would be
#    suspicious.
#
# </details>
#
# More: [the note on music](../notes/music.md), [results on Bach's suites and chorales](../results/music/README.md). The
# command for a better model: `seqlight fit --config music/lstm --data.path cello-suites/`.
