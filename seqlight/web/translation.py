"""The page of a sequence-to-sequence system: a text, its translation, and the alignment of their words."""

from collections.abc import Iterator

from seq_modules import Seq2SeqModule
from seq_modules.callbacks.text.alignments import Alignments
from seq_modules.callbacks.text.attention_examples import attention_examples
from seq_modules.generation.decoding_config import Decoding
from seqlight.core.errors import UserError
from seqlight.web import fragments
from seqlight.web.face import Face, SliderField, TextField, required_text
from seqlight.web.trained import Trained, with_settings

DRAWN = 40  # tokens of a side at most
LETTERS = 2_000  # of a text at most: each new word attends to all of them


class TranslationFace(Face):
    """Translates a text, and shows which of its words each new word attends to."""

    title = "A translator"
    hint = (
        "Write a text in the language that the model reads. With more than one beam it looks for the likeliest whole."
    )
    button = "Translate"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, Seq2SeqModule)
        self.module = trained.module
        try:
            example = trained.make().examples[0]
        except (UserError, OSError):  # texts of a language of which we have none
            example = ""
        self.fields = {
            "text": TextField("a text", example, lines=3),
            "beams": SliderField("beams (1: the likeliest word each time)", 4, 1, 12, 1),
            "length": SliderField("most tokens", 100, 1, 400, 1),
        }

    def answer(self, text: str = "", beams: float = 4, length: float = 100) -> Iterator[str]:
        """The translation, other hypotheses where there are beams, and the alignment where there is attention."""
        required_text(text, "text", LETTERS)
        decoding = Decoding(max_new_tokens=int(length), beams=int(beams), n_best=int(beams))
        module = with_settings(self.module, decoding=decoding)
        (found,) = module.generate([text])
        shown = fragments.big(found[0].text or "(nothing)")
        yield shown
        for example in attention_examples(module, [text], DRAWN):
            for part in example.parts:
                if part.name == "cross":
                    drawn = fragments.picture(Alignments().draw(part), "attention of each new word on the source")
                    shown += fragments.title("Which words each new word attends to") + drawn
        if len(found) > 1:
            rows = [(one.text, f"{one.score:.3f}") for one in found]
            shown += fragments.title("All hypotheses") + fragments.table(("translation", "score"), rows)
            shown += fragments.note("A score is the log-probability of the text's tokens, divided by their number.")
        yield shown
