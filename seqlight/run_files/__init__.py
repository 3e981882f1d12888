"""The files of a run: written whole, or left as they were, with one line about what went wrong."""
