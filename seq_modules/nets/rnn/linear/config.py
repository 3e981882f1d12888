"""What linear recurrences have beyond the shape of a recurrent net."""

from dataclasses import dataclass
from typing import Literal, get_args

from seqlight.core.hyperparameters import check_range

LinearCell = Literal["mingru", "minlstm", "diagonal", "deltanet"]
LINEAR_CELLS = get_args(LinearCell)


@dataclass(frozen=True)
class LinearConfig:
    """Options of the cells whose state enters linearly: mingru, minlstm, diagonal, deltanet.

    Attributes:
        negative_eigenvalues: Eigenvalues of the transition in [-1, 1]; false keeps them in [0, 1], as the papers of the
            cells have it. Parity needs negative ones (Grazzi et al. 2025, arXiv 2411.12537).
        residual: Each layer is x + cell(norm(x)), then x + feed_forward(norm(x)), as in the papers' language models.
            The inputs are first projected to the width H, and dropout applies to each branch. False stacks the cells
            alone.
        num_heads: Heads of deltanet; divides hidden_size.
        num_householder: Steps of the delta rule a token. The transition of deltanet is a product of so many generalised
            Householder matrices; two with negative eigenvalues make a rotation (Siems et al. 2025, arXiv 2502.10297).

    Raises:
        UserError: A value is out of its range.
    """

    negative_eigenvalues: bool = False
    residual: bool = False
    num_heads: int = 1
    num_householder: int = 1

    def __post_init__(self) -> None:
        check_range("LinearConfig.num_heads", self.num_heads, least=1)
        check_range("LinearConfig.num_householder", self.num_householder, least=1)
