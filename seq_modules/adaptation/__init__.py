"""Adaptive evaluation: a language model that learns from a text while it reads it, each token scored first."""
