"""Checkpoint files as they are read: what a file holds is known, bounded and of the right kind before it is used."""
