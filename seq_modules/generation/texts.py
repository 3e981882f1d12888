"""Continuations and log-probabilities of texts, with a net and the tokenizer of its data."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from seq_modules.generation.decode import evaluating, generate
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.scoring import log_prob_sums
from seq_modules.generation.speculative.drafter import common_followers
from seqlight.core.encodings import decoded
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

START = "\n"  # context of a text that is scored: the beginning of a line


def continuations(
    net: nn.Module,
    tokenizer: Any,
    prompts: Sequence[str],
    prompt_ids: Sequence[list[int]],
    decoding: Decoding,
    sample_ids: Sequence[int] | None = None,
    stop: Sequence[str] | None = None,
    on_text: Callable[[int, str], None] | None = None,
    write: Callable[..., list[list[int]]] = generate,
) -> list[str]:
    """The text that follows each prompt.

    Args:
        net: A :class:`seq_modules.generation.state.Net`.
        tokenizer: What makes the texts of ids.
        prompts: Texts to continue.
        prompt_ids: Their ids, none of them empty.
        decoding: How tokens are chosen.
        sample_ids: Number of each prompt, which with the seed selects its random numbers; by default 0, 1, 2 ...
        stop: End a continuation before the first of these strings.
        on_text: Called with a prompt's number and its text so far, after each token.
        write: What continues ids; it takes the arguments of :func:`seq_modules.generation.decode.generate`.
    """
    sample_ids = range(len(prompts)) if sample_ids is None else sample_ids
    new: list[list[int]] = [[] for _ in prompts]

    def on_token(prompt_index: int, token: int) -> None:
        new[prompt_index].append(token)
        assert on_text is not None
        on_text(sample_ids[prompt_index], text_of(prompt_index, new[prompt_index]))

    def has_ended(prompt_index: int, ids: list[int]) -> bool:
        text = tokenizer.continuation(prompts[prompt_index], ids)
        return any(end in text for end in stop or [])

    def text_of(prompt_index: int, ids: list[int]) -> str:
        return cut(tokenizer.continuation(prompts[prompt_index], ids), stop)

    draft_text = decoding.draft_text
    found = write(
        net,
        prompt_ids,
        decoding,
        sample_ids=sample_ids,
        stop=has_ended if stop else None,
        on_token=on_token if on_text else None,
        followers=None if draft_text is None else followers_in(draft_text, tokenizer),
    )
    return [text_of(prompt_index, ids) for prompt_index, ids in enumerate(found)]


@lru_cache(maxsize=1)
def followers_in(path: str, tokenizer: Any) -> dict[int, int]:
    """What follows the n-grams of a file of text, which is read once for all prompts.

    Raises:
        UserError: There is no such file, or it is not text.
    """
    try:
        text = decoded(expanded(path).read_bytes())
    except UnicodeDecodeError as error:
        raise UserError(f"decoding.draft_text {path}: byte {error.start} is not UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise UserError(
            f"decoding.draft_text {path}: {error.strerror}; give a file of text, or leave it out"
        ) from error
    return common_followers(torch.tensor(tokenizer.encode_array(text), dtype=torch.long))


def cut(text: str, stop: Sequence[str] | None) -> str:
    """The text before the first of the stop strings."""
    return text[: min([text.find(end) for end in stop or [] if end in text], default=len(text))]


@torch.no_grad()
def log_probs(system: Any, tokenizer: Any, texts: Sequence[str], batch_tokens: int) -> list[tuple[float, int]]:
    """What ``LanguageModel.score`` returns, for a system with a ``net`` and the tokenizer of its data."""
    start = tokenizer.encode(START)
    rows = [start + tokenizer.encode(text) for text in texts]
    with evaluating(system):
        sums = log_prob_sums(system, system.net.window, rows, len(start), batch_tokens, system.device)
    return [(total, len(ids) - len(start)) for total, ids in zip(sums, rows, strict=True)]
