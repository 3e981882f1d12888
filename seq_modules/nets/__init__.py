"""Plain torch.nn networks: no Lightning, no data."""
