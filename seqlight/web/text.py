"""The page of a language model: a text that it continues."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from datamodules.text.prompts import Prompts
from seq_modules import LanguageModel
from seq_modules.callbacks.text.attention_examples import AttentionPart, attention_examples
from seq_modules.callbacks.text.attention_maps import draw
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.sampling import warped
from seq_modules.generation.texts import continuations
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.errors import UserError
from seqlight.web import fragments
from seqlight.web.face import SAMPLING, Face, SliderField, TextField, decoding_of, growing
from seqlight.web.trained import Trained

SHOWN = 10  # likeliest tokens
DRAWN = 24  # last tokens of the prompt whose attention is drawn by layer and head
ALL = 1_000_000  # tokens; more than any prompt has


class TextFace(Face):
    """Continues a text, and shows what might have come next and where the model looked."""

    title = "A language model"
    hint = "Write how a text begins; the model goes on. The same seed gives the same text."
    button = "Continue"
    grows = True

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, LanguageModel)
        self.module, self.tokenizer = trained.module, required_tokenizer(trained.module)
        self.fields = {
            "prompt": TextField("the beginning of a text", "The ", lines=4),
            "length": SliderField("length in tokens", 200, 1, 1000, 1),
            **SAMPLING,
        }

    def answer(self, prompt: str = "", length: float = 200, **sampling: Any) -> Iterator[str]:
        """The text as it grows; then the probabilities of the first new token, and the attention over the prompt."""
        if not prompt:
            raise UserError("the text is empty; write at least one character")
        (ids,) = Prompts([prompt], self.tokenizer).ids
        decoding = decoding_of(sampling, length)

        def work(report: Callable[[str], None]) -> None:
            arguments = (self.module.net, self.tokenizer, [prompt], [ids], decoding)
            continuations(*arguments, on_text=lambda _, new: report(fragments.text(prompt, new)))

        shown = ""
        for shown in growing(work):
            yield shown
        yield shown + self._next_tokens(ids, decoding) + self._attention(prompt)

    def _next_tokens(self, ids: list[int], decoding: Decoding) -> str:
        found = next_tokens(self.module, ids, decoding, SHOWN)
        rows = [(fragments.visible(piece), chance) for piece, chance in found]
        return fragments.title("What may come after the prompt, as it is drawn from") + fragments.bars(rows)

    def _attention(self, prompt: str) -> str:
        parts = [part for example in attention_examples(self.module, [prompt], ALL) for part in example.parts]
        found = ""
        for part in parts:
            weights = part.weights[:, :, -1].mean((0, 1)).tolist()
            last = AttentionPart(
                part.name, part.queries[-DRAWN:], part.keys[-DRAWN:], part.weights[..., -DRAWN:, -DRAWN:]
            )
            found += fragments.title("Where the prompt's last token looks (mean of all layers and heads)")
            found += fragments.marks([fragments.visible(key) for key in part.keys], weights)
            drawn = fragments.picture(draw(last), "attention weights by layer and head", dpi=110)
            found += fragments.folded(f"by layer and head, of the last {len(last.keys)} tokens", fragments.wide(drawn))
        return found


@torch.inference_mode()
def next_tokens(module: LanguageModel, ids: list[int], decoding: Decoding, count: int) -> list[tuple[str, float]]:
    """The likeliest next tokens with the probabilities that they are drawn with, the likeliest first.

    With a temperature of 0, which draws nothing, the probabilities are the model's own.
    """
    logits = module(torch.tensor([module.net.window(ids)]))[:, -1]  # type: ignore[operator]
    chances = (logits if decoding.greedy else warped(logits, decoding)).softmax(-1)[0]
    values, best = chances.topk(min(count, len(chances)))
    pieces = required_tokenizer(module).pieces(best.tolist())
    return [(piece, value) for piece, value in zip(pieces, values.tolist(), strict=True) if value > 0]
