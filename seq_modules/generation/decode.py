"""Continues prompts token by token.

B rows, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.generation.beam import BeamScorer, beam_search
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.loop import SamplerOutput, decode
from seq_modules.generation.sampling import check_not_nan, sample, seen_ids, suppress_, uniform_blocks
from seq_modules.generation.speculative.decoding import generate_speculatively
from seq_modules.generation.speculative.drafter import NgramDrafter
from seq_modules.generation.state import device_of, new_state
from seqlight.core.errors import UserError


def generate(
    net: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    sample_ids: Sequence[int] | None = None,
    cached: bool = True,
    stop: Callable[[int, list[int]], bool] | None = None,
    on_token: Callable[[int, int], None] | None = None,
    eos_id: int | None = None,
    followers: dict[int, int] | None = None,
) -> list[list[int]]:
    """Continuations of prompts, in evaluation mode and without gradients.

    What is drawn for a row depends on ``decoding.seed`` and the row's number alone, not on its batch. Where
    ``decoding.beams`` is above 1 it is the best hypothesis of beam search, and ``stop`` is called for others too.
    With ``decoding.num_speculative_tokens`` the tokens are the same, and rows go on at different paces.

    Args:
        net: A :class:`seq_modules.generation.state.Net`.
        prompts: Ids to continue, of any lengths, none of them empty.
        decoding: How tokens are chosen, and how many.
        sample_ids: Number of each prompt, which with the seed selects its random numbers; by default 0, 1, 2 ...
        cached: Carry the net's state from token to token. False reads the whole window again for each token, which
            gives the same tokens and is slow; nothing is guessed then.
        stop: Called with a prompt's index in ``prompts`` and its new ids after each of them. The prompt ends where it
            returns true, and neither function is called for it again.
        on_token: Called with a prompt's index and its next token, as soon as it is chosen, before ``stop``. Beam search
            knows its tokens at the end: it is then called for each prompt's tokens, one prompt after the other.
        eos_id: The end-of-sequence token; a prompt ends with it. None: there is none.
        followers: For speculative decoding, the tokens that follow n-grams in a text like that to be written, of
            :func:`seq_modules.generation.speculative.drafter.common_followers`. By default tokens are guessed from
            the rows alone; ``decoding.draft_text`` is for callers with a tokenizer.

    Returns:
        The new ids of each prompt, with the one at which it ended.

    Raises:
        UserError: A prompt is empty, ``sample_ids`` has another length, the net's logits are not numbers, or it has no
            beam search or no speculative decoding.
    """
    sample_ids = resolve_sample_ids(prompts, sample_ids, "token")
    decoding.check_unused(("n_best", "max_source_ratio"), "texts that are continued")
    if not prompts:
        return []
    with evaluating(net), torch.no_grad():
        if decoding.num_speculative_tokens and cached:
            drafter = NgramDrafter(followers)
            return generate_speculatively(net, prompts, decoding, sample_ids, drafter, stop, on_token, eos_id)
        state = new_state(net, prompts, cached)
        if decoding.beams > 1:
            found = beam_search(state, BeamScorer(prompts, decoding, eos_id=eos_id, stop=stop))
            new = [hypotheses[0].ids for hypotheses in found]
            for prompt_index, token in ((prompt_index, token) for prompt_index, ids in enumerate(new) for token in ids):
                if on_token is not None:
                    on_token(prompt_index, token)
            return new
        sampler = TokenSampler(prompts, decoding, sample_ids, device_of(net), eos_id)
        return decode(state, sampler, len(prompts), decoding.max_new_tokens, stop, on_token)


class TokenSampler:
    """Chooses a token of each row's logits.

    Args:
        prompts: Ids of each row, for the repetition penalty.
        decoding: How tokens are chosen.
        sample_ids: Number of each row, which with the seed selects its random numbers.
        device: Where the logits are.
        eos_id: The token that ends a row.
        suppressed: Tokens that are never chosen.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        sample_ids: Sequence[int],
        device: torch.device,
        eos_id: int | None = None,
        suppressed: Sequence[int] = (),
    ) -> None:
        self.prompts, self.decoding, self.eos_id, self.suppressed = prompts, decoding, eos_id, suppressed
        self.uniforms = uniform_blocks(decoding, sample_ids, 1, device)
        self.seen: Tensor | None = None  # (B, V)
        self.kept: Tensor | None = None  # numbers of the prompts that are still continued, (B,); None: all

    def __call__(self, logits: Tensor) -> SamplerOutput[int]:
        """The next token of each row, of logits (B, V), of which those of suppressed tokens are overwritten."""
        check_not_nan(logits)
        return self.sample(logits)

    def sample(self, logits: Tensor) -> SamplerOutput[int]:
        """As a call, of logits that are numbers."""
        suppress_(logits, self.suppressed)
        if self.seen is None and self.decoding.repetition_penalty != 1:
            self.seen = seen_ids(self.prompts, logits.shape[1], logits.device)
        uniforms = None if self.decoding.greedy else next(self.uniforms)[0]
        if uniforms is not None and self.kept is not None:
            uniforms = uniforms[self.kept]
        ids = sample(logits, self.decoding, uniforms, self.seen)
        if self.seen is not None:
            self.seen.scatter_(1, ids[:, None], True)
        tokens = ids.tolist()
        return SamplerOutput(ids, tokens, [token == self.eos_id for token in tokens])

    def keep(self, rows: Tensor) -> None:
        """Drops all rows but some, (B',)."""
        self.kept = rows if self.kept is None else self.kept[rows]
        self.seen = None if self.seen is None else self.seen[rows]


def resolve_sample_ids(prompts: Sequence[Sequence[Any]], sample_ids: Sequence[int] | None, item: str) -> Sequence[int]:
    """The prompts' numbers for sampling, after a check of the arguments; ``item`` is what a prompt consists of."""
    for prompt_index, prompt in enumerate(prompts):
        if not len(prompt):
            raise UserError(f"prompts: number {prompt_index} is empty; give it at least one {item} to continue")
    if sample_ids is not None and len(sample_ids) != len(prompts):
        raise UserError(f"sample_ids must number every prompt: {len(sample_ids)} numbers for {len(prompts)} prompts")
    return range(len(prompts)) if sample_ids is None else sample_ids


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every submodule is in its own mode again."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
