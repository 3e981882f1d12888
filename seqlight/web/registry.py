"""Which page each kind of system has."""

from functools import lru_cache
from pathlib import Path

from seq_modules import (
    Forecaster,
    FormalLanguageModule,
    FrameDecoder,
    LanguageModel,
    MLPClassifier,
    MusicDecoder,
    ParityModule,
    Seq2SeqModule,
    SequenceModule,
)
from seq_modules.systems.classifier import Classifier
from seq_modules.systems.token_tagger import Tagger
from seqlight.core.errors import UserError
from seqlight.web.classification import ClassificationFace
from seqlight.web.face import Face
from seqlight.web.forecasts import ForecastFace
from seqlight.web.music import FramesFace, MusicFace
from seqlight.web.points import PointsFace
from seqlight.web.strings import StringsFace
from seqlight.web.tagging import TaggingFace
from seqlight.web.text import TextFace
from seqlight.web.trained import Trained
from seqlight.web.translation import TranslationFace

FACES: dict[type[SequenceModule], type[Face]] = {
    LanguageModel: TextFace,
    Classifier: ClassificationFace,
    Seq2SeqModule: TranslationFace,
    Tagger: TaggingFace,
    MusicDecoder: MusicFace,
    FrameDecoder: FramesFace,
    ParityModule: StringsFace,
    FormalLanguageModule: StringsFace,
    Forecaster: ForecastFace,
    MLPClassifier: PointsFace,
}
KEPT = 4  # models in memory


def face_of(trained: Trained) -> Face:
    """The page of a checkpoint's system.

    Raises:
        UserError: There is none.
    """
    for system, face in FACES.items():
        if isinstance(trained.module, system):
            return face(trained)  # type: ignore[call-arg]
    name = type(trained.module).__name__
    raise UserError(f"{trained.path}: there is no page for a {name}; use `seqlight predict {trained.words}`")


def face_at(path: Path) -> Face:
    """The page of the checkpoint in a file, which is read again only if it has changed.

    Raises:
        UserError: It is damaged, of a class that is not known, or has no page.
    """
    return _face_at(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _face_at(path: Path, written: int) -> Face:
    return face_of(Trained(path))
