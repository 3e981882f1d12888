"""What is made of checkpoints: the mean of several, and forms that other programs read (docs/tutorials/export.md)."""
