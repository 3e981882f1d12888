"""Linear-chain conditional random field (Lafferty, McCallum & Pereira 2001), as taggers have it on top of a net.

    score(x, y) = start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_{t-1}, y_t] + end[y_T]
    p(y | x) = exp score(x, y) / Z,  Z = sum over all label sequences of exp score

B sentences, T words, C labels. Masks are (B, T), true at the words, which stand at the beginning of each row; each row
has at least one.
"""

import torch
from torch import Tensor, nn

FORBIDDEN = -1e4  # nats: its exponential is 0 in every precision, and no infinity enters a gradient


class LinearChainCRF(nn.Module):
    """Scores of neighbouring labels, the likelihood of label sequences, and the likeliest of them.

    Args:
        num_labels: C.
        forbidden: Transitions that have no probability, (C, C) booleans, from a label (row) to the next. Default: none.
        forbidden_start: Labels that begin no sentence, (C,) booleans. Default: none.
    """

    transition_penalty: Tensor
    start_penalty: Tensor

    def __init__(self, num_labels: int, forbidden: Tensor | None = None, forbidden_start: Tensor | None = None) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(num_labels, num_labels).uniform_(-0.1, 0.1))
        self.start = nn.Parameter(torch.empty(num_labels).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(num_labels).uniform_(-0.1, 0.1))
        for name, where in (("transition_penalty", forbidden), ("start_penalty", forbidden_start)):
            shape = self.transitions.shape if name == "transition_penalty" else self.start.shape
            penalty = torch.zeros(shape) if where is None else where.float() * FORBIDDEN
            self.register_buffer(name, penalty, persistent=False)

    def chain(self, emissions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of starts (C,), transitions (C, C) and ends (C,), in the emissions' precision."""
        start, transitions = self.start + self.start_penalty, self.transitions + self.transition_penalty
        return start.to(emissions.dtype), transitions.to(emissions.dtype), self.end.to(emissions.dtype)

    def log_likelihood(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """log p(labels | emissions), (B,), in nats.

        Args:
            emissions: (B, T, C).
            labels: (B, T); any number at padding.
            mask: (B, T).
        """
        return self.score(emissions, labels, mask) - self.log_partition(emissions, mask)

    def score(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """The score of label sequences, (B,)."""
        start, transitions, end = self.chain(emissions)
        labels = labels.where(mask, 0)
        at_words = emissions.gather(2, labels[:, :, None]).squeeze(2)  # (B, T)
        between = transitions[labels[:, :-1], labels[:, 1:]]  # (B, T - 1)
        last = labels.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)  # (B,)
        inner = (at_words * mask).sum(1) + (between * mask[:, 1:]).sum(1)
        return start[labels[:, 0]] + inner + end[last]

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """log Z, (B,), by the forward algorithm."""
        return (self.forward_scores(emissions, mask)[-1] + self.chain(emissions)[2]).logsumexp(1)

    def forward_scores(self, emissions: Tensor, mask: Tensor) -> list[Tensor]:
        """log of the sum over all beginnings that end in each label, (B, C) at each word.

        At padding it is that of the row's last word.
        """
        start, transitions, _ = self.chain(emissions)
        scores = [start + emissions[:, 0]]
        for t in range(1, emissions.shape[1]):
            following = (scores[-1][:, :, None] + transitions).logsumexp(1) + emissions[:, t]  # (B, C, C) -> (B, C)
            scores.append(torch.where(mask[:, t, None], following, scores[-1]))
        return scores

    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """p(label of the word | emissions), (B, T, C), by the forward-backward algorithm; at padding of no meaning."""
        _, transitions, end = self.chain(emissions)
        before = self.forward_scores(emissions, mask)
        after = end.expand(len(emissions), -1)  # log of the sum over all continuations, (B, C), from the last word back
        found = [before[-1] + after]
        for t in range(emissions.shape[1] - 1, 0, -1):
            continued = (transitions + (emissions[:, t] + after)[:, None, :]).logsumexp(2)  # (B, C, C) -> (B, C)
            after = torch.where(mask[:, t, None], continued, after)
            found.append(before[t - 1] + after)
        return torch.stack(found[::-1], dim=1).softmax(-1)

    def viterbi(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The likeliest label sequences, (B, T), 0 at padding (Viterbi 1967)."""
        start, transitions, end = self.chain(emissions)
        scores, pointers = start + emissions[:, 0], []
        for t in range(1, emissions.shape[1]):
            best, previous = (scores[:, :, None] + transitions).max(1)  # (B, C)
            scores = torch.where(mask[:, t, None], best + emissions[:, t], scores)
            pointers.append(previous)
        label = (scores + end).argmax(1)  # (B,), of each row's last word
        path = [label]
        for t in range(emissions.shape[1] - 1, 0, -1):
            back = pointers[t - 1].gather(1, label[:, None]).squeeze(1)
            label = torch.where(mask[:, t], back, label)
            path.append(label)
        return torch.stack(path[::-1], dim=1).where(mask, 0)
