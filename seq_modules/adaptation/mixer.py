"""Mixes the probabilities of several models by weights that are learned token by token.

Geometric mixing (Mattern 2012), which for two symbols is PAQ's logistic mixing: from the log-probabilities l (M, V) of
M models, p = softmax(w l). The gradient of the loss -ln p(x) is E_p[l] - l(x), (M,), and each step goes against it.

Weights are kept apart for each value of a selector, such as the token before. Several selectors make S mixtures, which
are mixed in the same way once more.

M models, S selectors, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


class Mixer:
    """Mixes M models. Before anything is learned, the mixture is the first of them.

    Args:
        num_models: M.
        sizes: Number of values of each selector, (S,).
        learning_rate: Of the weights.
        final_rate: Learning rate of the weights of the S mixtures.
    """

    def __init__(self, num_models: int, sizes: Sequence[int], learning_rate: float, final_rate: float = 0.002) -> None:
        self.offsets = np.cumsum([0, *sizes[:-1]])
        self.weights = np.zeros((sum(sizes), num_models), np.float32)
        self.weights[:, 0] = 1
        self.final = np.full(len(sizes), 1 / len(sizes), np.float32)
        self.learning_rate, self.final_rate = np.float32(learning_rate), np.float32(final_rate)

    def mix(self, log_probs: Array, selected: Sequence[int]) -> Array:
        """Log-probabilities (V,) of the mixture.

        Args:
            log_probs: Of the models, (M, V).
            selected: The value of each selector, (S,).
        """
        self._rows, self._inputs = self.offsets + selected, log_probs
        self._mixtures = log_softmax(self.weights[self._rows] @ log_probs)  # (S, V)
        self._mixed = log_softmax(self.final @ self._mixtures)
        return self._mixed

    def learn(self, token: int) -> None:
        """Takes a step for the token that came after the last :meth:`mix`."""
        mixtures, inputs = self._mixtures, self._inputs
        self.final += self.final_rate * (mixtures[:, token] - mixtures @ np.exp(self._mixed))
        self.weights[self._rows] += self.learning_rate * (inputs[:, token] - np.exp(mixtures) @ inputs.T)


def log_softmax(z: Array) -> Array:
    """Log-probabilities (..., V) of logits (..., V)."""
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))
