"""The page of a tagger: the words of a sentence, each with its tag."""

from collections.abc import Iterator, Sequence

from datamodules import TaggingDataModule
from seq_modules.systems.token_tagger import Tagger
from seqlight.core.spans import OUTSIDE, type_of
from seqlight.web import fragments
from seqlight.web.face import Face, TextField, required_text
from seqlight.web.trained import Trained, predicted


class TaggingFace(Face):
    """Gives each word of a sentence its label."""

    title = "A tagger of words"
    hint = "Write a sentence. It is split into words, and each of them gets a tag."
    button = "Tag"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, Tagger)
        self.trained, self.module = trained, trained.module
        self.fields = {"text": TextField("a sentence", TaggingDataModule.EXAMPLES[0], lines=3)}

    def answer(self, text: str = "") -> Iterator[str]:
        """The words with their tags; spans if the tags are of the BIO scheme; and how sure the model is."""
        (row,) = predicted(self.module, self.trained.batch(predict={"texts": [required_text(text, "sentence")]}))
        words, labels = row["words"], row["labels"]
        colours = colours_of(labels, self.module.class_names, self.module.bio)
        shown = fragments.title("Words and tags") + fragments.tags(words, labels, colours)
        if row.get("spans"):
            spans = [(span["type"], span["text"]) for span in row["spans"]]
            shown += fragments.title("Spans") + fragments.table(("type", "words"), spans)
        sure = [
            (word, label, f"{chance:.1%}")
            for word, label, chance in zip(words, labels, row["probabilities"], strict=True)
        ]
        yield shown + fragments.title("How likely") + fragments.table(("word", "tag", "probability"), sure)


def colours_of(labels: Sequence[str], names: Sequence[str], bio: bool) -> list[str | None]:
    """A colour for each label: its own, or with the BIO scheme that of its type; none outside of spans."""
    kinds = sorted({type_of(name) for name in names} - {""}) if bio else sorted(names)
    found: list[str | None] = []
    for label in labels:
        if bio and label == OUTSIDE:
            found.append(None)
        else:
            place = kinds.index(type_of(label) if bio else label)
            found.append(f"hsl({360 * place // len(kinds)} 70% 60% / 40%)")
    return found
