"""The certificate of a proof: sets of states, each with an answer, and where each bit leads from each of them.

The sets are the states of an automaton. If a step with a bit maps every set into the set where the automaton goes, and
the logit has the right sign on all of each set, then the net is right at every length (checker.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seq_modules.verification.ellipsoids import Array

FORMAT = "seqlight parity certificate 2"


class CertificateError(ValueError):
    """A certificate that proves nothing; the message says why."""


@dataclass(frozen=True)
class Certificate:
    """K ellipsoids {m + P e : ‖e‖₂ ≤ 1} of states in N coordinates.

    Attributes:
        centres: m, (K, N).
        shapes: P, (K, N, N), lower triangles with a positive diagonal.
        odd: Whether the strings that lead to a set have an odd number of ones, (K,) booleans.
        successors: The set after a 0 and after a 1, (K, 2) integers.
        start_bits: T: from the T-th bit on every state lies in a set.
        start: The set after each of the 2^T strings of T bits, in the order of the binary numbers that they are,
            (2^T,) integers.
        fraction: Largest sum of the weights of all but the generators by which inclusions are shown (inclusion.py),
            above 0 and at most 1.
    """

    centres: Array
    shapes: Array
    odd: Array
    successors: Array
    start_bits: int
    start: Array
    fraction: float

    def save(self, path: Path) -> None:
        """Writes it as JSON, the shapes as the rows of their triangles."""
        triangles = [[row[: i + 1].tolist() for i, row in enumerate(shape)] for shape in self.shapes]
        content = {
            "format": FORMAT,
            "fraction": self.fraction,
            "start_bits": self.start_bits,
            "start": self.start.tolist(),
            "odd": self.odd.tolist(),
            "successors": self.successors.tolist(),
            "centres": self.centres.tolist(),
            "shapes": triangles,
        }
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Certificate":
        """Reads what :meth:`save` wrote.

        Raises:
            CertificateError: It is none of this program's certificates.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise CertificateError(f"{path}: its format is {content['format']!r}, not {FORMAT!r}")
            centres = np.array(content["centres"], dtype=np.float64)
            shapes = np.zeros((*centres.shape, centres.shape[1]))
            for shape, rows in zip(shapes, content["shapes"], strict=True):
                for i, row in enumerate(rows):
                    shape[i, : i + 1] = row
            return cls(
                centres,
                shapes,
                np.array(content["odd"], dtype=bool),
                np.array(content["successors"], dtype=np.int64),
                int(content["start_bits"]),
                np.array(content["start"], dtype=np.int64),
                float(content["fraction"]),
            )
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, CertificateError):
                raise
            raise CertificateError(f"{path}: not a certificate ({type(error).__name__}: {error})") from error
