"""Metrics of predicted tokens, beside a loss that may be another than their likelihood."""

from torch import Tensor

from seq_modules.training.metrics.means import Fraction, Perplexity


class TokenPerplexity(Perplexity):
    """exp of the mean negative log-likelihood (nats), which the loss is not where labels are smoothed."""

    def update(self, nll_sum: Tensor, num_targets: Tensor) -> None:
        """Takes a batch's sum of negative log-likelihoods and its number of targets, both scalars."""
        super().update(nll_sum, num_targets)


class TokenAccuracy(Fraction):
    """Fraction of the targets that are the likeliest token, given the true ones before it."""

    def update(self, num_right: Tensor, num_targets: Tensor) -> None:
        """Takes how many of a batch's targets are right, and how many there are, both scalars."""
        self.right += num_right
        self.total += num_targets
