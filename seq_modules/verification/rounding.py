"""How far computed numbers may lie from exact ones: every assumption of a proof about arithmetic, in one place.

Two programs round. The net that is executed computes in float32. The proof computes its own bounds in float64. Errors
of both are added to every bound.

The float32 bounds are the standard ones (Higham 2002, Accuracy and Stability of Numerical Algorithms, 2.2 and 3.1): an
operation has a relative error of at most u = 2^-24, and a sum of n products one of at most n u / (1 - n u) times the
sum of absolute values, in any order of summation, with fused multiply-adds or without.
"""

UNIT_FLOAT32 = 2.0**-24  # u: largest relative error of one rounding to nearest
SMALLEST_FLOAT32 = 2.0**-126  # a result below it may lose digits, or become zero

# Assumed: an executed float32 tanh or sigmoid differs by at most this from the exact one. The largest difference that
# was found is in docs/results/parity/proofs/README.md.
ACTIVATION_ERROR = 2.0**-20

# Relative to the sum of absolute values, more than 2^12 float64 operations in a row can err. NumPy's float64 tanh is
# assumed to be right to 2^-42.
SLACK = 2.0**-40
TINY = 2.0**-400  # more than is lost where a float64 number, or its square, is too small


def float32_error(operations: int) -> float:
    """Relative error of so many float32 operations in a row, or of a sum of so many products."""
    return operations * UNIT_FLOAT32 / (1 - operations * UNIT_FLOAT32)
