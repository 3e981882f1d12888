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
# # Questions and reviews, from scratch and with BERT
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/YOUR_ACCOUNT/seqlight/blob/main/docs/notebooks/classification.ipynb
#
# A **classifier** reads a text and says which of a few classes it belongs to. Here are two tasks: what kind of answer
# does a *question* ask for, and does a *review* praise or blame? And three ways to solve them, from the simplest to the
# largest: counting words, a recurrent net with attention, and a net that has read a great deal before it ever sees the
# task.

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
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from datamodules import QuestionsDataModule, ReviewsDataModule
from datamodules.classification.groups import PredictConfig, TokenConfig
from seq_modules import NgramClassifier, PretrainedClassifier, TextClassifier
from seq_modules.callbacks import ConfusionMatrix, TextAttention
from seq_modules.nets.pretrained.encoder import PretrainedEncoderConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.ngram_net import NgramConfig
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.training.optim import OptimConfig

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # leave out what it says of each training
plt.close(plt.figure())  # from here on, figures that others have made are shown too
started = time.process_time()

# %% [markdown]
# ## Questions
# *Who wrote Hamlet?* asks for a person, *When did it open?* for a number. The classes are those of TREC, a collection
# that is much used: ABBR an abbreviation, DESC a description, ENTY a thing, HUM a person or group, LOC a place, NUM a
# number.
#
# Without files the questions are **synthetic**: made from sentence patterns with blanks to fill, with TREC's classes in
# TREC's proportions. They are much easier than TREC's own, so that their scores say that a system works and not how
# good it is. `TREC` may be the folder of the real files, `train_5500.label` and `TREC_10.label`.

# %%
TREC = None

seed_everything(0, verbose=False)
questions = QuestionsDataModule(
    TREC,
    tokenizer="words",
    batch_size=32,
    predict=PredictConfig(
        texts=[
            "Who painted the ceiling of the Sistine Chapel ?",
            "How many strings does a cello have ?",
            "What does RNN stand for ?",
            "Where is the longest bridge ?",
            "What is a gradient ?",
        ]
    ),
)
train_part = questions.splits["train"]
counts = Counter(questions.class_names[label] for label in train_part.labels.tolist())
for name in questions.class_names:
    label = questions.class_names.index(name)
    example = train_part.texts[train_part.labels.tolist().index(label)]
    print(f"{name:5}{counts[name]:6} questions, such as: {example}")

# %% [markdown]
# ## A recurrent net with attention
# Words become vectors (**embeddings**). An **LSTM** reads them from both ends, and has a state at each word.
# **Attention** makes one vector of all states: it gives each word a weight, and the weights sum to 1. From this vector
# a last layer makes a score for each class.
#
# Weights tell which words the decision was made from, at least roughly, and we will look at them.


# %%
def fit_and_test(module, data, epochs, *callbacks):
    """Trains a system and tests it; the Trainer has written its pictures to ``log_dir``."""
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        limit_train_batches=2 if SMALL else None,
        limit_val_batches=1 if SMALL else None,
        limit_test_batches=1 if SMALL else None,
        logger=CSVLogger("runs/notebooks", name="classification"),
        log_every_n_steps=1 if SMALL else 10,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    (measured,) = trainer.test(module, datamodule=data, verbose=False)
    print(f"accuracy on the test texts: {measured['test/accuracy']:.1%}")
    return trainer


def write_predictions(trainer, module, data):
    """Prints the texts of ``predict`` with the class that the module finds."""
    for batch in trainer.predict(module, datamodule=data):
        for row in batch:
            print(f"{row['label']:5}{row['probability']:7.1%}  {row['text']}")


seed_everything(0, verbose=False)
lstm = TextClassifier(
    questions.vocab_size,
    questions.num_classes,
    pad_id=questions.pad_id,
    net=TextEncoderConfig(
        pooling="attention",
        d_model=8 if SMALL else 64,
        rnn=RecurrentConfig(cell="lstm", hidden_size=8 if SMALL else 64, bidirectional=True),
        dropout=0.3,
    ),
    optim=OptimConfig(learning_rate=3e-3),
)
trainer = fit_and_test(lstm, questions, 1 if SMALL else 6, TextAttention(texts=10, max_tokens=8))

# %% [markdown]
# *Look at the **confusion matrix** row by row: a row is a true class, a column a predicted one. Whatever lies off the
# diagonal is a mistake.*

# %%
ConfusionMatrix().draw(questions.class_names, lstm.confusion_counts())

# %% [markdown]
# *Now at the words: the darker, the higher its weight. Look for question words and for nouns that name a kind of
# answer, such as city; the names behind them should hardly count. Some weights you would have put elsewhere.*

# %%
Image.open(Path(trainer.log_dir) / "plots" / "text_attention.png")

# %% [markdown]
# Questions of ours, which no pattern has made. *Look for one that is wrong and yet sure.* The test questions come from
# the patterns that the training comes from; these do not. That is the difference between a good score and a good model.

# %%
write_predictions(trainer, lstm, questions)

# %% [markdown]
# ## Reviews: count words first
# Before a deep net, try a simple model. **NBSVM** looks up which words and pairs of neighbouring words occur
# (*n-grams*) and adds up a weight for each; the sign of the sum is the answer. The order of the words beyond pairs is
# lost. `REVIEWS` may be any table with the columns `text` and `label`, or a collection such as IMDb's folder; without
# it the reviews are synthetic too.

# %%
REVIEWS = None

seed_everything(0, verbose=False)
reviews = ReviewsDataModule(
    REVIEWS,
    tokenizer="words",
    predict=PredictConfig(
        texts=[
            "a warm and funny film with a perfect ending .",
            "the plot is dull and the music is awful .",
            "it was not boring at all .",
            "rarely have i been so tired .",
        ]
    ),
)
counting = NgramClassifier(reviews.vocab_size, reviews.num_classes, net=NgramConfig(max_order=2, naive_bayes=0.8))
trainer = fit_and_test(counting, reviews, 1 if SMALL else 8)

# %% [markdown]
# *Look at the n-grams that weigh most for each class, and among them for pairs that turn a word round: "but charming"
# speaks against a film, as in "anything but charming". That is why single words are not enough.*

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for label, axis in enumerate(axes):
    ngrams, votes = zip(*counting.heaviest_ngrams(label, 12), strict=True)
    axis.barh(range(len(votes)), votes, color=f"C{3 - 3 * label}")
    axis.set_yticks(range(len(votes)), ngrams, fontsize=8)
    axis.invert_yaxis()
    axis.set(title=reviews.class_names[label], xlabel="adds to the score of this class")
plt.show()
write_predictions(trainer, counting, reviews)

# %% [markdown]
# ## With BERT
# **BERT** is a Transformer that was trained on a great deal of text to guess hidden words. What it learned from that,
# what words mean in their surroundings, it brings along: we put a new last layer on it and train all of it for a short
# while on our task. That is **fine-tuning**.
#
# `ENCODER` is a folder with such a net, for example a copy of `sentence-transformers/all-MiniLM-L6-v2`, or with a
# network the name itself. On your own computer nothing is downloaded unless you say so; in Colab it is. Its tokens are
# pieces of words (**WordPiece**), so that no word is unknown.

# %%
IN_COLAB = "google.colab" in sys.modules
ENCODER = os.environ.get("SEQLIGHT_ENCODER", "sentence-transformers/all-MiniLM-L6-v2" if IN_COLAB else None)

if ENCODER is None:
    print("skipped: no pretrained encoder here; set ENCODER to a folder or a name, and run this cell again")
else:
    seed_everything(0, verbose=False)
    pieces = QuestionsDataModule(
        TREC,
        tokenizer_path=ENCODER,
        tokens=TokenConfig(special_tokens=True, max_seq_len=64),
        batch_size=32,
        predict=questions.predict,
    )
    bert = PretrainedClassifier(
        pieces.vocab_size,
        pieces.num_classes,
        net=PretrainedEncoderConfig(ENCODER, pooling="mean"),
        head_learning_rate=1e-3,
        optim=OptimConfig(learning_rate=2e-4, weight_decay=0.01, warmup_steps=10, schedule="wsd"),
    )
    write_predictions(fit_and_test(bert, pieces, 1), bert, pieces)

# %%
print(f"this notebook took {time.process_time() - started:.0f} seconds of processor time")

# %% [markdown]
# ## Exercises
# 1. Give the question classifier `pooling="last"`, so that only the last states are read, or `encoder="embeddings"` and
#    `pooling="mean"`, which is a mere average of word vectors. What do you lose?
# 2. Set `fine_label_in_text=True` in `QuestionsDataModule`. The accuracy rises. Why should you not be glad?
# 3. Let NBSVM count single words alone, `max_order=1`. Which of the reviews above does it now get wrong?
# 4. Write a review that all of these models get wrong.
#
# <details><summary>Answers</summary>
#
# 1. With the last states, what stands early in the question has to be remembered until the end (the notebook on parity
#    is about that). The average does not know the order at all; "who did the city name" and "did who name the city" are
#    the same to it. For short questions it is often enough, which is why one should try it.
# 2. It puts a finer label in front of the question, and that label contains the answer: a **leak**. For a question that
#    nobody has labelled it is not there, and the accuracy is worth nothing. Leaks are seldom so easy to see.
# 3. Look at those with a negation first: without pairs, "not" and "boring" are two words, each with its own weight.
# 4. Irony, comparisons ("the book was better") and praise for another film are good candidates: the words say one thing
#    and the sentence the other.
#
# </details>
#
# More: [the note on classification](../notes/classification.md), [results on TREC and on real
# reviews](../results/classification/README.md).
