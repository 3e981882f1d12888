"""Proofs about trained nets: bounds that hold for whole sets of states, and certificates that can be checked."""
