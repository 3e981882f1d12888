"""Speculative decoding: several tokens of a row from one step of the net, the same as one at a time.

A step of a small batch mostly waits for the net's weights to come from memory, so several tokens of a row take little
longer than one. A drafter guesses a row's next tokens, the net reads them all at once, and its logits say which token
would have been chosen after each. As long as that is the guessed one, the next logits hold too. The first wrong guess
is replaced by the chosen token, and the net forgets what it has read from there on.

Every token is chosen of the same logits and by the same random number as without guesses. So the text is the same, up
to the rounding of the logits, whatever the drafter proposes. In the terms of Leviathan et al. 2023 and Chen et al. 2023
a guess is a distribution of one point: it is accepted with the net's probability of it, and otherwise the token comes
from the net's distribution over the other tokens, renormalised.

B rows, T tokens read at once, V vocabulary.
"""

from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.sampling import check_not_nan, sample, seen_ids, uniforms, wide
from seq_modules.generation.speculative.drafter import NgramDrafter
from seq_modules.generation.state import Verifies, device_of, padded
from seqlight.core.errors import UserError


class Row:
    """A prompt and its continuation.

    Args:
        prompt_index: Its index in the prompts.
        prompt: Its ids.
        sample_id: Its number, which with the seed selects its random numbers.
        decoding: The settings.

    Attributes:
        ids: The prompt and the new ids; the net reads the last of them at its next step.
        new: The new ids.
        draft: Guesses of the next ids, which the net reads too.
        num_to_discard: How many of the tokens that the net has read it must forget.
        ended: Whether the row has come to its end.
    """

    def __init__(self, prompt_index: int, prompt: Sequence[int], sample_id: int, decoding: Decoding) -> None:
        self.prompt_index, self.limit, self.ended = prompt_index, decoding.max_new_tokens, False
        self.ids, self.new, self.draft, self.num_to_discard = list(prompt), list[int](), list[int](), 0
        self._stream, self._drawn = uniforms(decoding.seed, sample_id), list[float]()

    def draws(self, count: int) -> list[float]:
        """The random numbers of the next ``count`` tokens."""
        self._drawn += islice(self._stream, max(0, count - len(self._drawn)))
        return self._drawn[:count]

    def take(self, chosen: Sequence[int], ends: Callable[["Row", int], bool]) -> None:
        """Adds tokens up to the first that was not guessed, or to the row's end. A row that has ended stays as it is.

        Args:
            chosen: The tokens that are chosen after the last id and after each guess, perhaps followed by others.
            ends: Called with the row and each token that was added; the row ends where it returns true.
        """
        right = 0  # guesses that came true
        while not self.ended:
            token = chosen[right]
            self.ids.append(token)
            self.new.append(token)
            self.ended = ends(self, token) or len(self.new) == self.limit
            if self.draft[right : right + 1] != [token]:
                break
            right += 1
        del self._drawn[: right + 1]
        self.num_to_discard = 1 + len(self.draft) if self.ended else len(self.draft) - right


def generate_speculatively(
    net: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    sample_ids: Sequence[int],
    drafter: NgramDrafter,
    stop: Callable[[int, list[int]], bool] | None = None,
    on_token: Callable[[int, int], None] | None = None,
    eos_id: int | None = None,
) -> list[list[int]]:
    """The new ids of each prompt; arguments as for :func:`seq_modules.generation.decode.generate`.

    Each row goes on at its own pace. Rows that have ended leave the batch as soon as they are half of it.

    Raises:
        UserError: The net cannot read several tokens at once and forget them, or its logits are not numbers.
    """
    if not isinstance(net, Verifies):
        raise UserError(
            f"decoding.num_speculative_tokens {decoding.num_speculative_tokens} is for Transformers, and "
            f"{type(net).__name__} cannot forget what it has read; leave it out"
        )

    def ends(row: Row, token: int) -> bool:
        if on_token is not None:
            on_token(row.prompt_index, token)
        return token == eos_id or (stop is not None and stop(row.prompt_index, row.new))

    device = device_of(net)
    rows = [Row(index, *prompt, decoding) for index, prompt in enumerate(zip(prompts, sample_ids, strict=True))]
    batch = rows
    last, state = net.prefill(*padded(prompts, device))
    logits = last[:, None]  # (B, V) -> (B, 1, V)
    while True:
        for row, chosen in zip(batch, chosen_tokens(logits, batch, decoding), strict=True):
            row.take(chosen, ends)
        going_on = [index for index, row in enumerate(batch) if not row.ended]
        if not going_on:
            return [row.new for row in rows]
        state = net.crop([row.num_to_discard for row in batch], state)
        if 2 * len(going_on) <= len(batch):
            state = net.reorder(state, torch.tensor(going_on, device=device))
            batch = [batch[index] for index in going_on]
        for row, free_slots in zip(batch, net.free_slots(state), strict=True):
            most = min(decoding.num_speculative_tokens, free_slots - 1, row.limit - len(row.new) - 1)
            row.draft = [] if row.ended else drafter.draft(row.prompt_index, row.ids, most)
        read = [[row.ids[-1], *row.draft] for row in batch]
        width = max(map(len, read))
        ids = torch.tensor([[*tokens, *tokens[-1:] * (width - len(tokens))] for tokens in read], device=device)
        logits, state = net.extend(ids, [len(tokens) for tokens in read], state)


def chosen_tokens(logits: Tensor, rows: Sequence[Row], decoding: Decoding) -> list[list[int]]:
    """For each row the tokens that are chosen of its logits (B, T, V), T of them.

    Those behind a row's guesses, and those behind a wrong guess, mean nothing.
    """
    check_not_nan(logits)
    steps, vocab_size = logits.shape[1:]
    draws = seen = None
    if not decoding.greedy:
        draws = torch.tensor([row.draws(steps) for row in rows], dtype=wide(logits), device=logits.device).flatten()
    if decoding.repetition_penalty != 1:
        texts = [[*row.ids, *row.draft[:step]] for row in rows for step in range(steps)]
        seen = seen_ids(texts, vocab_size, logits.device)
    return sample(logits.flatten(0, 1), decoding, draws, seen).view(-1, steps).tolist()
