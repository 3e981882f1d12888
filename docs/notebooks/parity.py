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
# # Parity, and why recurrent nets forget
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/YOUR_ACCOUNT/seqlight/blob/main/docs/notebooks/parity.ipynb
#
# Is the number of ones in a string of bits odd? That is **parity**. It takes one bit of memory, and yet it is hard to
# learn: a single bit that is misread spoils everything after it. You will train two recurrent nets on it, test them on
# strings far longer than any they were trained on, look at their memory, and then see why one of them has so much
# trouble: its gradient does not reach back.

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
import csv
import logging
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

from datamodules import FormalLanguageDataModule, ParityDataModule
from seq_modules import FormalLanguageModule, ParityModule
from seq_modules.callbacks import GradientFlow, LengthSweep
from seq_modules.callbacks.training.gradient_flow import gradient_norms, spectral_radii
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.symbol_net import SymbolNetConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.plots import read_metrics

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # leave out what it says of each training
started = time.process_time()

# %% [markdown]
# ## The task
# A datamodule makes random strings, batch by batch. A row of a batch holds the bits (`input_ids`) and, for each of
# them, the parity of the string so far (`labels`).
#
# *Look at the lower row of the picture: it changes its colour below every black bit, and at no other place.*

# %%
seed_everything(0, verbose=False)
data = ParityDataModule(
    batch_size=64,
    max_length=40,
    train_size=256 if SMALL else 3200,
    val_size=64 if SMALL else 1024,
    test_min_length=41,
    test_max_length=60 if SMALL else 500,
    test_size=64 if SMALL else 512,
)
string = data.sequences(length=40, count=1)

figure, axis = plt.subplots(figsize=(9, 1.3), layout="constrained")
axis.imshow(torch.cat([string["input_ids"], string["labels"]]).numpy(), cmap="Greys", vmin=0, vmax=1.4)
axis.set_yticks([0, 1], ["bits", "odd so far"])
axis.set_xlabel("time step")
plt.show()

# %% [markdown]
# ## Two recurrent nets
# A **recurrent net** reads one bit a step and keeps a *state*, a list of numbers, from step to step. The simplest one,
# the **vanilla RNN**, computes a whole new state at each step. An **LSTM** (long short-term memory) has *gates*:
# numbers between 0 and 1 that say how much of the old state is kept and how much is written anew.
#
# Both are told the right answer at the end of a string alone. Lightning's `Trainer` does the training. `LengthSweep` is
# a callback: after the test it measures the accuracy on strings of many lengths.


# %%
def train(module, data, epochs, *callbacks):
    """Trains a system; the Trainer that is returned has written its measurements to ``log_dir``."""
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        logger=CSVLogger("runs/notebooks", name="parity"),
        log_every_n_steps=1 if SMALL else 10,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    return trainer


nets, trainers = {}, {}
for cell in ("rnn", "lstm"):
    seed_everything(0, verbose=False)
    nets[cell] = ParityModule(RecurrentConfig(cell=cell, hidden_size=16), input_noise=0.3)
    sweep = LengthSweep(41, 60 if SMALL else 500, every=17, sequences=16 if SMALL else 256, stream_bits=0)
    trainers[cell] = train(nets[cell], data, 1 if SMALL else 15, sweep)
    found = trainers[cell].test(nets[cell], datamodule=data, verbose=False)[0]
    print(f"{cell}: {found['test/accuracy_last']:.1%} of the longer strings are judged rightly")

# %% [markdown]
# *Look at the left picture for how the two learn, and at the right one for what happens at lengths that neither has
# seen. The dotted line is what guessing gives.*

# %%
figure, (learning, longer) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for cell, trainer in trainers.items():
    folder = Path(trainer.log_dir)
    learning.plot(*zip(*read_metrics(folder / "metrics.csv")["val/accuracy_last"], strict=True), label=cell)
    with (folder / "length_sweep.csv").open() as file:
        rows = [(int(row["length"]), float(row["accuracy"])) for row in csv.DictReader(file)]
    longer.plot(*zip(*rows, strict=True), label=cell)
for axis, title in ((learning, "strings of 1 to 40 bits, during training"), (longer, "longer strings, afterwards")):
    axis.axhline(0.5, color="grey", linestyle=":")
    axis.set(ylim=(0.4, 1.02), title=title, ylabel="accuracy")
    axis.legend()
learning.set_xlabel("training step")
longer.set_xlabel("length of the string")
plt.show()

# %% [markdown]
# ## Inside the LSTM
# `hidden` gives the state after each step. Sixteen units are more than parity needs; the net uses some of them as a
# switch.
#
# *Look for rows that change from red to blue and back exactly where the top row, the right answer, changes. Those units
# hold the parity. Others react to the last bit, and some do nothing.*

# %%
with torch.inference_mode():
    states, _ = nets["lstm"].hidden(string["input_ids"])
figure, (answer, heat) = plt.subplots(2, 1, figsize=(9, 3.6), height_ratios=(1, 12), sharex=True, layout="constrained")
answer.imshow(string["labels"].numpy(), cmap="Greys", vmin=0, vmax=1.4, aspect="auto")
answer.set_yticks([0], ["odd so far"])
image = heat.imshow(states[0].T.numpy(), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
heat.set(xlabel="time step", ylabel="unit of the state")
figure.colorbar(image, ax=heat, label="value")
plt.show()

# %% [markdown]
# ## Why recurrent nets forget
# A net learns from the **gradient**: how the loss would change if a number changed a little. The loss stands at the end
# of the string. To learn what to do with the *first* symbol, its gradient has to travel back through all steps. Each
# step back multiplies it by the recurrent weights and by the slope of the activation:
#
# - if a step makes it smaller, it is all but zero after many steps: the gradient **vanishes**, and nothing is learned
#   about the beginning;
# - if a step makes it larger, it **explodes**, and a single update can destroy what was learned.
#
# The **spectral radius** tells how strongly the recurrent weights stretch in the long run: it is the largest absolute
# value of their eigenvalues.
#
# A task that needs the beginning shows it: `recall` asks which of four symbols came *first*. All others are noise.

# %%
LENGTH = 6 if SMALL else 50
seed_everything(0, verbose=False)
recall = FormalLanguageDataModule(
    task="recall",
    batch_size=64,
    min_length=LENGTH,
    max_length=LENGTH,
    train_size=128 if SMALL else 3200,
    val_size=64 if SMALL else 512,
)
batch = recall.sequences(LENGTH, 64)


def recaller(rate=1e-3, **net):
    """A net for recall; ``net`` are fields of RecurrentConfig."""
    seed_everything(0, verbose=False)
    config = SymbolNetConfig(rnn=RecurrentConfig(hidden_size=32, **net))
    return FormalLanguageModule(recall.vocab_size, recall.num_classes, config, optim=OptimConfig(learning_rate=rate))


untrained = {
    "vanilla RNN": recaller(cell="rnn"),
    "vanilla RNN, orthogonal weights": recaller(cell="rnn", recurrent_init="orthogonal"),
    "vanilla RNN, weights times 4": recaller(cell="rnn"),
    "LSTM": recaller(cell="lstm"),
    "LSTM, forget gate open": recaller(cell="lstm", forget_bias=4.0),
}
with torch.no_grad():
    for name, weights in untrained["vanilla RNN, weights times 4"].named_parameters():
        if "weight_hh" in name:
            weights *= 4

figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
for name, module in untrained.items():
    norms = list(gradient_norms(module, batch).values())[-1]  # of an LSTM: those of its cell
    axis.plot(range(1, LENGTH + 1), norms, label=name)
    print(f"{name:32} gradient at the first step, divided by that at the last: {norms[0] / norms[-1]:.1e}", end="")
    print(*(f", spectral radius {radius:.2f}" for radius in spectral_radii(module).values() if "RNN" in name))
axis.set(yscale="log", xlabel="time step", ylabel="size of the gradient", title="how far the gradient reaches back")
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Read the picture from right to left, as the gradient travels. A straight line downwards is vanishing: each step takes
# away the same share. Of the vanilla RNN's next to nothing arrives (the numbers above). Orthogonal
# weights are a rotation, which keeps lengths; what is lost then is lost to the slope of tanh. The LSTM's gradient is
# multiplied by its forget gate alone: half-open at the start, which vanishes too, or open, which does not.*
#
# Does it matter in training? `GradientFlow` measures the same during the training.

# %%
flows = {}
for name, module in (
    ("vanilla RNN", recaller(cell="rnn")),
    ("LSTM, forget gate open", recaller(cell="lstm", forget_bias=4.0, rate=3e-3)),
):
    flows[name] = GradientFlow(every=2 if SMALL else 50)
    trainer = train(module, recall, 1 if SMALL else 8, flows[name])
    print(f"{name}: {trainer.callback_metrics['val/accuracy_last']:.1%} right (guessing: {1 / recall.num_classes:.0%})")

# %% [markdown]
# The vanilla RNN's picture, by the callback itself. *Look at the heat map, left: dark means that no gradient arrives.
# Time runs to the right, training upwards. The right picture has the same as curves.*

# %%
flows["vanilla RNN"].draw()

# %% [markdown]
# *And the LSTM's, in the rows of its two states h and c: the gradient arrives at the first step from the start.
# Later all becomes dark: when the loss is nearly zero, so is its gradient.*

# %%
flows["LSTM, forget gate open"].draw()

# %%
print(f"this notebook took {time.process_time() - started:.0f} seconds of processor time")

# %% [markdown]
# ## Exercises
# 1. Tell the vanilla RNN the parity after *every* bit: `ParityModule(..., supervision="full")`. Why does that help?
# 2. Set `input_noise=0` for the LSTM and look at long strings again. What is the noise good for?
# 3. Train the vanilla RNN on `recall` with `LENGTH = 10`. Why does it learn now, although its gradient shrinks at each
#    step as before?
# 4. Leave out `gradient_clip_val` and start from the weights that were multiplied by 4. What do you see in
#    `GradientFlow`?
#
# <details><summary>Answers</summary>
#
# 1. The error at a step is then one step away from the bit that caused it: a gradient that reaches back a single step
#    is enough to learn "flip at a one".
# 2. Without it the states of the two answers may lie close together, and small errors add up from step to step until
#    they cross over. Noise in training forces the net to keep the two far apart and to correct itself, which then lasts
#    for any length.
# 3. A shrinking gradient is a small one, not none. Over few steps enough of it arrives for an optimiser like Adam,
#    which divides by its size; and while the net learns, its weights grow, and with them what arrives.
# 4. The norms grow towards the first step and jump about, and so does the loss. Clipping bounds the size of an update
#    and so heals explosion. It cannot heal vanishing: what has become zero cannot be scaled up again.
#
# </details>
#
# More: [the note on parity](../notes/parity.md), [one recurrent step with every number](../lessons/recurrent_step.md),
# [how far the gradient reaches](../lessons/gradients.md).
