"""The perceptron and the loss of `reference/numpy_mlp.py` as functions that torch can differentiate through."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from seq_modules.nets.mlp.mlp_config import Activation
from seq_modules.nets.mlp.parameter_mlp import initial_weights
from seq_modules.nets.rnn.numpy_bridge import to_numpy, to_torch
from seq_modules.reference import numpy_mlp


class NumpyMLP(nn.Module):
    """A multi-layer perceptron whose forward and backward passes run in NumPy, on the CPU.

    Args:
        sizes: Widths of the input, of the hidden layers and of the output.
        activation: Nonlinearity after each layer but the last.
    """

    def __init__(self, sizes: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.weights = initial_weights(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D)."""
        return NumpyLayers.apply(self.activation, x, *self.weights)


class NumpyLayers(Function):
    """All layers; backward gives the hand-written gradients."""

    @staticmethod
    def forward(ctx: Any, activation: str, x: Tensor, *weights: Tensor) -> Tensor:
        arrays = [to_numpy(weight, x.dtype) for weight in weights]
        logits, ctx.inputs = numpy_mlp.forward(to_numpy(x, x.dtype), arrays, activation)
        ctx.activation, ctx.weights, ctx.like = activation, arrays, [(t.device, t.dtype) for t in (x, *weights)]
        return to_torch(logits, x.device, x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_logits: Tensor) -> tuple[Tensor | None, ...]:
        d_x, grads = numpy_mlp.backward(to_numpy(d_logits, d_logits.dtype), ctx.inputs, ctx.weights, ctx.activation)
        return None, *(to_torch(array, *like) for array, like in zip((d_x, *grads), ctx.like, strict=True))


class NumpyCrossEntropy(Function):
    """The cross-entropy, summed over rows."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        loss_sum, d_logits = numpy_mlp.cross_entropy(to_numpy(logits, logits.dtype), labels.cpu().numpy())
        ctx.d_logits = to_torch(d_logits, logits.device, logits.dtype)
        return logits.new_tensor(loss_sum)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor, None]:
        return d_loss * ctx.d_logits, None


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits (B, C) and classes (B,) in nats, summed over rows; in NumPy."""
    return NumpyCrossEntropy.apply(logits, labels)
