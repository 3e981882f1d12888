"""The checker accepts proofs and refuses everything else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.parity_nets import two_units

from seq_modules.verification.cells import ParityNet
from seq_modules.verification.certificate import FORMAT, Certificate, CertificateError
from seq_modules.verification.checker import check
from seq_modules.verification.finder import find_certificate
from seq_modules.verification.parity import parity_net

Change = Callable[[Certificate], Certificate]


@pytest.fixture(scope="module")
def net() -> ParityNet:
    return parity_net(two_units("rnn"))


@pytest.fixture(scope="module")
def certificate(net: ParityNet) -> Certificate:
    return find_certificate(net)


def changed(**changes: Callable[[Certificate], object]) -> Change:
    return lambda held: dataclasses.replace(held, **{name: change(held) for name, change in changes.items()})


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_net_that_knows_parity_is_proved(cell: str, tmp_path: Path) -> None:
    net = parity_net(two_units(cell))
    find_certificate(net).save(tmp_path / "certificate.json")
    check(Certificate.load(tmp_path / "certificate.json"), net)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed(centres=lambda c: c.centres + 0.3), "wrong sign|may leave|lead to no set"),
        (changed(shapes=lambda c: c.shapes * 0.01), "may leave their successor|lead to no set"),
        (changed(shapes=lambda c: c.shapes * 1e7), "wrong sign"),
        (changed(shapes=lambda c: c.shapes * 0), "positive diagonal"),
        (changed(shapes=lambda c: c.shapes * float("nan")), "not finite"),
        (changed(shapes=lambda c: c.shapes * 1e200), "wrong sign|no bounds"),
        (changed(odd=lambda c: ~c.odd), "wrong sign"),
        (changed(odd=lambda c: np.roll(c.odd, 1)), "wrong sign"),
        (changed(successors=lambda c: c.successors[:, ::-1]), "wrong parity"),
        (changed(successors=lambda c: np.roll(c.successors, 1, 0)), "wrong parity|may leave"),
        (changed(successors=lambda c: c.successors + 100), "does not exist"),
        (changed(successors=lambda c: c.successors - 100), "does not exist"),
        (changed(start=lambda c: c.start[::-1]), "wrong parity|lead to no set"),
        (changed(start=lambda c: c.start[:-1]), "start must be"),
        (changed(start_bits=lambda c: 0, start=lambda c: c.start[:1]), "start_bits must be"),
        (changed(centres=lambda c: c.centres[:, :1]), "centres must be"),
    ],
)
def test_a_changed_certificate_is_refused(
    net: ParityNet, certificate: Certificate, change: Change, reason: str
) -> None:
    check(certificate, net)
    with pytest.raises(CertificateError, match=reason):
        check(change(certificate), net)


def test_a_certificate_of_another_net_is_refused(net: ParityNet, certificate: Certificate) -> None:
    for wrong in (
        dataclasses.replace(net, head=-net.head),
        dataclasses.replace(net, head_bias=net.head_bias + 20),
        dataclasses.replace(net, w_hh=net.w_hh * 0.1),
        dataclasses.replace(net, w_ih=-net.w_ih),
        dataclasses.replace(net, b_hh=net.b_hh + 3),
        parity_net(two_units("lstm")),
    ):
        with pytest.raises(CertificateError):
            check(certificate, wrong)


def test_a_net_that_is_right_only_for_some_steps_is_refused(net: ParityNet, certificate: Certificate) -> None:
    """A gain at which the state still flips, but fades in a long run of zeros."""
    for gain in (0.45, 0.6):
        forgetful = parity_net(two_units("rnn", gain))
        with pytest.raises(CertificateError):
            check(certificate, forgetful)
        with pytest.raises(CertificateError):
            find_certificate(forgetful)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', f'{{"format": "{FORMAT}"}}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "certificate.json").write_text(text)
    with pytest.raises(CertificateError, match=r"certificate\.json: "):
        Certificate.load(tmp_path / "certificate.json")
