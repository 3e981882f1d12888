"""Continues prompts with a model that has adapted to each of them.

B rows, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.adaptation.adaptive_model import AdaptiveModel
from seq_modules.generation.decode import TokenSampler, resolve_sample_ids
from seq_modules.generation.decoding_config import NO_BEAMS, NO_DRAFTS, Decoding
from seq_modules.generation.loop import decode
from seq_modules.generation.state import device_of

Item = TypeVar("Item")
Result = TypeVar("Result")


class AdaptedState:
    """One row: the prompt, which is learned from, and what follows, which is not.

    Args:
        model: What reads the prompt.
        prompt: Its ids.
        device: Where logits are wanted.
    """

    def __init__(self, model: AdaptiveModel, prompt: Sequence[int], device: torch.device) -> None:
        self.model, self.ids, self.device = model, np.array(prompt, dtype=np.int64), device

    def start(self) -> Tensor:
        """Reads the prompt, and learns from it. Log-probabilities (1, V) after it."""
        self.model.read(self.ids)
        return self._output()

    def append(self, ids: Tensor) -> Tensor:
        """Reads one more token, (1,). Log-probabilities (1, V) after it."""
        self.ids = np.append(self.ids, int(ids))
        return self._output()

    def reorder(self, rows: Tensor) -> None:
        """One row stays where it is."""

    def _output(self) -> Tensor:
        return torch.from_numpy(self.model.after(self.ids)).to(self.device)[None]


def generate_adapted(
    net: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    adaptation: Adaptation,
    pieces: Sequence[str],
    sample_ids: Sequence[int] | None = None,
    stop: Callable[[int, list[int]], bool] | None = None,
    on_token: Callable[[int, int], None] | None = None,
    followers: None = None,
) -> list[list[int]]:
    """As :func:`seq_modules.generation.decode.generate`, prompt by prompt, each read by an :class:`AdaptiveModel`.

    Args:
        net: The net, whose weights are as before at the end.
        prompts: Ids to continue, none of them empty.
        decoding: How tokens are chosen; without beam search and guesses.
        adaptation: What learns from a prompt.
        pieces: The text of each token of the vocabulary, (V,).
        sample_ids: Number of each prompt, which with the seed selects its random numbers; by default 0, 1, 2 ...
        stop: Called with a prompt's index and its new ids; the prompt ends where it returns true.
        on_token: Called with a prompt's index and its next token.
        followers: Not used; for the same arguments as ``generate``.

    Raises:
        UserError: A prompt is empty, or a setting of the decoding is for beam search or speculative decoding.
    """
    decoding.check_unused((*NO_BEAMS, *NO_DRAFTS), "texts that are continued with --adapt")
    found, device = [], device_of(net)

    def for_prompt(index: int, call: Callable[[int, Item], Result] | None) -> Callable[[int, Item], Result] | None:
        """The caller's function, with the prompt's index instead of the row 0."""
        return None if call is None else lambda _, item: call(index, item)

    sample_ids = resolve_sample_ids(prompts, sample_ids, "token")
    for index, (prompt, sample_id) in enumerate(zip(prompts, sample_ids, strict=True)):
        model = AdaptiveModel(net, pieces, adaptation)
        with model.reading():
            state, sampler = AdaptedState(model, prompt, device), TokenSampler([prompt], decoding, [sample_id], device)
            limit = decoding.max_new_tokens
            found += decode(state, sampler, 1, limit, for_prompt(index, stop), for_prompt(index, on_token))
    return found
