"""Pieces of music as plain notes: where they come from and how they are read and written. Nothing here is Lightning."""
