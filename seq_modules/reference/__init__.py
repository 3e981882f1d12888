"""NumPy implementations with hand-written gradients."""
