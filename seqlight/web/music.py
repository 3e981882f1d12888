"""The page of a music model: a piece that it composes or continues, as a picture, as sound and as a MIDI file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seq_modules import FrameDecoder, MusicDecoder
from seq_modules.callbacks.music.music_writer import piece_of, write_music
from seq_modules.systems.music_generation import MusicGeneration
from seqlight.core.errors import UserError
from seqlight.web import fragments
from seqlight.web.face import SAMPLING, ChoiceField, Face, Field, FileField, SliderField, TextField, decoding_of
from seqlight.web.trained import Trained, first_batch, predicted, with_settings

NOTHING, PRELUDE, FILE = "nothing", "Bach's prelude, four bars", "the MIDI file"
NOTES_A_BAR = 64  # at most; a limit where a model does not come to the end of its bars


class MusicFace(Face):
    """Composes note by note, from nothing or from a prompt."""

    title = "A composer"
    hint = "Choose what the music begins with, and how long it is. The same seed gives the same music."
    button = "Compose"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, MusicDecoder)
        self.trained, self.module = trained, trained.module
        self.fields: dict[str, Field] = {
            "prompt": ChoiceField("it begins with", NOTHING, (NOTHING, PRELUDE, FILE)),
            "file": FileField("a MIDI file", (".mid", ".midi")),
            "bars": SliderField("new bars", 8, 1, 64, 1),
            **SAMPLING,
        }
        if trained.module.tokenizer is not None and trained.module.tokenizer.signatures is not None:
            self.fields |= {"metre": TextField("metre, such as 3/4"), "key": TextField("key, such as G major")}

    def answer(
        self,
        prompt: str = NOTHING,
        file: str | None = None,
        bars: float = 8,
        metre: str = "",
        key: str = "",
        **sampling: Any,
    ) -> Iterator[str]:
        """The piece."""
        if prompt == FILE and file is None:
            raise UserError("there is no MIDI file; give one, or choose another beginning")
        source = {NOTHING: "none", PRELUDE: "prelude"}.get(prompt, file)
        chosen = {"source": source, "metre": metre.strip() or None, "key": key.strip() or None}
        data = self.trained.data(prompt=chosen)
        count = int(bars) * NOTES_A_BAR * self.module.tokens_per_note
        limits = MusicGeneration(max_bars=int(bars))
        module = with_settings(self.module, decoding=decoding_of(sampling, count), generation=limits)
        (row, *_) = predicted(module, first_batch(data))
        yield note_on_unseen(data) + piece_shown(row, data)


class FramesFace(Face):
    """Composes chorales, chord by chord."""

    title = "A composer of chorales"
    hint = "Choose how long the chorale is, in quarters. The same seed gives the same music."
    button = "Compose"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, FrameDecoder)
        self.trained, self.module = trained, trained.module
        self.fields: dict[str, Field] = {
            "given": SliderField("quarters of a chorale that it begins with", 0, 0, 32, 1),
            "length": SliderField("new quarters", 32, 4, 128, 1),
            **SAMPLING,
        }

    def answer(self, given: float = 0, length: float = 32, **sampling: Any) -> Iterator[str]:
        """The chorale."""
        data = self.trained.data(prompt_frames=int(given), samples=1)
        module = with_settings(self.module, decoding=decoding_of(sampling, length))
        (row,) = predicted(module, first_batch(data))
        yield piece_shown(row, data)


def note_on_unseen(data: Any) -> str:
    """A remark on the notes of the beginning that the model does not know, if there are any."""
    piece = data.predict_set.pieces[0]
    unseen = data.tokenizer.unseen(piece)
    if not unseen:
        return ""
    return fragments.note(
        f"{unseen} of the {len(piece.notes)} notes of the beginning have a pitch, a duration, a distance or a loudness "
        "that training did not have. The model reads the nearest, so that they look and sound changed."
    )


def piece_shown(row: dict[str, Any], data: Any) -> str:
    """A row of ``predict`` as a piano roll, sound, a MIDI file and, where it can be engraved, a score."""
    piece, prompt_notes = piece_of(row)
    new = len(piece.notes) - prompt_notes
    if not piece.notes:
        return fragments.note("The model ended the piece before its first note. Another seed gives another piece.")
    with tempfile.TemporaryDirectory() as folder:
        files = write_music(Path(folder) / "piece", piece, data, prompt_notes)
        contents = {ending: file.read_bytes() for ending, file in files.items()}
    shown = fragments.title(f"{new} new notes") + fragments.image(contents["png"], "piano roll")
    shown += fragments.sound(contents["wav"]) + fragments.download("piece.mid", "audio/midi", contents["mid"])
    if "svg" in contents:
        shown += fragments.folded("as a score", fragments.image(contents["svg"], "score", "image/svg+xml"))
    return shown
