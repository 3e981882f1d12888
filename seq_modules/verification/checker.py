"""Checks a certificate. What it accepts is a theorem, wherever the certificate comes from.

**Theorem.** Let the certificate of a net be accepted. Then after every bit of every string, of any length, the net's
logit is positive if the number of ones so far is odd, and negative if it is even. This holds for the net in real
arithmetic, and for the net as it is executed in float32 under the assumptions of rounding.py.

**Proof.** Strings of at most T bits are followed one by one, and all logits have the right sign. After T bits the
state is in a set of the string's parity. A bit leads from a set into its successor, and the parity changes if and only
if the bit is 1. By induction the state is in a set of the right parity after every further bit, and on all of a set
the logit has the right sign.
"""

import numpy as np

from seq_modules.verification.cells import ParityNet
from seq_modules.verification.certificate import Certificate, CertificateError
from seq_modules.verification.ellipsoids import Array, Ellipsoids
from seq_modules.verification.inclusion import Targets

MAX_START_BITS = 14


def check(certificate: Certificate, net: ParityNet) -> None:
    """Accepts a certificate by returning.

    Args:
        certificate: Sets of states.
        net: The net that it is about.

    Raises:
        CertificateError: It proves nothing about the net; the message says which condition fails.
    """
    check_form(certificate, net)
    try:
        with np.errstate(all="ignore"):  # what is too large for float64 is inside nothing
            check_conditions(certificate, net)
    except np.linalg.LinAlgError as error:
        raise CertificateError(f"no bounds can be computed ({error})") from error


def check_conditions(certificate: Certificate, net: ParityNet) -> None:
    """Checks all but the form; arguments and errors of :func:`check`."""
    targets = Targets(certificate.centres, certificate.shapes, certificate.fraction)
    if not right_signs(net, targets.sets, certificate.odd).all():
        raise CertificateError("the logit may have the wrong sign on a set")
    for bit in (0, 1):
        successors = certificate.successors[:, bit]
        if (certificate.odd[successors] != certificate.odd ^ bool(bit)).any():
            raise CertificateError(f"a successor after {bit} has the wrong parity")
        inside = targets.inside(net.step(targets.sets, bit), successors)
        if not inside.all():
            raise CertificateError(f"{(~inside).sum()} of {len(inside)} sets may leave their successor after {bit}")
    states, odd = beginnings(net, certificate.start_bits)
    if (certificate.odd[certificate.start] != odd).any():
        raise CertificateError("a string begins in a set of the wrong parity")
    inside = targets.inside(states, certificate.start)
    if not inside.all():
        raise CertificateError(
            f"{(~inside).sum()} of {len(inside)} strings of {certificate.start_bits} bits lead to no set"
        )


def beginnings(net: ParityNet, length: int) -> tuple[Ellipsoids, Array]:
    """The states after all strings of so many bits, and which have an odd number of ones, (2^length,) each.

    Raises:
        CertificateError: The logit may have the wrong sign after one of the bits.
    """
    states, odd = Ellipsoids.points(np.zeros((1, net.state_size))), np.zeros(1, dtype=bool)
    for step in range(1, length + 1):
        zero, one = (net.step(states, bit) for bit in (0, 1))
        states = Ellipsoids(
            alternating(zero.centre, one.centre),
            alternating(zero.generators, one.generators),
            alternating(zero.radius, one.radius),
        )
        odd = alternating(odd, ~odd)
        if not right_signs(net, states, odd).all():
            raise CertificateError(f"the logit may have the wrong sign after a string of {step} bits")
    return states, odd


def right_signs(net: ParityNet, states: Ellipsoids, odd: Array) -> Array:
    """Whether the logit has the right sign on all of each set, (B,) booleans."""
    low, high = net.logits(states)
    return np.where(odd, low > 0, high < 0)


def check_form(certificate: Certificate, net: ParityNet) -> None:
    """Compares the arrays with each other and with the net."""
    if not 1 <= certificate.start_bits <= MAX_START_BITS:
        raise CertificateError(f"start_bits must be from 1 to {MAX_START_BITS}, not {certificate.start_bits}")
    if not 0 < certificate.fraction <= 1:
        raise CertificateError(f"fraction must be above 0 and at most 1, not {certificate.fraction}")
    count, width = len(certificate.centres), net.state_size
    shapes = {
        "centres": (count, width),
        "shapes": (count, width, width),
        "odd": (count,),
        "successors": (count, 2),
        "start": (2**certificate.start_bits,),
    }
    for name, shape in shapes.items():
        value = getattr(certificate, name)
        if value.shape != shape:
            raise CertificateError(f"{name} must be {shape} for this net, not {value.shape}")
        if not np.isfinite(value).all():
            raise CertificateError(f"{name} holds a number that is not finite")
    if not (np.diagonal(certificate.shapes, axis1=1, axis2=2) > 0).all() or np.triu(certificate.shapes, 1).any():
        raise CertificateError("shapes must be lower triangles with a positive diagonal")
    for name in ("successors", "start"):
        if ((getattr(certificate, name) < 0) | (getattr(certificate, name) >= count)).any():
            raise CertificateError(f"{name} names a set that does not exist")


def alternating(zero: Array, one: Array) -> Array:
    """Rows 2 k and 2 k + 1 are row k of the two: what follows the k-th string and a 0, and a 1."""
    return np.stack([zero, one], 1).reshape(2 * len(zero), *zero.shape[1:])
