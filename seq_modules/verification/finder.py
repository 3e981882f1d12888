"""Looks for a certificate. Nothing here has to be right: the checker decides.

There is a set for each parity and context (contexts.py). The sets are found by iteration: one that does not hold all
that is mapped into it is replaced by an ellipsoid around it, a little larger, until every image lies in its set.
"""

from dataclasses import dataclass

import numpy as np

from seq_modules.reference.numpy_rnn import CELLS
from seq_modules.verification.cells import ParityNet
from seq_modules.verification.certificate import Certificate, CertificateError
from seq_modules.verification.checker import beginnings, check, right_signs
from seq_modules.verification.contexts import Contexts
from seq_modules.verification.ellipsoids import Array, Ellipsoids
from seq_modules.verification.inclusion import Targets, weighted_terms


@dataclass(frozen=True)
class Try:
    """How to look for a certificate.

    Attributes:
        contexts: What each set stands for.
        fraction: As in Certificate; a small one suits nets that contract slowly.
        growth: Of an ellipsoid's squared axes beyond what it must hold.
        rounds: Of the iteration at the most.
    """

    contexts: Contexts
    fraction: float
    growth: float = 1.02
    rounds: int = 300


# The cheap ones first. A net without gates needs no contexts for runs; slow units drift for many steps.
TRIES = (
    Try(Contexts(3, 3), 1.0, 1.03),
    Try(Contexts(4, 40), 0.3),
    Try(Contexts(4, 160), 0.3, rounds=600),
)
EXTRA_BITS = 2  # beyond M that are followed one by one
SMALLEST = 1e-11  # squared axes at the least
LARGEST_DEVIATION = 30.0  # a set that grows beyond this is given up
PREFIX = 48  # random bits before a context, to find where its states lie
SAMPLES = 8  # strings for each context


def find_certificate(net: ParityNet) -> Certificate:
    """A certificate that the checker accepts.

    Raises:
        CertificateError: None was found; the message says why the last try failed.
    """
    reason = ""
    for how in TRIES:
        try:
            certificate = certificate_by(net, how)
            check(certificate, net)
        except CertificateError as error:
            reason = str(error)
        else:
            return certificate
    raise CertificateError(f"no proof was found ({reason})")


def certificate_by(net: ParityNet, how: Try) -> Certificate:
    """The certificate that one way leads to, which the checker has still to accept.

    Raises:
        CertificateError: The iteration does not end, or ends with sets on which the answer is not sure.
    """
    start_bits = how.contexts.memory + EXTRA_BITS
    states, _ = beginnings(net, start_bits)
    states = Ellipsoids(states.centre, np.zeros((len(states.centre), net.state_size, net.state_size)), states.radius)
    automaton = how.contexts.automaton()
    places = {key: place for place, key in enumerate(automaton)}
    successors = np.array([[places[after] for after in following] for following in automaton.values()])
    odd = np.array([key[0] for key in automaton])
    start = np.array([places[key] for key in how.contexts.start(start_bits)])
    entered = np.concatenate([*successors.T, start])  # the sets that images and beginnings are to lie in
    centres = typical_states(net, list(automaton))
    shapes = np.zeros((*centres.shape, net.state_size)) + 1e-4 * np.eye(net.state_size)
    # Two images of each set, filled in below, and the beginnings.
    images = joined_sets([Ellipsoids(centres, shapes, 0 * centres)] * 2 + [states])
    inside = np.zeros(len(entered), dtype=bool)
    changed = np.arange(len(odd))  # the sets that were replaced in the last round
    for _ in range(how.rounds):
        sets = Ellipsoids(centres[changed], shapes[changed], 0 * centres[changed])
        for bit in (0, 1):
            put(images, bit * len(odd) + changed, net.step(sets, bit))
        moved = np.zeros(len(odd), dtype=bool)
        moved[changed] = True
        tested = np.flatnonzero(np.concatenate([moved, moved, np.zeros(len(start), dtype=bool)]) | moved[entered])
        numbers, at = np.unique(entered[tested], return_inverse=True)
        inside[tested] = Targets(centres[numbers], shapes[numbers], how.fraction).inside(images.rows(tested), at)
        if inside.all():
            break
        changed = np.unique(entered[~inside])
        entering = np.flatnonzero(np.isin(entered, changed))
        centres[changed], squares = hulls(images.rows(entering), entered[entering], how.fraction)
        if not squares.max() < LARGEST_DEVIATION**2:
            raise CertificateError("the sets grow without end")
        shapes[changed] = np.linalg.cholesky(how.growth * squares + SMALLEST * np.eye(net.state_size))
    else:
        raise CertificateError(f"the sets still grow after {how.rounds} rounds")
    members = Ellipsoids(centres, shapes, 0 * centres)
    if not (sure := right_signs(net, members, odd)).all():
        raise CertificateError(f"the answer is not sure on {(~sure).sum()} of {len(sure)} sets")
    return Certificate(centres, shapes, odd, successors, start_bits, start, how.fraction)


def joined_sets(parts: list[Ellipsoids]) -> Ellipsoids:
    """Sets of one shape, one after the other."""
    return Ellipsoids(*(np.concatenate(same) for same in zip(*(vars(part).values() for part in parts), strict=True)))


def put(sets: Ellipsoids, rows: Array, new: Ellipsoids) -> None:
    """Replaces some of the sets."""
    sets.centre[rows], sets.generators[rows], sets.radius[rows] = new.centre, new.generators, new.radius


def hulls(images: Ellipsoids, entered: Array, fraction: float) -> tuple[Array, Array]:
    """For each set that is entered an ellipsoid that holds the images that enter it.

    Args:
        images: B sets.
        entered: The number of the set that each of them enters, (B,).
        fraction: See :func:`weighted_terms`.

    Returns:
        Centres (K, N), and squared shapes P Pᵀ, (K, N, N), of the K numbers in their order.
    """
    entered = np.unique(entered, return_inverse=True)[1]
    low, high = np.full((2, entered.max() + 1, images.centre.shape[1]), [[[np.inf]], [[-np.inf]]])
    np.minimum.at(low, entered, images.centre)
    np.maximum.at(high, entered, images.centre)
    centres = (low + high) / 2
    terms = weighted_terms(images, centres[entered], fraction)
    squares = terms @ terms.transpose(0, 2, 1)
    # The k-th image that enters a set, for all sets at once.
    order = np.argsort(entered, kind="stable")
    rank = np.arange(len(order)) - np.searchsorted(entered[order], entered[order])
    held = squares[order[rank == 0]]
    for k in range(1, rank.max() + 1):
        some = order[rank == k]
        held[entered[some]] = smallest_cover(held[entered[some]], squares[some])
    return centres, held


def smallest_cover(one: Array, other: Array) -> Array:
    """Squared ellipsoids, (B, N, N), of the smallest volume that hold two with the same centre.

    In coordinates where the first is the unit ball and the axes of the second are those of the coordinates, it is the
    larger of both along each axis.
    """
    root = np.linalg.cholesky(one + 1e-14 * np.eye(one.shape[1]))
    inverse = np.linalg.inv(root)
    squares, axes = np.linalg.eigh(inverse @ other @ inverse.transpose(0, 2, 1))
    axes = root @ axes
    return (axes * np.maximum(1, squares)[:, None]) @ axes.transpose(0, 2, 1)


def typical_states(net: ParityNet, keys: list[tuple[bool, str]]) -> Array:
    """The mean state of random strings of each parity and context, (K, N)."""
    generator = np.random.default_rng(0)
    length = PREFIX + max(len(context) for _, context in keys)
    bits = generator.integers(0, 2, (len(keys), SAMPLES, length))
    begin = np.zeros(len(keys), dtype=int)  # the step before which a string begins
    for row, (odd, context) in enumerate(keys):
        known = context.removeprefix("^")
        bits[row, :, length - len(known) :] = [int(bit) for bit in known]
        if context != known:
            begin[row] = length - len(known)
        else:
            bits[row, :, 0] ^= bits[row].sum(1) % 2 != odd
    step = CELLS["rnn_tanh" if net.cell == "rnn" else net.cell][0]
    flat, begins = bits.reshape(-1, length), np.repeat(begin, SAMPLES)
    states: tuple[Array, ...] = tuple(
        np.zeros((len(flat), net.hidden_size)) for _ in range(net.state_size // net.hidden_size)
    )
    for t, bit in enumerate(flat.T):
        states = tuple(np.where((begins == t)[:, None], 0.0, state) for state in states)
        x = (2.0 * bit - 1)[:, None] @ net.w_ih.T + net.b_ih
        states, _ = step(x, states[0] @ net.w_hh.T + net.b_hh, states)
    return np.concatenate(states, 1).reshape(len(keys), SAMPLES, -1).mean(1)
