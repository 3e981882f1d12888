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
# # GPT from scratch, on your own text
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/YOUR_ACCOUNT/seqlight/blob/main/docs/notebooks/gpt.ipynb
#
# A **language model** guesses the next character of a text from those before it. That is all it learns, and yet to
# guess well it has to learn spelling, grammar, and in the end what the text is about. You will train a small **GPT**,
# a Transformer that reads from left to right, watch its language appear, and look at what it pays attention to.

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
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

from datamodules import CorpusDataModule
from datamodules.text.corpus import WindowConfig
from seq_modules import GPTLanguageModel
from seq_modules.callbacks import Samples
from seq_modules.callbacks.text.attention_examples import attention_examples
from seq_modules.callbacks.text.attention_maps import draw, visible
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.training.optim import OptimConfig
from seqlight.core.plots import read_metrics

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # leave out what it says of each training
started = time.process_time()

# %% [markdown]
# ## Your text
# `PATH` may be a file, a folder of `.txt` files, or a pattern such as `"books/*.md"`. With `None` the text is Python's
# own reference manual, which every Python brings along. A few hundred thousand characters are enough to see something;
# a novel has about that many.

# %%
PATH = None  # for example "my_book.txt"
CONTEXT = 16 if SMALL else 64  # characters that the model sees at once

seed_everything(0, verbose=False)
data = CorpusDataModule(
    PATH,
    tokenizer="char",
    seq_len=CONTEXT,
    batch_size=8 if SMALL else 32,
    windows=WindowConfig(crops="tiled", epoch_size=32 if SMALL else 3200, eval_size=8 if SMALL else 256),
)
text = data.train_text()
print(f"{len(text):,} characters to learn from, {data.vocab_size} different ones; the text begins with\n")
print(text[:400])

# %% [markdown]
# ## The simplest model: count pairs
# A **bigram** model knows one thing: how often each character follows each other one. It is made by counting. Its loss
# is what we have to beat. The **loss** is the average of -log p, where p is the probability that the model gave to the
# character that really came. Guessing all characters alike has the logarithm of their number as its loss; 0 would be a
# model that is always sure and always right.
#
# *Look at the picture row by row: a row is a letter, and the dark fields are what usually follows it. After q, say.*

# %%
ids = torch.from_numpy(data.tokenizer.encode_array(text).astype("int64"))
held_out = torch.from_numpy(data.tokenizer.encode_array(data.val_text()).astype("int64"))
counts = torch.zeros(data.vocab_size, data.vocab_size)
counts.index_put_((ids[:-1], ids[1:]), torch.ones(len(ids) - 1), accumulate=True)
bigram = (counts + 0.1) / (counts + 0.1).sum(1, keepdim=True)  # never 0, for pairs that the training text lacks

uniform_loss = math.log(data.vocab_size)
bigram_loss = -bigram[held_out[:-1], held_out[1:]].log().mean().item()
print(f"loss on text that was held out: all alike {uniform_loss:.2f}, bigram {bigram_loss:.2f} (nats per character)")

letters = [letter for letter in "abcdefghijklmnopqrstuvwxyz ." if letter in text]
rows = torch.tensor([data.tokenizer.encode(letter)[0] for letter in letters])
figure, axis = plt.subplots(figsize=(5, 4.6), layout="constrained")
axis.imshow(bigram[rows][:, rows].sqrt().numpy(), cmap="Greys")
axis.set_xticks(range(len(letters)), map(visible, letters), fontsize=7)
axis.set_yticks(range(len(letters)), map(visible, letters), fontsize=7)
axis.set(xlabel="next character", ylabel="character", title="how often a character follows another")
plt.show()

# %% [markdown]
# ## The model
# A GPT first turns each character into a vector, its **embedding**. Then come *blocks*, and each has two parts:
# **attention**, in which each position collects what it needs from the positions before it, and a small net that works
# on each position for itself. A last layer turns the vector at a position into a score for each character that might
# come next; **softmax** makes probabilities of the scores.

# %%
seed_everything(0, verbose=False)
module = GPTLanguageModel(
    data.vocab_size,
    GPTConfig(
        d_model=16 if SMALL else 96,  # width of the vectors
        num_layers=1 if SMALL else 3,  # blocks
        num_heads=1 if SMALL else 3,  # attentions side by side in a block
        max_seq_len=CONTEXT,
        positions="rotary",  # how the model knows where a character stands
    ),
    optim=OptimConfig(learning_rate=3e-3, weight_decay=0.1, warmup_steps=50, schedule="cosine", min_lr_ratio=0.1),
)
print(f"{sum(weights.numel() for weights in module.parameters()):,} weights")
print(module.net.blocks[0])

# %% [markdown]
# ## Training
# `Samples` is a callback: at each validation it lets the model continue a prompt. *Watch how letters become words, and
# words become something like sentences.*

# %%
trainer = Trainer(
    max_epochs=1 if SMALL else 3,
    accelerator="cpu",
    gradient_clip_val=1.0,
    callbacks=[Samples(prompt="The ", max_new_tokens=8 if SMALL else 150)],
    logger=CSVLogger("runs/notebooks", name="gpt"),
    log_every_n_steps=1 if SMALL else 20,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, datamodule=data)

# %% [markdown]
# *Look at where the curve crosses the dotted line: from there on the model knows more than pairs. If the validation
# loss rose while the training loss falls, the model would be learning its text by heart.*

# %%
curves = read_metrics(Path(trainer.log_dir) / "metrics.csv")
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
axis.plot(*zip(*curves["train/loss"], strict=True), label="training")
axis.plot(*zip(*curves["val/loss"], strict=True), "o-", label="validation")
axis.axhline(uniform_loss, color="grey", linestyle="--", label="all characters alike")
axis.axhline(bigram_loss, color="grey", linestyle=":", label="bigram")
axis.set(xlabel="training step", ylabel="loss (nats per character)", ylim=(0, None))
axis.legend()
plt.show()
print(f"validation loss {curves['val/loss'][-1][1]:.2f}, bigram {bigram_loss:.2f}")

# %% [markdown]
# ## What comes next?
# The model gives probabilities, and a character is drawn from them. The **temperature** divides the scores before the
# softmax: below 1 the likely becomes likelier, above 1 the unlikely gets its chance, and 0 always takes the likeliest.
#
# *Compare the bars: the order stays, the contrast changes.*

# %%
PROMPT = "The value of the expres"
module.eval()
with torch.inference_mode():
    scores = module(torch.tensor([data.tokenizer.encode(PROMPT)[-CONTEXT:]]))[0, -1]
best = scores.topk(8).indices
figure, axes = plt.subplots(1, 3, figsize=(10, 2.6), sharey=True, layout="constrained")
for axis, temperature in zip(axes, (0.5, 1.0, 2.0), strict=True):
    chances = F.softmax(scores / temperature, dim=-1)[best]
    axis.bar([visible(piece) for piece in data.tokenizer.pieces(best.tolist())], chances.numpy())
    axis.set_title(f"temperature {temperature}")
axes[0].set_ylabel("probability")
figure.suptitle(f"after {PROMPT!r}")
plt.show()

# %%
for temperature in (0.0, 0.5, 1.0, 2.0):
    (new,) = module.generate([PROMPT], Decoding(max_new_tokens=8 if SMALL else 160, temperature=temperature))
    print(f"--- temperature {temperature}\n{PROMPT}{new}\n")

# %% [markdown]
# ## Where it looks
# In attention each position gives weights, which sum to 1, to itself and to all positions before it; the upper right
# triangle is empty because the future is hidden. Blocks are the rows of the picture, **heads** (attentions side by
# side) its columns.
#
# *Look for a bright diagonal: a head that looks at the character itself or at the one just before. Look for short
# bright columns: all letters of a word look at one place, often the space before it or its first letters, which tell
# the word.*

# %%
(example,) = attention_examples(module, ["for the value of the for"[:CONTEXT]], 32)
draw(example.parts[0])

# %%
print(f"this notebook took {time.process_time() - started:.0f} seconds of processor time")

# %% [markdown]
# ## Exercises
# 1. Why does temperature 0 so often end in a loop?
# 2. Set `CONTEXT = 8` and train again. How much worse does the loss become, and what do the samples lose?
# 3. Take `positions="none"`: nobody tells the model where a character stands. It still learns. How can it know?
# 4. Put a text of yours at `PATH`. Is the loss on your text comparable with the one above?
#
# <details><summary>Answers</summary>
#
# 1. The likeliest continuation is one that often occurs. Once it has been written, it is in the context, and the model
#    has learned that texts repeat themselves: this makes it likelier still. A draw breaks the loop.
# 2. Spelling needs only a few characters, so words stay good. What goes is what holds longer than a word: brackets that
#    are closed, a subject and its verb, the topic.
# 3. A position sees itself and what is before it, and nothing behind: the mask makes positions different. With each
#    further position one more is attended to, and the net can count from that.
# 4. Not directly. Another text has other characters and is more or less predictable in itself. Compare each loss with
#    that of the bigram on the same text. For the same text, nats per character can be compared between any two models.
#
# </details>
#
# More: [the note on language models](../notes/language.md), [attention step by step](../lessons/attention.md). The
# command for a longer training: `seqlight fit --config text/gpt_char --data.path my_book.txt`.
