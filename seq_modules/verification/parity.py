"""Is a trained parity net right at every length? Proved, refuted by a string, or left open."""

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from seq_modules.base import SequenceModule
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.systems.parity import ParityModule
from seq_modules.verification.cells import ParityNet
from seq_modules.verification.certificate import Certificate, CertificateError
from seq_modules.verification.counterexample import by_runs, find_counterexample
from seq_modules.verification.finder import find_certificate
from seqlight.core.errors import UserError


@dataclass(frozen=True)
class Outcome:
    """What was found out about a net.

    Attributes:
        verdict: "proved": right at every length; "refuted": wrong on a string; "open": neither was found.
        certificate: Of the proof.
        counterexample: A string after whose last bit the answer is wrong.
        reason: Why the proof failed, where the verdict is "open".
        seconds: CPU time of the search.
    """

    verdict: Literal["proved", "refuted", "open"]
    certificate: Certificate | None = None
    counterexample: str | None = None
    reason: str | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        match self.verdict:
            case "proved":
                assert self.certificate is not None
                return f"proved: right after every bit of every string ({len(self.certificate.centres)} sets of states)"
            case "refuted":
                assert self.counterexample is not None
                length = len(self.counterexample)
                return f"refuted: wrong after bit {length} of {by_runs(self.counterexample)}"
        return f"open: {self.reason}; no wrong answer was found either"


def prove(module: ParityModule) -> Outcome:
    """Looks for a wrong answer, and without one for a proof, which the checker has then accepted.

    Raises:
        UserError: The net is of a shape that the proofs do not know.
    """
    net, start = parity_net(module), time.process_time()
    if (string := find_counterexample(module)) is not None:
        return Outcome("refuted", counterexample=string, seconds=time.process_time() - start)
    try:
        certificate = find_certificate(net)
    except CertificateError as error:
        return Outcome("open", reason=str(error), seconds=time.process_time() - start)
    return Outcome("proved", certificate, seconds=time.process_time() - start)


def parity_net(module: SequenceModule) -> ParityNet:
    """The weights of a parity system's net, as float64 arrays.

    Raises:
        UserError: It is no parity system, or its net has several layers, another nonlinearity or layer
            normalisation, or weights in half precision.
    """
    if not isinstance(module, ParityModule):
        raise UserError(f"prove: the checkpoint is of {type(module).__name__}; proofs are of ParityModule alone")
    net = module.net
    if not isinstance(net, Recurrent):
        raise UserError(f"prove: the cell must be rnn, lstm or gru, not {net.cell}")
    if net.num_layers != 1 or net.bidirectional or net.layer_norm or net.nonlinearity != "tanh":
        raise UserError(
            "prove: the net must have one layer in one direction, nonlinearity tanh and no layer_norm, not "
            f"num_layers {net.num_layers}, bidirectional {net.bidirectional}, nonlinearity {net.nonlinearity}, "
            f"layer_norm {net.layer_norm}"
        )
    weights = [*net.weights(0), module.head.weight, module.head.bias]
    if any(weight.dtype not in (torch.float32, torch.float64) for weight in weights):
        raise UserError(f"prove: the weights are {weights[0].dtype}; a proof needs float32 or float64")
    arrays: list[np.ndarray] = [weight.detach().cpu().double().numpy() for weight in weights]
    return ParityNet(net.cell, *arrays)
