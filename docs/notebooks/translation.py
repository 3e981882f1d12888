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
# # Translation with attention
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/YOUR_ACCOUNT/seqlight/blob/main/docs/notebooks/translation.ipynb
#
# Reading one sequence and writing another one is called **sequence to sequence**: German in, English out. Real
# translation takes a large collection of sentences and hours. Here the net translates *dates*, from the way people
# write them in four languages to the international form: `Mittwoch, 3. März 2021` becomes `2021-03-03`. That is small
# enough for minutes, has the same parts, and it shows what **attention** is for.

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
from pathlib import Path

import matplotlib.pyplot as plt
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

from datamodules import DatesDataModule, StringsDataModule
from seq_modules import Seq2SeqRNN
from seq_modules.callbacks import Alignments, AttentionPage
from seq_modules.callbacks.text.attention_examples import attention_examples
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.plots import read_metrics

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # leave out what it says of each training
started = time.process_time()

# %% [markdown]
# ## The data
# Days and ways of writing are drawn at random, without end. The test has days, and combinations of a language and a way
# of writing, that never occur in the training. Every character is a token.

# %%
seed_everything(0, verbose=False)
dates = DatesDataModule(
    batch_size=16 if SMALL else 64,
    locales=["de", "en", "es", "fr"],
    train_size=32 if SMALL else 12_800,
    val_size=16 if SMALL else 200,
    test_size=16 if SMALL else 500,
)
examples = dates.test_set.__getitems__(range(6))
for source, target in zip(examples["sources"], examples["references"], strict=True):
    print(f"{source:32} -> {target}")

# %% [markdown]
# ## Encoder and decoder, with attention and without
# The **encoder** is a recurrent net that reads the source. The **decoder**, another one, writes the target, character
# by character. What does the decoder know of the source?
#
# - *Without attention*: the encoder's last state alone. However long the source is, all of it has to go through these
#   few numbers: a **bottleneck**.
# - *With attention*: at each character that it writes, the decoder compares its own state with the encoder's states at
#   *all* characters of the source. The better one fits, the more weight it gets; the weights sum to 1, and the weighted
#   sum of the states is what the decoder gets to see. It may look at the day while it writes the day.


# %%
def translator(data, attention):
    """A GRU encoder-decoder for the data; attention is "additive", "dot" or "none"."""
    seed_everything(0, verbose=False)
    width = 8 if SMALL else 96
    return Seq2SeqRNN(
        data.source_vocab_size,
        data.vocab_size,
        Seq2SeqRNNConfig(
            d_model=width // 2,
            attention=attention,
            attention_size=width,
            dropout=0.0,
            input_feeding=attention == "none",  # the decoder then sees the encoder's last state at every step
            rnn=RecurrentConfig(cell="gru", hidden_size=width, bidirectional=True),
        ),
        label_smoothing=0.0,
        scores=["exact_match"],
        optim=OptimConfig(learning_rate=4e-3, warmup_steps=50, schedule="wsd", decay_fraction=0.5, fused=True),
    )


def train(module, data, epochs):
    """Trains and tests a system."""
    module.decoding = Decoding(max_new_tokens=4 if SMALL else 48)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=[Alignments(count=1), AttentionPage(count=1)],  # files for the run's folder
        logger=CSVLogger("runs/notebooks", name="translation"),
        log_every_n_steps=1 if SMALL else 20,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    (measured,) = trainer.test(module, datamodule=data, verbose=False)
    print(f"attention {module.net.config.attention}: {measured['test/exact_match']:.1%} of the test exactly right")
    return trainer


translators = {attention: translator(dates, attention) for attention in ("additive", "none")}
trainers = {attention: train(module, dates, 1 if SMALL else 4) for attention, module in translators.items()}

# %% [markdown]
# *Look at how early each curve falls. Both get there in the end: a date is short. The bottleneck is coming.*

# %%
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for attention, trainer in trainers.items():
    curves = read_metrics(Path(trainer.log_dir) / "metrics.csv")
    axis.plot(*zip(*curves["train/loss"], strict=True), label=f"attention: {attention}")
axis.set(xlabel="training step", ylabel="loss in training (nats per character)", yscale="log")
axis.legend()
plt.show()

# %% [markdown]
# Dates of our own:

# %%
texts = ["Mittwoch, 3. März 2021", "14 juillet 1789", "February 29, 2000", "3 de mayo de 2004", "31.12.1999"]
for source, hypotheses in zip(texts, translators["additive"].generate(texts), strict=True):
    print(f"{source:32} -> {hypotheses[0].text}")

# %% [markdown]
# The storming of the Bastille is worth a second look: training has days of the twentieth and the twenty-first century
# alone. Why can the net write a year that it has never seen? The next pictures give the answer.
#
# ## What it looks at
# A row of the picture is a character that is written, a column one of the source, and the shade is the weight.
#
# *Look at three rows: those of the year attend to the year at the end of the source, those of the month to the letters
# of its name, those of the day to the day. Nobody has told the net that these belong together.* Note also that the
# order is turned round; an **alignment** need not be a diagonal.

# %%
alignments = Alignments()
(example,) = attention_examples(translators["additive"], [texts[0]], 32)
alignments.draw(example.parts[0])

# %%
(example,) = attention_examples(translators["additive"], ["February 29, 2000"], 32)
alignments.draw(example.parts[0])

# %% [markdown]
# ## The bottleneck
# A harder task for memory: a string of random letters is to be written *backwards*. Training has strings of 1 to 12
# letters, and the test of up to 24. Everything counts here, since no letter follows from another one.

# %%
letters = StringsDataModule(
    task="reverse",
    batch_size=16 if SMALL else 64,
    max_length=12,
    train_size=32 if SMALL else 12_800,
    val_size=16 if SMALL else 200,
    test_max_length=24,
    test_size=16 if SMALL else 960,
)
rows = letters.test_set.__getitems__(range(len(letters.test_set)))
reversers = {attention: translator(letters, attention) for attention in ("dot", "none")}
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for attention, module in reversers.items():
    train(module, letters, 1 if SMALL else 4)
    right = {}  # length -> whether each string of that length was right
    found = module.generate(rows["sources"])
    for source, target, (best, *_) in zip(rows["sources"], rows["references"], found, strict=True):
        right.setdefault(len(source), []).append(best.text == target)
    lengths = sorted(right)
    fractions = [sum(right[length]) / len(right[length]) for length in lengths]
    axis.plot(lengths, fractions, "o-", label=f"attention: {attention}")
axis.axvline(12.5, color="grey", linestyle=":")
axis.set(
    xlabel="length of the string (training: left of the line)", ylabel="fraction exactly right", ylim=(-0.03, 1.03)
)
axis.legend()
plt.show()

# %% [markdown]
# *Look at where each curve begins to fall.* Without attention the state has room for so many letters and no more. With
# attention the source need not be remembered, since it can be looked up: strings as long as the longest of the training
# are no harder than short ones. Behind the dotted line both fail. Attention frees a net from remembering; where to look
# next, and when to stop, it still has to learn, and it has never seen a string so long.

# %%
(example,) = attention_examples(reversers["dot"], ["backwards"], 32)
alignments.draw(example.parts[0])

# %% [markdown]
# *Here the alignment is the other diagonal: the last letter is read first.*

# %%
print(f"this notebook took {time.process_time() - started:.0f} seconds of processor time")

# %% [markdown]
# ## Exercises
# 1. Write a date with a mistake in it, such as `Mitwoch, 3. Maerz 2021`. What does the net make of it? Where does it
#    look?
# 2. Translate `14 juillet 1789` with `translators["none"]` too. Which of the two would you trust with a year that the
#    training did not have, and why?
# 3. Halve the width of the net that has no attention (`width` in `translator`). Where does its curve fall now?
# 4. Take your own sentence pairs: `TranslationDataModule(path=...)` with one file a language, such as `train.de` and
#    `train.en`. What would have to become larger?
#
# <details><summary>Answers</summary>
#
# 1. Usually the right date: the net has learned which letters tell months apart, and the weekday is not needed at all.
# 2. The one with attention: it looks at a digit while it writes it, and has learned to copy what it looks at. Without
#    attention the year has to go through the state, from which the decoder can only bring back what it has learned to
#    put there.
# 3. Earlier. The number of letters that fit through the bottleneck grows with the width of the state.
# 4. Nearly everything: the vocabulary (subwords in place of characters), the width, the number of sentences, and the
#    time. The recipe `translation/multi30k_gru` has values for a collection of captions of pictures.
#
# </details>
#
# More: [the note on sequence to sequence](../notes/seq2seq.md), [attention step by step](../lessons/attention.md),
# [results](../results/translation.md).
