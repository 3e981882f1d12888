"""A multi-layer perceptron in NumPy, with back-propagation written by hand (Rumelhart, Hinton & Williams 1986).

Letters
    B          rows
    L          layers, l from 1 to L
    h_0        the input, (B, D)
    W_l, b_l   weights (out, in) and bias (out,) of layer l, as in nn.Linear
    a_l        h_{l-1} W_lᵀ + b_l, (B, out)
    h_l        f(a_l), the hidden state of layer l, for l below L
    z          a_L, the logits, (B, C)
    p          softmax(z), the probabilities of the classes
    dv         derivative of the loss by v, in v's shape

The chain rule gives, from the last layer to the first:
    dz = p - y                            y has a 1 at each row's class and 0 elsewhere
    dW_l = da_lᵀ h_{l-1},  db_l = Σ_rows da_l
    dh_{l-1} = da_l W_l,   da_{l-1} = dh_{l-1} ⊙ f'(a_{l-1})
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seq_modules.reference.numpy_rnn import sigmoid

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


def relu(a: Array) -> Array:
    """max(0, a)."""
    return np.maximum(a, 0)


# Each activation f, and its slope f'(a) as a function of h = f(a).
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (relu, lambda h: (h > 0).astype(h.dtype)),
    "sigmoid": (sigmoid, lambda h: h * (1 - h)),
}


def forward(x: Array, weights: Sequence[Array], activation: str) -> tuple[Array, list[Array]]:
    """The logits, and what :func:`backward` needs.

    Args:
        x: Inputs, (B, D).
        weights: W1, b1, W2, b2, ...
        activation: "tanh", "relu" or "sigmoid".

    Returns:
        Logits (B, C), and the input of each layer: h_0, h_1, ..., h_{L-1}.
    """
    f, _ = ACTIVATIONS[activation]
    *hidden, (w_out, b_out) = zip(weights[::2], weights[1::2], strict=True)
    inputs = [x]
    for w, b in hidden:
        inputs.append(f(inputs[-1] @ w.T + b))
    return inputs[-1] @ w_out.T + b_out, inputs


def cross_entropy(logits: Array, labels: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Array, Array]:
    """The loss -log p of each row's class, summed over the rows, and its derivative by the logits.

    Args:
        logits: (B, C).
        labels: Classes from 0 on, (B,).

    Returns:
        The sum, a scalar array, and p - y, (B, C).
    """
    shifted = logits - logits.max(axis=1, keepdims=True)  # the same softmax, and exp cannot overflow
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    d_logits = np.exp(log_p)
    d_logits[rows, labels] -= 1
    return -log_p[rows, labels].sum(), d_logits


def backward(
    d_logits: Array, inputs: Sequence[Array], weights: Sequence[Array], activation: str
) -> tuple[Array, list[Array]]:
    """Derivatives by the input and by every weight.

    Args:
        d_logits: Derivative by the logits, (B, C).
        inputs: The input of each layer, from :func:`forward`.
        weights: W1, b1, W2, b2, ...
        activation: "tanh", "relu" or "sigmoid".

    Returns:
        dh_0 (B, D), and dW1, db1, dW2, db2, ...
    """
    _, slope = ACTIVATIONS[activation]
    grads: list[Array] = []
    da = d_logits
    for layer in reversed(range(len(inputs))):
        h, w = inputs[layer], weights[2 * layer]
        grads = [da.T @ h, da.sum(axis=0), *grads]
        dh = da @ w
        if layer:  # the input itself has no activation
            da = dh * slope(h)
    return dh, grads


def sgd_update(
    weight: Any, grad: Any, velocity: Any, learning_rate: float, momentum: float = 0.0, weight_decay: float = 0.0
) -> None:
    """One step of gradient descent with momentum (Polyak 1964), in place: v ← μ v + g + λ w;  w ← w - η v.

    Args:
        weight: w, an array or a tensor.
        grad: g, of the same shape.
        velocity: v, of the same shape; zeros before the first step.
        learning_rate: η.
        momentum: μ; 0 is plain gradient descent.
        weight_decay: λ.
    """
    velocity *= momentum
    velocity += grad + weight_decay * weight
    weight -= learning_rate * velocity
