"""A linear classifier of the n-grams of a text, scaled by their log-count ratios (Wang & Manning 2012, their NBSVM).

Which n-grams there are, and how many texts of each class have them, is counted once in the training texts. Where n_gc
texts of class c have the n-gram g, and α is added for smoothing, its log-count ratio is

    r_gc = log p_gc - mean over classes d of log p_gd        p_gc = (α + n_gc) / Σ_h (α + n_hc)

and the logit of class c is a sum over the different n-grams of a text, however often each is there:

    z_c = b_c + Σ_g r_gc · (β / m + w_gc / s)

    m, s: root mean squares over the training texts, of the sum and of the norm of a text's r

w and b are trained, from 0 on. With w = 0 all n-grams weigh the same: this is naive Bayes for classes of equal size,
but for a factor, which makes its logits of the size β whether texts are short or long. Weight decay draws the
classifier towards it, as Wang & Manning do by interpolation after training. Of two classes, z_1 - z_0 has their ratio,
r_g1 - r_g0 = log(p_g1 / p_g0).

B batch, T time, N orders (lengths of n-grams), V vocabulary, G n-grams, C classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.hashing.hashed_ngrams import hashes_by_order
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range

NONE = -1  # the key of no n-gram, in row 0 of the tables


@dataclass(frozen=True)
class NgramConfig:
    """Which n-grams count, and how they are scaled.

    Attributes:
        max_order: Longest n-grams: 1 for words, 2 for words and pairs, 3 for triples too.
        min_count: Number of training texts that must have an n-gram.
        smoothing: What is added to each count, α, above 0.
        naive_bayes: Root mean square of the logits before training, β, which are those of naive Bayes; weight decay
            draws the classifier there. 0 takes nothing from it.

    Raises:
        UserError: A value is out of its range.
    """

    max_order: int = 2
    min_count: int = 1
    smoothing: float = 1.0
    naive_bayes: float = 0.8

    def __post_init__(self) -> None:
        check_range("net.max_order", self.max_order, least=1, most=8)
        check_range("net.min_count", self.min_count, least=1)
        check_range("net.smoothing", self.smoothing, above=0)
        check_range("net.naive_bayes", self.naive_bayes, least=0)


class NgramNet(nn.Module):
    """Ids of a text to the logits of its classes.

    An n-gram's key is its tokens as the digits of one number, id + 1 each, to the base V + 1: two n-grams never share
    one. Row g of the tables belongs to ``keys[g]``; in row 0 stands what has no key, with the ratio 0. The tables are
    empty until :meth:`count` makes them or a state dict fills them.

    Args:
        vocab_size: V, at least 1.
        num_classes: C.
        config: Which n-grams count.
        num_ngrams: Rows beside row 0, for a state dict that is to be loaded.

    Attributes:
        keys: Keys of the n-grams in rising order, behind that of none, (1 + G,).
        ratios: r, (1 + G, C).
        norm: s, a scalar.
        naive_bayes_norm: m, a scalar.
        weight: w, (1 + G, C).
        bias: b, (C,).

    Raises:
        UserError: The keys of so long n-grams of so many tokens are more than 64-bit numbers hold.
    """

    keys: Tensor
    ratios: Tensor
    norm: Tensor
    naive_bayes_norm: Tensor

    def __init__(
        self, vocab_size: int, num_classes: int, config: NgramConfig | None = None, num_ngrams: int = 0
    ) -> None:
        super().__init__()
        check_range("vocab_size", vocab_size, least=1)
        self.config = NgramConfig() if config is None else config
        self.base, self.num_classes = vocab_size + 1, num_classes
        if self.base**self.config.max_order >= 2**63:
            raise UserError(
                f"net.max_order {self.config.max_order} is too long for n-grams of {vocab_size:,} tokens; give a "
                "smaller one, or a smaller --data.vocab_size"
            )
        for name in ("keys", "ratios", "norm", "naive_bayes_norm"):
            self.register_buffer(name, None)
        self.bias = nn.Parameter(torch.zeros(num_classes))
        self.norm, self.naive_bayes_norm = torch.ones(()), torch.ones(())
        self.resize(num_ngrams)

    def resize(self, num_ngrams: int) -> None:
        """Makes empty tables for G n-grams."""
        rows = num_ngrams + 1
        options: dict[str, Any] = {"dtype": self.bias.dtype, "device": self.bias.device}
        self.keys = torch.full((rows,), NONE, device=self.bias.device)
        self.ratios = torch.zeros(rows, self.num_classes, **options)
        self.weight = nn.Parameter(torch.zeros(rows, self.num_classes, **options))

    @property
    def is_counted(self) -> bool:
        """Whether there are n-grams in the tables."""
        return int(self.keys[-1]) != NONE

    def forward(self, input_ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Logits (B, C), in a list as other classifiers give them, from ids (B, T) and a mask (B, T) of booleans."""
        return [F.embedding_bag(self.rows(input_ids, mask), self.table(), mode="sum") + self.bias]

    def table(self) -> Tensor:
        """What each n-gram adds to the logits, (1 + G, C)."""
        return self.ratios * (self.config.naive_bayes / self.naive_bayes_norm + self.weight / self.norm)

    def rows(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Rows of the tables of a text's n-grams, (B, N·T): each once, 0 for the rest."""
        keys = self.different_keys(input_ids, mask)
        row = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[row] == keys, row, 0)

    def different_keys(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Keys of a text's n-grams in rising order, (B, N·T): each once, NONE for the rest."""
        orders = range(1, self.config.max_order + 1)
        by_order = hashes_by_order(input_ids, orders, lambda key, token, n: key + (token + 1) * self.base ** (n - 1))
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        kept = [by_order[order].masked_fill(~mask | (places < order - 1), NONE) for order in orders]
        keys = torch.cat(kept, 1).sort(1).values
        repeated = keys[:, 1:] == keys[:, :-1]
        return torch.cat((keys[:, :1], keys[:, 1:].masked_fill(repeated, NONE)), 1)

    @torch.no_grad()
    def count(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Counts the n-grams of labelled texts, and makes the tables with weights of 0.

        Args:
            batches: ``input_ids`` and ``attention_mask`` (B, T), and ``labels`` (B,), negative where unknown.

        Raises:
            UserError: No n-gram is in enough texts.
        """
        found, labels, sizes = [], [], []
        for batch in batches:
            known = batch["labels"] >= 0
            keys = self.different_keys(batch["input_ids"], batch["attention_mask"].bool())[known]
            found.append(keys[keys != NONE])
            labels.append(batch["labels"][known])
            sizes.append((keys != NONE).sum(1))
        keys, place = torch.cat(found).unique(return_inverse=True)
        num_texts = sum(map(len, labels))
        text = torch.arange(num_texts, device=keys.device).repeat_interleave(torch.cat(sizes))  # of each n-gram found
        of_class = place * self.num_classes + torch.cat(labels)[text]
        counts = torch.bincount(of_class, minlength=len(keys) * self.num_classes).view(-1, self.num_classes)  # (G, C)
        kept = counts.sum(1) >= self.config.min_count
        if not kept.any():
            raise UserError(f"net.min_count {self.config.min_count}: no n-gram is in so many texts; give a smaller one")
        ratios = log_count_ratios(counts[kept], self.config.smoothing)
        self.resize(len(ratios))
        self.keys[1:] = keys[kept]
        self.ratios[1:] = ratios
        squares = (counts[kept].sum(1, keepdim=True) * ratios.square()).sum()  # of all texts' n-grams, for each class
        self.norm.copy_((squares / (num_texts * self.num_classes)).sqrt().clamp(min=1e-6))
        every = torch.zeros_like(counts, dtype=ratios.dtype)  # 0 for an n-gram that does not count
        every[kept] = ratios
        sums = every.new_zeros(num_texts, self.num_classes).index_add_(0, text, every[place])
        self.naive_bayes_norm.copy_(sums.square().mean().sqrt().clamp(min=1e-6))

    @torch.no_grad()
    def votes(self) -> Tensor:
        """What each n-gram adds to the logit of each class, less the mean of what it adds to the others', (1 + G, C).

        Of two classes, that is what it adds to the log-odds.
        """
        table = self.table()
        return (self.num_classes * table - table.sum(1, keepdim=True)) / (self.num_classes - 1)

    def tokens(self, row: int) -> list[int]:
        """The ids of the n-gram of a row; of row 0 none."""
        key, ids = max(0, int(self.keys[row])), []
        while key:
            key, digit = divmod(key, self.base)
            ids.append(digit - 1)
        return ids[::-1]  # the last token is the lowest digit

    def token_logits(self) -> Tensor:
        """What each single token adds to the logits, (V, C); 0 for one that is no n-gram of the training texts."""
        ids = torch.arange(self.base - 1, device=self.keys.device)[:, None]
        return self.table()[self.rows(ids, torch.ones_like(ids, dtype=torch.bool)).amax(1)]


def log_count_ratios(counts: Tensor, smoothing: float) -> Tensor:
    """Log-count ratios of each n-gram for each class, (G, C) in float64, each row with the sum 0.

    Args:
        counts: Texts of each class that have the n-gram, (G, C).
        smoothing: What is added to each count.
    """
    smoothed = counts.double() + smoothing
    logs = (smoothed / smoothed.sum(0)).log()
    return logs - logs.mean(1, keepdim=True)
