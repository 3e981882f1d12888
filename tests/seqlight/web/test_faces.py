"""What the pages of the systems answer: what the systems themselves say, or a sentence on what is wrong.

The browser is left out here; test_page.py has it.
"""

import base64
import csv
import io
import itertools
import os
import re
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands.checkpoints import SYSTEMS, write_run

import seq_modules
from datamodules.music.sources.midi_files import read_midi
from seq_modules import Forecaster, MLPClassifier, MusicDecoder, SequenceModule, TextClassifier
from seq_modules.generation.decoding_config import Decoding
from seqlight.core.errors import UserError
from seqlight.web import fragments
from seqlight.web.classification import MOST_PARTS, occlusion
from seqlight.web.face import SAMPLING, Face, PlaneField, growing
from seqlight.web.music import PRELUDE
from seqlight.web.registry import FACES, face_at, face_of
from seqlight.web.strings import draw_states, hidden_states, plane_of
from seqlight.web.text import next_tokens
from seqlight.web.trained import Trained, checkpoints_below, predicted, with_settings

SAMPLED = {name: field.value for name, field in SAMPLING.items()}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("runs")
    return {name: face_at(write_run(name, root)) for name in SYSTEMS}


def last(face: Face, **given: Any) -> str:
    return list(face.answer(**given))[-1]


def numbers(html: str) -> dict[str, float]:
    """The bars' names and per cents."""
    cells = re.findall(r"<span>([^<]*)</span><div class=\"sl-bar\">.*?</div></div><span>([-+.\d]+)%</span>", html)
    return {name: float(value) / 100 for name, value in cells}


def files(html: str, kind: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(rf"data:{kind};base64,([\w+/=]+)", html)]


def test_every_system_has_a_page() -> None:
    kinds = [getattr(seq_modules, name) for name in seq_modules.__all__]
    assert all(any(issubclass(kind, system) for system in FACES) for kind in kinds if kind is not SequenceModule)


def test_a_text_grows_to_what_the_model_generates(faces: dict[str, Any]) -> None:
    face = faces["text"]
    answers = list(face.answer(prompt="The sea", length=20, **SAMPLED))
    texts = [re.sub("<[^>]*>", "", answer.partition('<div class="sl-title">')[0]) for answer in answers]
    assert len(texts) > 1
    assert all(later.startswith(text) for text, later in itertools.pairwise(texts))
    (new,) = face.module.generate(["The sea"], Decoding(max_new_tokens=20, temperature=0.8))
    assert texts[-1] == fragments.escape(f"The sea{new}")
    assert answers[-1].count("<img") == 1  # attention by layer and head
    looks = answers[-1].partition("looks (mean")[2]
    assert sum(map(float, re.findall(r'title="([\d.]+)"', looks))) == pytest.approx(1, abs=1e-3)
    with pytest.raises(UserError, match="the text is empty"):
        last(face, prompt="", length=5, **SAMPLED)
    with pytest.raises(UserError, match="top_p must be above 0"):
        last(face, prompt="a", length=5, **{**SAMPLED, "top_p": 0})


def test_next_tokens_have_the_probabilities_that_they_are_drawn_with(faces: dict[str, Any]) -> None:
    module, ids = faces["text"].module, faces["text"].tokenizer.encode("The sea")
    with torch.no_grad():
        logits = module(torch.tensor([ids]))[0, -1].double()
    found = next_tokens(module, ids, Decoding(temperature=0.5, top_k=3), 10)
    best = logits.topk(3).values
    assert [chance for _, chance in found] == pytest.approx((best / 0.5).softmax(0).tolist(), abs=1e-6)
    own = next_tokens(module, ids, Decoding(temperature=0), 2)
    assert [chance for _, chance in own] == pytest.approx(logits.softmax(0).topk(2).values.tolist(), abs=1e-6)


def test_work_ends_when_nobody_reads_it_any_more() -> None:
    ended = threading.Event()

    def work(report: Callable[[str], None]) -> None:
        try:
            while True:
                report("more")
                time.sleep(0.001)
        finally:
            ended.set()

    answers = growing(work)
    assert next(answers) == "more"
    answers.close()  # type: ignore[attr-defined]
    assert ended.wait(10)

    def fail(report: Callable[[str], None]) -> None:
        report("first")
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        list(growing(fail))


def test_classes_have_their_probabilities_and_words_their_marks(faces: dict[str, Any]) -> None:
    face = faces["questions"]
    html = last(face, text="Who wrote <b> ?", marks="occlusion")
    (row,) = predicted(face.module, face.trained.batch(predict={"texts": ["Who wrote <b> ?"]}))
    shown = numbers(html)
    assert f'<div class="sl-big">{row["label"]}</div>' in html
    assert shown[row["label"]] == pytest.approx(row["probability"], abs=6e-4)
    assert sum(shown.values()) == pytest.approx(1, abs=3e-3)
    assert "<b>" not in html
    attention = last(face, text="Who wrote it ?", marks="attention").partition("attention that")[2]
    assert sum(map(float, re.findall(r'title="([\d.]+)"', attention))) == pytest.approx(1, abs=1e-3)
    with pytest.raises(UserError, match="the text is empty"):
        last(face, text=" \n")


def test_occlusion_is_what_each_word_brings(faces: dict[str, Any]) -> None:
    module: TextClassifier = faces["questions"].module
    ids = torch.randint(2, 20, (1, 9), generator=torch.Generator().manual_seed(0))

    def chance(row: torch.Tensor) -> float:
        with torch.no_grad():
            return module(row).softmax(-1)[0, 2].item()

    expected = []
    for place in range(9):
        without = ids.clone()
        without[0, place] = 1
        expected.append(chance(ids) - chance(without))
    assert occlusion(module, ids, 2, 1) == pytest.approx(expected, abs=1e-6)
    long = ids.repeat(1, MOST_PARTS // 4)
    found = occlusion(module, long, 2, 1)
    assert len(found) == long.shape[1] > MOST_PARTS
    assert found[0] == found[2]  # of one group of neighbours


def test_a_review_is_answered_with_its_n_grams(faces: dict[str, Any]) -> None:
    face, text = faces["reviews"], "It is anything but boring ."
    (row,) = predicted(face.module, face.trained.batch(predict={"texts": [text]}))
    votes = last(face, text=text).partition("n-grams add to its log-odds")[2]
    assert re.findall(r"<span>([^<]*)</span><div", votes) == [ngram for ngram, _ in row["ngrams"]]
    assert re.findall(r"<span>([-+][\d.]+)</span>", votes) == [f"{value:+.2f}" for _, value in row["ngrams"]]


def test_parity_is_told_and_the_state_is_that_of_the_net(faces: dict[str, Any]) -> None:
    face = faces["parity"]
    html = last(face, string="1011 0")
    assert "The number of ones is odd." in html
    assert re.findall(r"<small>(\w+)</small>", html) == ["odd", "odd", "even", "odd", "odd"]
    assert numbers(html)["odd"] > 0.99
    states = hidden_states(face.module, face.trained.batch(bits=["10110"]))
    state, stepwise = None, []
    for bit in (1, 0, 1, 1, 0):
        _, state = face.module(torch.tensor([[bit]]), state=state)
        stepwise.append(state[0, 0])
    assert torch.allclose(states, torch.stack(stepwise), atol=1e-6)
    plane = plane_of(states)  # of two units: another view of the same distances
    assert torch.allclose(torch.cdist(plane, plane), torch.cdist(states, states).double(), atol=1e-5)
    assert plane_of(states[:1]).tolist() == [[0.0, 0.0]]
    (names,) = (axis.texts for axis in draw_states(states[[0, 1, 0, 0, 0, 0]], list("101111"), {}).axes if axis.texts)
    assert [name.get_text() for name in names] == ["1, 3, 4, 5 ...", "2"]
    for wrong, said in (("012", "holds '2'; its symbols are 0 1"), ("", "is empty"), ("1" * 501, "at most 500")):
        with pytest.raises(UserError, match=said):
            last(face, string=wrong)


def test_a_formal_language_is_answered_where_it_asks(faces: dict[str, Any]) -> None:
    face = faces["formal"]
    (row,) = predicted(face.module, face.trained.batch(strings=["1+2*3"]))
    html = last(face, string="1+2*3")
    assert re.findall(r"<small>(\d?)</small>", html) == [
        str(row["answers"][n // 2]) if n % 2 == 0 else "" for n in range(5)
    ]
    assert face.fields["string"].keys == "01234+-*"
    with pytest.raises(UserError, match="the task wants such as"):
        last(face, string="1+")


def test_a_translation_is_the_model_s_and_has_an_alignment(faces: dict[str, Any]) -> None:
    face = faces["translation"]
    html = last(face, text="abcd", beams=3, length=8)
    (found,) = face.module.generate(["abcd"], Decoding(max_new_tokens=8, beams=3, n_best=3))
    assert f'<div class="sl-big">{found[0].text}</div>' in html
    assert [one.text for one in found] == re.findall(r"<tr><td>([^<]*)</td>", html)
    assert html.count("<img") == 1
    assert "All hypotheses" not in last(face, text="abcd", beams=1, length=4)
    assert face.module.decoding == Decoding()  # the model is as it was
    for wrong, said in (("", "the text is empty"), ("ab " * 40_000, "has 120,000 letters, and the page takes 2,000")):
        with pytest.raises(UserError, match=said):
            last(face, text=wrong)


def test_words_have_the_tags_that_the_tagger_gives_them(faces: dict[str, Any]) -> None:
    face = faces["tagging"]
    html = last(face, text="Nobody saw New York!")
    (labels,) = face.module.tag([["Nobody", "saw", "New", "York", "!"]])
    assert re.findall(r"<span[^>]*>([^<]*)<small>([^<]*)</small>", html) == list(
        zip(["Nobody", "saw", "New", "York", "!"], labels, strict=True)
    )
    with pytest.raises(UserError, match="the sentence is empty"):
        last(face, text="")


def test_music_can_be_seen_heard_and_kept(faces: dict[str, Any], tmp_path: Path) -> None:
    face = faces["music"]
    html = last(face, bars=2, **SAMPLED)
    assert "training did not have" not in html
    assert "64 of the 64 notes of the beginning" in last(face, prompt=PRELUDE, bars=1, **SAMPLED)
    (midi,), (sound,) = files(html, "audio/midi"), files(html, "audio/wav")
    (tmp_path / "a.mid").write_bytes(midi)
    piece = read_midi(tmp_path / "a.mid")
    assert f"{len(piece.notes)} new notes" in html
    with wave.open(io.BytesIO(sound)) as heard:
        assert heard.getnframes() > heard.getframerate() / 10
    assert files(html, "image/png")
    (again,) = files(last(face, prompt="the MIDI file", file=str(tmp_path / "a.mid"), bars=1, **SAMPLED), "audio/midi")
    (tmp_path / "b.mid").write_bytes(again)
    before = piece.notes[:-1]  # the last of an untrained net may have a duration that no training had
    assert read_midi(tmp_path / "b.mid").notes[: len(before)] == before
    module: MusicDecoder = face.module
    assert module.generation.max_bars is None  # the model is as it was
    with pytest.raises(UserError, match="there is no MIDI file"):
        last(face, prompt="the MIDI file", **SAMPLED)
    (tmp_path / "c.mid").write_bytes(b"no music")
    with pytest.raises(UserError, match=r"c\.mid|MIDI"):
        last(face, prompt="the MIDI file", file=str(tmp_path / "c.mid"), **SAMPLED)


def test_chorales_have_as_many_quarters_as_were_wanted(faces: dict[str, Any], tmp_path: Path) -> None:
    (midi,) = files(last(faces["frames"], given=3, length=5, **SAMPLED), "audio/midi")
    (tmp_path / "a.mid").write_bytes(midi)
    assert read_midi(tmp_path / "a.mid").end <= 8 * 24
    assert len({note.start for note in read_midi(tmp_path / "a.mid").notes}) > 3


def test_forecasts_are_the_model_s_of_a_file_or_of_its_own_series(faces: dict[str, Any], tmp_path: Path) -> None:
    face = faces["forecast"]
    module: Forecaster = face.module
    html = last(face, series=2)
    assert re.findall("<th>([^<]*)</th>", html) == ["date", "series", "low (10 %)", "middle", "high (90 %)"]
    (content,) = files(html, "text/csv")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(rows) == 6 * 2
    assert float(rows[0]["0.1"]) <= float(rows[0]["0.5"]) <= float(rows[0]["0.9"])
    values = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()
    lines = [f"2026-01-{1 + row // 24:02d}T{row % 24:02d}:00:00,{a},{b}" for row, (a, b) in enumerate(values.tolist())]
    (tmp_path / "own.csv").write_text("\n".join([f"date,{','.join(module.series_names)}", *lines]))
    (content,) = files(last(face, file=str(tmp_path / "own.csv")), "text/csv")
    found = [float(row["0.5"]) for row in csv.DictReader(io.StringIO(content.decode()))]
    with torch.no_grad():
        expected = module(values[None, -24:].float())[0, :, :, module.middle]
    assert found == pytest.approx(expected.flatten().tolist(), rel=1e-4, abs=1e-5)
    (tmp_path / "own.csv").write_text("\n".join(["date,other", *lines]))
    with pytest.raises(UserError, match="column"):
        last(face, file=str(tmp_path / "own.csv"))


def test_points_have_their_class_and_clicks_their_point(faces: dict[str, Any]) -> None:
    face = faces["points"]
    module: MLPClassifier = face.module
    with torch.no_grad():
        chances = module(torch.tensor([[0.25, -0.5]])).softmax(-1)[0].tolist()
    assert numbers(last(face, n0=0.25, n1=-0.5)) == pytest.approx(dict(enumerate_names(module, chances)), abs=6e-4)
    plane = face.fields["plane"]
    assert isinstance(plane, PlaneField)
    height, width, _ = plane.pixels.shape
    (left, bottom), (right, top) = plane.point_at(width * 0.2, height * 0.8), plane.point_at(width * 0.8, height * 0.2)
    assert left < 0 < right
    assert bottom < 0 < top
    with pytest.raises(UserError, match="y: is no number"):
        last(face, n0=0.25, n1=None)


def enumerate_names(module: MLPClassifier, chances: list[float]) -> list[tuple[str, float]]:
    return [(module.name_of(label), chance) for label, chance in enumerate(chances)]


def test_a_view_of_a_model_has_its_weights_and_its_own_settings(faces: dict[str, Any]) -> None:
    module = faces["text"].module
    view = with_settings(module, decoding=Decoding(seed=3))
    assert (view.decoding.seed, module.decoding.seed) == (3, 0)
    assert next(view.parameters()) is next(module.parameters())


def test_checkpoints_are_listed_newest_first_and_read_again_when_they_change(tmp_path: Path) -> None:
    old, new = write_run("parity", tmp_path), write_run("text", tmp_path)
    (other := new.with_name("last.ckpt")).write_bytes(b"damaged")
    for age, path in enumerate((new, other, old)):
        os.utime(path, ns=(10**18 - age * 10**9,) * 2)
    assert checkpoints_below(str(tmp_path)) == [new, other, old]
    face = face_at(old)
    assert face_at(old) is face
    os.utime(old)
    assert face_at(old) is not face
    with pytest.raises(UserError, match="damaged"):
        face_at(other)


def test_a_system_without_a_page_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_run("parity", tmp_path)
    monkeypatch.setattr("seqlight.web.registry.FACES", {})
    with pytest.raises(UserError, match="no page for a ParityModule"):
        face_of(Trained(path))


def test_fragments_escape_what_they_are_given() -> None:
    evil = "<script>alert('&')</script>"
    made = [
        fragments.text(evil, evil),
        fragments.bars([(evil, -0.5)]),
        fragments.marks([evil], [0.5], words=True),
        fragments.tags([evil], [evil], [None]),
        fragments.table([evil], [[evil]]),
        fragments.refusal(evil),
        fragments.download(evil, "text/csv", b""),
    ]
    assert not any("<script" in html for html in made)
    assert "un</span><span" in fragments.marks(["un", "##known"], [1, -1], words=True)
    assert fragments.bars([("a", 2.0), ("b", -1.0)], "{:+.1f}").count("50.00%") == 1
