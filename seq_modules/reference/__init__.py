"""Reference models without torch: n-grams, and recurrent cells in NumPy with hand-written gradients."""
