"""Dynamic evaluation (Krause et al. 2018): a net takes a gradient step for each segment of a text, after scoring it.

The step is Adam's: one rate then serves nets of any form, since it does not depend on the size of their gradients.

T tokens of a window, S of a segment, V vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.generation.decode import evaluating
from seqlight.core.errors import UserError


class DynamicEvaluation:
    """A net that reads a text segment by segment, with weights of its own for what it has read.

    Args:
        net: Gives logits (1, T, V) of ids (1, T).
        learning_rate: Of one step of Adam on the segment's mean loss; 0 takes none.
    """

    def __init__(self, net: nn.Module, learning_rate: float) -> None:
        self.net, self.learning_rate = net, learning_rate
        self.parameters = [weight for weight in net.parameters() if weight.requires_grad] if learning_rate else []
        self._optimizer: torch.optim.Optimizer | None = None  # while a text is read
        self._log_probs: Tensor | None = None
        self._has_learned = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While a text is read: evaluation mode, and gradients. The weights are as before at the end."""
        before = [weight.detach().clone() for weight in self.parameters]
        try:
            with torch.inference_mode(False), torch.set_grad_enabled(bool(self.parameters)), evaluating(self.net):
                if self.parameters:
                    self._optimizer = torch.optim.Adam(self.parameters, lr=self.learning_rate)
                yield
        finally:
            with torch.no_grad():
                for weight, value in zip(self.parameters, before, strict=True):
                    weight.copy_(value)
                    weight.grad = None
            self._optimizer = self._log_probs = None
            self._has_learned = False

    def score(self, window: Tensor, size: int) -> Tensor:
        """Log-probabilities (S, V) of each token of a segment.

        Args:
            window: The ids before each of the segment's tokens, (T,): what the net reads.
            size: S, at the window's end.

        Raises:
            UserError: The steps so far have made the net's output NaN.
        """
        self._log_probs = self.net(window[None])[0, -size:].float().log_softmax(-1)
        if self._has_learned and self._log_probs.isnan().any():
            raise UserError(
                f"adapt.learning_rate {self.learning_rate}: the model's output became NaN while it learned from the "
                "text; give a lower --adapt.learning_rate"
            )
        return self._log_probs.detach()

    def learn(self, tokens: Tensor) -> None:
        """Takes a step for the tokens (S,) of the segment that was scored last."""
        if self._optimizer is None or self._log_probs is None:
            return
        self._optimizer.zero_grad()
        F.nll_loss(self._log_probs, tokens).backward()
        self._optimizer.step()
        self._log_probs, self._has_learned = None, True
