"""The delta rule: a matrix state that is multiplied by generalised Householder matrices I - β k kᵀ.

    S_t = S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ  =  S_{t-1} + β_t (v_t - S_{t-1} k_t) k_tᵀ,    o_t = S_t q_t

The state is a memory of pairs: it holds v at the key k (Schlag et al. 2021; Yang et al. 2024, arXiv 2406.06484). With a
key of length one, the matrix has the eigenvalue 1 - β in the direction k and 1 in all others; β = 2 makes it a
reflection. With several such steps a token, the transition is a product of them (Siems et al. 2025, arXiv 2502.10297).

Letters
    T       tokens
    n       steps a token; a token reads out after its last
    P       independent states: rows of the batch times heads
    K, V    width of a key and of a value
    M       steps of a chunk, n times its tokens
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 32  # most tokens of a chunk


def loop(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor, seen: list[Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Step by step; what `chunked` is compared with.

    Args:
        q: Queries, (P, T, K).
        k: Keys of length one, (P, T, n, K).
        v: Values, (P, T, n, V).
        beta: Step sizes in [0, 2], (P, T, n).
        state: S before the first step, (P, V, K).
        seen: Takes S after each token, the tensor that the next one reads.

    Returns:
        Outputs (P, T, V), and S after the last step.
    """
    outputs = []
    for t in range(q.shape[1]):
        for j in range(k.shape[2]):
            key = k[:, t, j]
            error = v[:, t, j] - torch.einsum("pvk,pk->pv", state, key)
            state = state + torch.einsum("p,pv,pk->pvk", beta[:, t, j], error, key)
        outputs.append(torch.einsum("pvk,pk->pv", state, q[:, t]))
        if seen is not None:
            seen.append(state)
    return torch.stack(outputs, dim=1), state


def chunked(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The same in matrix products, chunk by chunk (Yang et al. 2024, section 3.2); arguments as for `loop`.

    Within a chunk that starts at S, the state after step i is S + Σ_{j<=i} d_j k_jᵀ with
    d_i = β_i (v_i - S k_i) - β_i Σ_{j<i} (k_i·k_j) d_j: a triangular system for all d of the chunk at once. Its right
    side is linear in S, so it is solved for all chunks in parallel, and only the products with S go chunk by chunk.
    """
    tokens, steps = q.shape[1], k.shape[2]
    size = math.ceil(tokens / math.ceil(tokens / CHUNK))  # tokens of a chunk, about as many in each
    missing = -tokens % size  # tokens with β = 0 leave the state as it is
    q = F.pad(q, (0, 0, 0, missing)).unflatten(1, (-1, size))  # (P, T, K) -> (P, chunks, tokens, K)
    k, v = (F.pad(part, (0, 0, 0, 0, 0, missing)).unflatten(1, (-1, size)).flatten(2, 3) for part in (k, v))
    beta = F.pad(beta, (0, 0, 0, missing)).unflatten(1, (-1, size)).flatten(2, 3).unsqueeze(-1)  # (P, chunks, M, 1)
    system = (beta * (k @ k.mT)).tril(-1)  # (P, chunks, M, M); ones on the diagonal are meant
    solved = torch.linalg.solve_triangular(system, beta * torch.cat((k, v), dim=-1), upper=False, unitriangular=True)
    of_state, of_values = solved.split([k.shape[-1], v.shape[-1]], dim=-1)  # d = of_values - of_state Sᵀ
    step = torch.arange(size * steps, device=q.device)
    done = step < steps * torch.arange(1, size + 1, device=q.device).unsqueeze(1)  # (tokens, M): when a token reads
    scores = (q @ k.mT).masked_fill(~done, 0)
    outputs = []
    for i in range(q.shape[1]):
        d = of_values[:, i] - of_state[:, i] @ state.mT  # (P, M, V)
        outputs.append(q[:, i] @ state.mT + scores[:, i] @ d)
        state = state + d.mT @ k[:, i]
    return torch.cat(outputs, dim=1)[:, :tokens], state
