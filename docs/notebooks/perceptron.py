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
# # Multi-layer perceptrons, and gradients by hand
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/YOUR_ACCOUNT/seqlight/blob/main/docs/notebooks/perceptron.ipynb
#
# How does a neural net learn? It computes how its loss would change if each of its weights changed a little, the
# **gradient**, and moves every weight a small step in the direction in which the loss falls. Libraries do that for us.
# Here you do it by hand once, for a net small enough to write down, check the result in three ways, and then watch such
# nets draw a border between two kinds of points.

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
import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from datamodules import TabularDataModule
from datamodules.tabular.shapes import ShapeConfig
from seq_modules import MLPClassifier
from seq_modules.callbacks import DecisionBoundary
from seq_modules.callbacks.points.decision_boundary import draw, extent_of, probabilities
from seq_modules.nets.mlp.mlp_config import MLPConfig
from seq_modules.reference import numpy_mlp
from seq_modules.training.optim import OptimConfig
from seqlight.core.plots import read_metrics

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # leave out what it says of each training
started = time.process_time()
np.set_printoptions(precision=4, suppress=True)

# %% [markdown]
# ## One step forward
# A **perceptron** multiplies its inputs by weights, adds a bias and bends the sum by an *activation*, here tanh. A
# **multi-layer perceptron** (MLP) stacks such layers. Ours has two inputs, a hidden layer of two units and two outputs,
# a score for each class:
#
#     a = W1 x + b1        h = tanh(a)        z = W2 h + b2
#
# **Softmax** makes probabilities p of the scores, and the **loss** is -log p of the right class: zero if the net is
# sure and right, large if it is sure and wrong.

# %%
W1, b1 = np.array([[0.5, -1.0], [1.0, 0.5]]), np.array([0.0, 0.2])
W2, b2 = np.array([[1.0, -0.5], [-1.0, 1.0]]), np.array([0.0, 0.0])
x, label = np.array([1.0, 2.0]), 1

h = np.tanh(W1 @ x + b1)
z = W2 @ h + b2
p = np.exp(z) / np.exp(z).sum()
loss = -np.log(p[label])
print("hidden units h:", h)
print("scores z:      ", z)
print("probabilities: ", p)
print(f"the loss of class {label}: {loss:.4f}")

# %% [markdown]
# ## And back again
# **Back-propagation** is the chain rule of calculus, applied from the loss back to the weights. Write d*v* for the
# derivative of the loss by *v*. Each line below uses only what the line before it found:
#
# | what | by the chain rule | in words |
# |---|---|---|
# | dz | p - y | probability, less 1 at the right class |
# | dW2, db2 | dz hᵀ, dz | each weight's input times what is wanted of its output |
# | dh | W2ᵀ dz | the same weights, walked backwards |
# | da | dh (1 - h²) | 1 - h² is the slope of tanh |
# | dW1, db1 | da xᵀ, da | as above |

# %%
y = np.eye(2)[label]
dz = p - y
dW2, db2 = np.outer(dz, h), dz
dh = W2.T @ dz
da = dh * (1 - h**2)
dW1, db1 = np.outer(da, x), da
print("dW2 =\n", dW2)
print("dW1 =\n", dW1)

# %% [markdown]
# Is that right? Three checks:
#
# 1. **Nudge a weight** and see how the loss really changes. That is the definition of a derivative.
# 2. Let **torch** do it (*autograd*).
# 3. The package's own NumPy net, [`reference/numpy_mlp.py`](../../seq_modules/reference/numpy_mlp.py), which is these
#    lines for any number of layers and many rows at once.


# %%
def loss_of(weights):
    """The loss as a function of the weights W1, b1, W2, b2; in torch, so that it can differentiate."""
    first, bias1, second, bias2 = weights
    scores = second @ torch.tanh(first @ torch.from_numpy(x) + bias1) + bias2
    return -scores.log_softmax(0)[label]


weights = [torch.from_numpy(weight.copy()).requires_grad_() for weight in (W1, b1, W2, b2)]
by_torch = torch.autograd.grad(loss_of(weights), weights)

nudge = 1e-5
nudged = [[weight.clone().detach() for weight in weights] for _ in range(2)]
nudged[0][0][0, 1] += nudge
nudged[1][0][0, 1] -= nudge
by_nudging = (loss_of(nudged[0]) - loss_of(nudged[1])).item() / (2 * nudge)

logits, inputs = numpy_mlp.forward(x[None], [W1, b1, W2, b2], "tanh")
_, d_logits = numpy_mlp.cross_entropy(logits, np.array([label]))
_, by_package = numpy_mlp.backward(d_logits, inputs, [W1, b1, W2, b2], "tanh")

print(f"dW1[0, 1] by hand {dW1[0, 1]:.8f}, by nudging {by_nudging:.8f}")
for name, mine, torchs, packages in zip(
    ("dW1", "db1", "dW2", "db2"), (dW1, db1, dW2, db2), by_torch, by_package, strict=True
):
    far = max(np.abs(mine - torchs.numpy()).max(), np.abs(mine - packages).max())
    print(f"{name}: largest difference of hand, torch and package {far:.0e}")

# %% [markdown]
# ## Downhill
# The gradient points uphill, so the weights take a step against it: *w ← w - learning rate · dw*. That is **gradient
# descent**. Here is the loss of our one point over two of the weights, as a map.
#
# *Look at how both paths cross the lines of equal loss at right angles, straight downhill. The same number of steps
# leads further with a larger learning rate. Where the lines lie far apart, the slope is small and so are the steps.*

# %%
grid = np.linspace(-2, 2, 41)


def loss_at(first, second):
    """The loss with other values of W1[0, 0] and W2[1, 0]."""
    changed = [weight.clone().detach() for weight in weights]
    changed[0][0, 0], changed[2][1, 0] = float(first), float(second)
    changed = [weight.requires_grad_() for weight in changed]
    value = loss_of(changed)
    slopes = torch.autograd.grad(value, changed)
    return value.item(), slopes[0][0, 0].item(), slopes[2][1, 0].item()


surface = np.array([[loss_at(first, second)[0] for first in grid] for second in grid])
figure, axis = plt.subplots(figsize=(4.8, 3.9), layout="constrained")
lines = axis.contourf(grid, grid, surface, levels=20, cmap="viridis")
figure.colorbar(lines, ax=axis, label="loss")
for rate, colour in ((0.3, "white"), (2.0, "C1")):
    path = [(1.0, 1.9)]
    for _ in range(12):
        _, slope1, slope2 = loss_at(*path[-1])
        path.append((path[-1][0] - rate * slope1, path[-1][1] - rate * slope2))
    axis.plot(*zip(*path, strict=True), "o-", color=colour, markersize=3, label=f"learning rate {rate}")
axis.set(
    xlabel="W1[0, 0]", ylabel="W2[1, 0]", xlim=(-2, 2), ylim=(-2, 2), title="twelve steps downhill", aspect="equal"
)
axis.legend(fontsize=8, facecolor="0.3", labelcolor="white")
plt.show()

# %% [markdown]
# ## Points in two classes
# Now real training: points on two half circles that interlock. No straight line separates them. Lightning's `Trainer`
# does the loop; `style` says how the net is written. **numpy** uses the gradients that were written by hand, **module**
# leaves them to torch. From the same start they should do the same.

# %%
seed_everything(0, verbose=False)
moons = TabularDataModule(points=ShapeConfig("moons", size=60 if SMALL else 600, noise=0.15), batch_size=32)


def train(style="module", hidden_sizes=(16, 16), activation="tanh", rate=0.05, epochs=30, data=moons, callbacks=()):
    """A trained net, and the Trainer with its measurements."""
    seed_everything(0, verbose=False)
    net = MLPConfig(list(hidden_sizes), activation)
    optim = OptimConfig(learning_rate=rate, optimizer="sgd", momentum=0.9)
    module = MLPClassifier(data.feature_names, data.class_names, style, net, optim)
    trainer = Trainer(
        max_epochs=1 if SMALL else epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=CSVLogger("runs/notebooks", name="perceptron"),
        log_every_n_steps=1 if SMALL else 4,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    return module, trainer


curves = {}
for style in ("numpy", "module"):
    _, trainer = train(style, epochs=15)
    curves[style] = np.array(read_metrics(Path(trainer.log_dir) / "metrics.csv")["train/loss"])
far = np.abs(curves["numpy"] - curves["module"])[:, 1].max()
print(f"largest difference of the two losses at any step: {far:.1e}")
figure, axis = plt.subplots(figsize=(5.4, 2.4), layout="constrained")
axis.plot(*curves["numpy"].T, linewidth=5, color="0.8", label="gradients by hand (numpy)")
axis.plot(*curves["module"].T, linewidth=1, label="gradients by torch (module)")
axis.set(xlabel="training step", ylabel="loss in training")
axis.legend()
plt.show()

# %% [markdown]
# ## Watching the border
# `DecisionBoundary` is a callback that draws what the net thinks of every point of the plane, and the line where it is
# undecided.
#
# *Follow the frames: the line is nearly straight first, for the weights are small and tanh is nearly straight near
# zero. Then it bends.*

# %%
module, trainer = train(epochs=40, callbacks=[DecisionBoundary(resolution=20 if SMALL else 80, animate=False)])
Image.open(Path(trainer.log_dir) / "plots" / "boundary_over_training.png")

# %% [markdown]
# What is the hidden layer good for, and the activation? Four nets with the same training.
#
# *Look at the shape of the border. Without a hidden layer it is a straight line, whatever the training. A few units
# suffice to bend it here. ReLU, which is zero below zero and straight above, draws it in straight pieces.*

# %%
figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.5), layout="constrained")
for axis, (name, settings) in zip(
    axes,
    {
        "no hidden layer": {"hidden_sizes": ()},
        "four units": {"hidden_sizes": (4,), "rate": 0.1},
        "16 and 16, tanh": {},
        "16 and 16, ReLU": {"activation": "relu"},
    }.items(),
    strict=True,
):
    module, trainer = train(**settings)
    (measured,) = trainer.test(module, datamodule=moons, verbose=False)
    draw(axis, probabilities(module, extent_of(moons), 20 if SMALL else 80), moons, "test", size=8)
    axis.set_title(f"{name}: {measured['test/accuracy']:.1%}")
plt.show()

# %% [markdown]
# ## The learning rate
# The one number that is most often wrong. *Look at the curves: too small, and it creeps; too large, and it jumps about
# or stays where guessing is (the dotted line).*

# %%
figure, axis = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
for rate in (0.0005, 0.05, 5.0):
    _, trainer = train(rate=rate, epochs=15)
    steps = read_metrics(Path(trainer.log_dir) / "metrics.csv")["train/loss"]
    axis.plot(*zip(*steps, strict=True), label=f"learning rate {rate}")
axis.axhline(np.log(2), color="grey", linestyle=":")
axis.set(xlabel="training step", ylabel="loss in training", yscale="log")
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %%
print(f"this notebook took {time.process_time() - started:.0f} seconds of processor time")

# %% [markdown]
# ## Exercises
# 1. Write the gradient for ReLU in place of tanh. Which line of the table changes?
# 2. Why does da have the factor 1 - h², and what happens to learning where |h| is nearly 1?
# 3. Start with all weights at zero. What are dW1 and dW2? Does it help to train longer?
# 4. Train on `ShapeConfig("spirals", noise=0.03)`, three spirals. How many hidden units do you need?
#
# <details><summary>Answers</summary>
#
# 1. The slope alone: da = dh where a is above zero, and 0 elsewhere. All other lines are products of matrices, which do
#    not know the activation.
# 2. It is the slope of tanh, by the chain rule. Where |h| is nearly 1 the slope is nearly 0: the unit is *saturated*,
#    hardly any gradient passes it, and it learns slowly.
# 3. With W2 = 0, dh is 0 and so is dW1; with h = 0, dW2 is 0. Only b2 moves. Equal weights stay equal for ever: the
#    start has to be random, to break the symmetry.
# 4. Two layers of 16 manage most of it, and 32 and 32 do better; without a hidden layer the plane is cut like a cake.
#
# </details>
#
# More: [perceptrons in four styles, measured](../results/mlp/README.md), [one recurrent step with every
# number](../lessons/recurrent_step.md).
