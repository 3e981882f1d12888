"""Metrics that torchmetrics does not have, as sums that are exact over batches and ranks."""
