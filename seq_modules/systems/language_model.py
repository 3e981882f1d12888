"""Language models: the next token, from those before it. What GPT and the recurrent nets share."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.base import Step
from seq_modules.generation.decode import evaluating, generate
from seq_modules.generation.sampling import Decoding
from seq_modules.systems.turns import TurnTaking
from seq_modules.training.metrics import BitsPerCharacter, Perplexity
from seqlight.core.labels import IGNORED

START = "\n"  # what a text that is scored stands after: the beginning of a line


class LanguageModel(TurnTaking):
    """Base of the language models: loss, generation and scoring with any net that predicts the next token.

    A subclass assigns ``net`` (ids (B, T) -> logits (B, T, V), with the ``prefill``, ``decode_step`` and ``window`` of
    seq_modules/generation/decode.py).

    Args:
        training: The arguments of SequenceModule, from ``learning_rate`` on.
    """

    net: nn.Module
    fused_adamw = True

    def __init__(self, **training: Any) -> None:
        super().__init__({"perplexity": Perplexity(), "bits_per_character": BitsPerCharacter()}, **training)
        self.decoding = Decoding()  # the command line's --decoding
        self.on_text: Callable[[int, str], None] | None = None  # is told a prediction's text as it grows

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits of the next token at every step, (B, T, V), from ids (B, T)."""
        return self.net(input_ids)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the labels that count."""
        labels = batch["labels"]
        logits = self(batch["input_ids"])
        loss_sum = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
        items = (labels != IGNORED).sum()
        characters = batch["characters"].sum() if "characters" in batch else items
        return Step(loss_sum, items, {"characters": characters})

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a prompt: its text and how the model goes on."""
        ids = [row[:length].tolist() for row, length in zip(batch["input_ids"], batch["lengths"].tolist(), strict=True)]
        indices = batch["index"].tolist()
        texts = self.continuations(ids, indices, stop=batch.get("stop"))
        return [
            {"index": index, "prompt": prompt, "continuation": text}
            for index, prompt, text in zip(indices, batch["prompts"], texts, strict=True)
        ]

    def generate(
        self, prompts: Sequence[str], decoding: Decoding | None = None, stop: list[str] | None = None
    ) -> list[str]:
        """Continuations of texts.

        Args:
            prompts: Texts to go on from, none of them empty.
            decoding: How to choose tokens; by default as ``self.decoding`` says.
            stop: End a continuation before the first of these strings.

        Raises:
            ValueError: There is no tokenizer, or a prompt is empty.
        """
        ids = [self.required_tokenizer().encode(prompt) for prompt in prompts]
        return self.continuations(ids, list(range(len(ids))), decoding, stop)

    def continuations(
        self,
        prompts: list[list[int]],
        rows: list[int],
        decoding: Decoding | None = None,
        stop: list[str] | None = None,
    ) -> list[str]:
        """As :meth:`generate`, for prompts in ids; a row's number and the seed alone decide what is drawn for it."""
        tokenizer = self.required_tokenizer()
        grown: list[list[int]] = [[] for _ in prompts]

        def on_token(row: int, token: int) -> None:
            grown[row].append(token)
            assert self.on_text is not None
            self.on_text(rows[row], cut(tokenizer.decode(grown[row]), stop))

        def is_over(row: int, ids: list[int]) -> bool:
            text = tokenizer.decode(ids)
            return any(end in text for end in stop or [])

        new = generate(
            self.net,
            prompts,
            decoding or self.decoding,
            rows=rows,
            stop=is_over if stop else None,
            on_token=on_token if self.on_text else None,
        )
        return [cut(tokenizer.decode(ids), stop) for ids in new]

    @torch.no_grad()
    def score(self, texts: Sequence[str], batch_tokens: int = 16384) -> list[tuple[float, int]]:
        """Log-probability of each text at the beginning of a line, its first token included.

        In evaluation mode; texts of like length go through the net together.

        Args:
            texts: Any number of texts, none of them empty.
            batch_tokens: Tokens of a batch, padding included.

        Returns:
            For each text the sum of the log-probabilities of its tokens, in nats, and their number.
        """
        tokenizer = self.required_tokenizer()
        start = tokenizer.encode(START)
        rows = [start + tokenizer.encode(text) for text in texts]
        sums = [0.0] * len(rows)
        pieces = [piece for row in range(len(rows)) for piece in windows(self.net, rows[row], len(start), row)]
        pieces.sort(key=lambda piece: -len(piece[1]))
        with evaluating(self):
            while pieces:
                count = max(1, batch_tokens // len(pieces[0][1]))
                batch, pieces = pieces[:count], pieces[count:]
                scores = self._log_prob_sums([(ids, counted) for _, ids, counted in batch])
                for (row, _, _), value in zip(batch, scores, strict=True):
                    sums[row] += value
        return [(total, len(ids) - len(start)) for total, ids in zip(sums, rows, strict=True)]

    def _log_prob_sums(self, batch: list[tuple[list[int], int]]) -> list[float]:
        """Sum of log p of the last n tokens of each row of ids, the longest row first."""
        width = len(batch[0][0])
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        labels = torch.full((len(batch), width - 1), IGNORED)
        for at, (row, counted) in enumerate(batch):
            ids[at, : len(row)] = torch.tensor(row)
            labels[at, len(row) - 1 - counted : len(row) - 1] = torch.tensor(row[len(row) - counted :])
        ids, labels = ids.to(self.device), labels.to(self.device)
        losses = F.cross_entropy(self(ids[:, :-1]).mT.float(), labels, ignore_index=IGNORED, reduction="none")  # (B, T)
        return (-losses.double().sum(1)).tolist()


def cut(text: str, stop: list[str] | None) -> str:
    """The text before the first of the stop strings."""
    return text[: min([text.find(end) for end in stop or [] if end in text], default=len(text))]


def windows(net: Any, ids: list[int], first: int, row: int) -> list[tuple[int, list[int], int]]:
    """How a row of ids is scored by a net that sees a window: ``(row, ids, counted)``, the last ``counted`` judged.

    Every token from the ``first`` on is judged once, with the context that generation would give it.
    """
    if len(net.window(ids[:-1])) == len(ids) - 1:
        return [(row, ids, len(ids) - first)] if len(ids) > first else []
    found: list[tuple[int, list[int], int]] = []
    for at in range(first, len(ids)):
        begin = at - len(net.window(ids[:at]))
        if found and at - 1 - len(net.window(ids[: at - 1])) == begin and found[-1][2]:
            found[-1] = (row, ids[begin : at + 1], found[-1][2] + 1)
        else:
            found.append((row, ids[begin : at + 1], 1))
    return found
