"""Hashes of the word that is being written, alone and with the words before it, at each token of a text.

B batch, T time, V vocabulary, N contexts.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlight.core.errors import UserError

SHIFTS = (1, 2, 4, 8, 16)  # a maximum over all tokens within reach, in a form that ONNX has
REACH = 1 + sum(SHIFTS)  # tokens back to which a word, or the words before it, are looked for
FACTOR, BITS = 1000003, (1 << 31) - 1  # 31 bits times 31 bits stay inside 64 signed bits
SEPARATOR = 1  # what stands for all that lies between two words


def word_symbols(pieces: Sequence[str]) -> tuple[Tensor, Tensor]:
    """What each token adds to a word, and whether it begins one.

    A word is a run of tokens that begin with a letter or digit.

    Args:
        pieces: The text of each token of the vocabulary, (V,).

    Returns:
        Numbers (V,), above :data:`SEPARATOR`, equal for tokens that differ in case alone; 0 for tokens between words.
        Booleans (V,): true for a subword with a space before it, such as "▁the", which begins a word after another too.
    """
    lower = [piece.strip("\u2581 ").lower() for piece in pieces]
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(lower), SEPARATOR + 1)}
    symbols = [numbers[piece] if piece[:1].isalnum() else 0 for piece in lower]
    return torch.tensor(symbols, dtype=torch.int64), torch.tensor([piece[:1] in ("\u2581", " ") for piece in pieces])


class WordHashes(nn.Module):
    """Hash of the last words at each token, that token included; of what lies between two words, only that it is there.

    The hash is the polynomial Σ x_i F^(t - i) of the symbols x_i, modulo 2³¹. It comes for all positions at once from
    the sums of x_i F^(-i), as in :mod:`seq_modules.adaptation.contexts`. It does not depend on the position in the row.

    Args:
        vocab_size: V.
        words: For each context, how many whole words before the one that is being written, (N,).
        max_seq_len: Longest row, in tokens.

    Raises:
        UserError: A number is below 0 or occurs twice.
    """

    symbols: Tensor
    opens: Tensor
    powers: Tensor

    def __init__(self, vocab_size: int, words: Sequence[int], max_seq_len: int) -> None:
        super().__init__()
        if min(words) < 0 or len(set(words)) < len(words):
            raise UserError(f"words must be different and at least 0 each, not {list(words)}")
        self.words = tuple(words)
        self.register_buffer("symbols", torch.zeros(vocab_size, dtype=torch.int64))
        self.register_buffer("opens", torch.zeros(vocab_size, dtype=torch.bool))
        found = [powers(base, max_seq_len + 1) for base in (FACTOR, pow(FACTOR, -1, BITS + 1))]
        self.register_buffer("powers", torch.tensor(found), persistent=False)

    def set_pieces(self, pieces: Sequence[str]) -> None:
        """Takes the texts of the tokens, (V,); the state dict holds what follows from them.

        Raises:
            UserError: There are not V of them.
        """
        if len(pieces) != len(self.symbols):
            raise UserError(f"vocab_size {len(self.symbols)} is not the tokenizer's {len(pieces)}")
        symbols, opens = word_symbols(pieces)
        self.symbols.copy_(symbols)
        self.opens.copy_(opens)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Hashes (B, T, N) of ids (B, T), from 0 to 2³¹ - 1. Tokens before the last :data:`REACH` do not count."""
        steps = input_ids.shape[1]
        positions = torch.arange(steps, device=input_ids.device).expand_as(input_ids)
        symbols = self.symbols[input_ids]
        in_word = symbols > 0
        after_word = F.pad(in_word, (1, 0))[:, :-1]
        opening = in_word & (~after_word | self.opens[input_ids])
        symbols = torch.where(~in_word & after_word, SEPARATOR, symbols)
        exponents = F.pad((symbols > 0).long().cumsum(1), (1, 0))  # symbols before each position, (B, T + 1)
        sums = F.pad((symbols * self.powers[1][exponents[:, :-1]] & BITS).cumsum(1), (1, 0))
        factors = self.powers[0][exponents[:, 1:]]
        begun = torch.where(opening, positions, 0)  # where the last word up to here begins
        for shift in SHIFTS:
            begun = torch.maximum(begun, F.pad(begun, (shift, 0))[:, :steps])
        start, oldest = torch.where(in_word, begun, positions + 1), (positions + 1 - REACH).clamp(min=0)
        begun, found = F.pad(begun, (1, 0)), dict[int, Tensor]()  # by the position behind
        for count in range(max(self.words) + 1):
            begin = torch.maximum(start, oldest)
            h = (sums[:, 1:] - sums.gather(1, begin) & BITS) * factors & BITS
            found[count] = h + in_word & BITS
            start = begun.gather(1, start)
        return torch.stack([found[count] for count in self.words], dim=-1)


def powers(base: int, count: int) -> list[int]:
    """base^0 ... base^(count - 1) modulo 2³¹."""
    found = [1]
    for _ in range(count - 1):
        found.append(found[-1] * base & BITS)
    return found
