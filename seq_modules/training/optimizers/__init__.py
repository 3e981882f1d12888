"""Optimisers of our own, and stochastic rounding in front of any optimiser."""
