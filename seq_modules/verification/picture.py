"""The sets of a certificate in a plane."""

from pathlib import Path

import numpy as np

from seq_modules.verification.cells import ParityNet
from seq_modules.verification.certificate import Certificate
from seqlight.core.plots import new_figure


def draw(certificate: Certificate, net: ParityNet, path: Path) -> None:
    """Draws the sets' shadows: across, the logit; upwards, the direction in which the centres differ most besides."""
    across = np.zeros(net.state_size)
    across[: net.hidden_size] = net.head[0]
    unit = across / np.linalg.norm(across)
    centred = certificate.centres - certificate.centres.mean(0)
    upwards = np.linalg.svd(centred - np.outer(centred @ unit, unit), full_matrices=False)[2][0]
    plane = np.stack([across, upwards])  # (2, N)
    angles = np.linspace(0, 2 * np.pi, 65)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    figure, (axis,) = new_figure(height=4.5)
    for centre, shape, odd in zip(certificate.centres, certificate.shapes, certificate.odd, strict=True):
        axes, lengths, _ = np.linalg.svd(plane @ shape, full_matrices=False)
        x, y = (plane @ centre)[:, None] + (axes * lengths) @ circle
        axis.fill(x + net.head_bias[0], y, alpha=0.4, color="C1" if odd else "C0")
    axis.axvline(0, color="grey", linestyle=":")
    for colour, name in (("C0", "even"), ("C1", "odd")):
        axis.fill([], [], color=colour, alpha=0.4, label=name)
    axis.set(xlabel="logit of odd", ylabel="main direction of the states besides")
    axis.set_title(f"{len(certificate.centres)} sets of states that no bit leaves")
    axis.legend()
    figure.savefig(path, dpi=120)
