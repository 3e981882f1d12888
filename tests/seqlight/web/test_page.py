"""The page of seqlight try in a real browser: every system's fields are filled in, and its answer is read.

Pictures of the pages are left in build/try. Where there is no chromium the tests are skipped.
"""

import shutil
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run
from helpers.commands.checkpoints import SYSTEMS, write_run

from datamodules.music.sources.midi_files import write_midi
from datamodules.music.sources.prelude import PRELUDE
from seqlight.core.errors import UserError

if find_spec("gradio") is None or find_spec("playwright") is None:  # to import them takes seconds, in every worker
    pytest.skip("gradio and playwright are not installed", allow_module_level=True)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURES = ROOT / "build/try"
# Libraries below gradio warn about each other, in threads of their own.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each system."""
    folder = tmp_path_factory.mktemp("runs")
    for name in SYSTEMS:
        write_run(name, folder)
    return folder


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    """A running server."""
    from seqlight.web.page import build_page, launch

    page = build_page(str(root))
    yield launch(page, "127.0.0.1", None)
    page.close(verbose=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a screen."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Visitor:
    """Somebody with a window of the browser."""

    def __init__(self, browser: Any, address: str) -> None:
        self.asked: list[str] = []  # addresses that the page has asked for
        self.faults: list[str] = []
        self.page = browser.new_page(viewport={"width": 1100, "height": 800})
        self.page.set_default_timeout(60_000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#face")

    def choose(self, name: str) -> None:
        """Takes a checkpoint of the list."""
        self.page.click("#checkpoint input")
        with self.page.expect_navigation():
            self.page.locator("[role=option]").filter(has_text=f"/{name}/").click()
        self.page.wait_for_selector("#go")

    def ask(self, until: str) -> str:
        """Presses the button; the answer, once it holds an element."""
        from playwright.sync_api import TimeoutError as TakesLong

        answer = self.page.locator(f"#answer {until}").first
        self.page.click("#go")
        try:
            answer.wait_for(state="attached")
        except TakesLong:  # gradio shows a button a moment before it heeds it
            self.page.click("#go")
            answer.wait_for(state="attached")
        return self.page.inner_text("#answer")

    def keep(self, name: str) -> None:
        """Keeps a picture of the page."""
        self.page.wait_for_function("[...document.images].every((image) => image.complete)")
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def visitor(browser: Any, address: str) -> Visitor:
    return Visitor(browser, address)


def test_the_list_has_all_runs(visitor: Visitor) -> None:
    assert f"Choose one of {len(SYSTEMS)} checkpoints." in visitor.page.inner_text("#face")
    visitor.page.click("#checkpoint input")
    assert visitor.page.locator("[role=option]").count() == len(SYSTEMS)
    visitor.keep("list")
    visitor.page.locator("#checkpoint input").blur()


def test_a_text(visitor: Visitor) -> None:
    visitor.choose("text")
    visitor.page.fill("#prompt textarea", "The sea ")
    visitor.page.fill("#length input[type=number]", "40")
    said = visitor.ask("details")
    assert said.startswith("The sea ")
    assert len(said.partition("What may come")[0].strip()) == len("The sea ") + 40
    assert "Where the prompt's last token looks" in said
    visitor.page.click("#answer summary")
    visitor.keep("text")
    visitor.page.fill("#prompt textarea", "")
    assert visitor.ask("[role=alert]") == "the text is empty; write at least one character."
    visitor.keep("refusal")


def test_a_question(visitor: Visitor) -> None:
    visitor.choose("questions")
    visitor.page.fill("#text textarea", "Who wrote Hamlet ?")
    visitor.page.click("#marks label:has-text('occlusion')")
    said = visitor.ask(".sl-marks")
    assert said.count("%") == 6
    assert "is likelier with each word than without" in said
    assert visitor.page.locator("#stop").count() == 0  # the answer does not grow
    visitor.keep("questions")
    visitor.page.click("#marks label:has-text('attention')")
    assert "The attention that the words get" in visitor.ask(".sl-title:has-text('attention')")


def test_a_review(visitor: Visitor) -> None:
    visitor.choose("reviews")
    visitor.page.fill("#text textarea", "It is anything but boring .")
    said = visitor.ask(".sl-title:has-text('n-grams')")
    assert said.startswith("pos")
    assert "anything but" in said.partition("n-grams add to its log-odds")[2]
    visitor.keep("reviews")


def test_parity_by_clicks(visitor: Visitor) -> None:
    visitor.choose("parity")
    visitor.page.click("text=clear")
    for key in "11010":
        visitor.page.click(f".sl-key:text-is('{key}')")
    assert visitor.page.input_value("#string textarea, #string input") == "11010"
    assert "The number of ones is odd." in visitor.ask("img")
    visitor.keep("parity")


def test_a_formal_language(visitor: Visitor) -> None:
    visitor.choose("formal")
    visitor.page.fill("#string textarea, #string input", "1+2*")
    assert visitor.ask("[role=alert]").startswith("string 1 is '1+2*'; the task wants such as")
    visitor.page.click(".sl-key:text-is('3')")
    assert "answer at the end" in visitor.ask("img")
    visitor.keep("formal")


def test_a_translation(visitor: Visitor) -> None:
    visitor.choose("translation")
    visitor.page.fill("#text textarea", "abcdef")
    assert "All hypotheses" in visitor.ask("table")
    assert visitor.page.locator("#answer img").count() == 1
    visitor.keep("translation")


def test_tags(visitor: Visitor) -> None:
    visitor.choose("tagging")
    visitor.page.fill("#text textarea", "Nobody saw New York!")
    assert "Nobody" in visitor.ask(".sl-tags")
    visitor.keep("tagging")


def test_music_is_heard_and_kept(visitor: Visitor, tmp_path: Path) -> None:
    visitor.choose("music")
    visitor.page.click("#prompt label:has-text('prelude')")
    visitor.page.fill("#bars input[type=number]", "2")
    assert "new notes" in visitor.ask("audio")
    assert visitor.page.evaluate("() => document.querySelector('#answer audio').play().then(() => true)")
    with visitor.page.expect_download() as kept:
        visitor.page.click("#answer a[download]")
    assert kept.value.suggested_filename == "piece.mid"
    assert Path(kept.value.path()).read_bytes()[:4] == b"MThd"
    visitor.keep("music")


def test_a_midi_file_is_continued(visitor: Visitor, tmp_path: Path) -> None:
    write_midi(tmp_path / "own.mid", PRELUDE)
    visitor.page.click("#prompt label:has-text('MIDI file')")
    visitor.page.set_input_files("#file input[type=file]", tmp_path / "own.mid")
    visitor.page.wait_for_selector("#file [aria-label='own.mid']")
    visitor.page.fill("#bars input[type=number]", "1")
    before = visitor.page.get_attribute("#answer audio", "src")
    visitor.page.click("#go")
    visitor.page.wait_for_function(
        "(before) => document.querySelector('#answer audio')?.getAttribute('src') !== before", arg=before
    )
    assert "64 of the 64 notes of the beginning" in visitor.page.inner_text("#answer")


def test_a_chorale(visitor: Visitor) -> None:
    visitor.choose("frames")
    visitor.page.fill("#length input[type=number]", "8")
    assert "new notes" in visitor.ask("audio")
    visitor.keep("frames")


def table_of(rows: int, step: timedelta) -> str:
    """A CSV file with the series of the forecaster."""
    dates = [datetime(2026, 1, 1) + row * step for row in range(rows)]
    return "\n".join(["date,series_1,series_2", *(f"{date},{row % 5},{row}" for row, date in enumerate(dates))])


def test_forecasts_of_the_example_and_of_a_file(visitor: Visitor, tmp_path: Path) -> None:
    visitor.choose("forecast")
    assert "1 hour from row to row" in visitor.page.inner_text("#face")
    said = visitor.ask("table")
    assert "of 12 values" in said
    assert "low (10 %)" in said
    visitor.keep("forecast")
    (tmp_path / "days.csv").write_text(table_of(2, timedelta(days=1)))
    visitor.page.set_input_files("#file input[type=file]", tmp_path / "days.csv")
    visitor.page.wait_for_selector("#file [aria-label='days.csv']")
    said = visitor.ask("[role=alert]")
    assert said == "days.csv: its step is 1 day, but the model was trained with 1 hour."
    visitor.page.click("#file button[aria-label='Clear']")
    (tmp_path / "hours.csv").write_text(table_of(30, timedelta(hours=1)))
    visitor.page.set_input_files("#file input[type=file]", tmp_path / "hours.csv")
    visitor.page.wait_for_selector("#file [aria-label='hours.csv']")
    assert "2026-01-02 06:00:00" in visitor.ask("table")  # the row after the last


def test_a_point_is_clicked(visitor: Visitor) -> None:
    visitor.choose("points")
    before = visitor.page.input_value("#n0 input")
    visitor.page.click("#plane img", position={"x": 120, "y": 90})
    visitor.page.wait_for_selector("#answer img")
    assert visitor.page.input_value("#n0 input") != before
    assert "class " in visitor.page.inner_text("#answer")
    visitor.keep("points")


def test_two_at_once_have_each_their_own(visitor: Visitor, browser: Any, address: str) -> None:
    other = Visitor(browser, address)
    visitor.choose("parity")
    other.choose("text")
    visitor.page.fill("#string textarea, #string input", "11")
    other.page.fill("#length input[type=number]", "1000")
    other.page.click("#go")
    other.page.wait_for_selector("#answer .sl-text")
    other.page.click("#stop")
    assert other.page.locator("#answer details").count() == 0  # it had not come to its end
    other.page.click("#go")
    assert "even" in visitor.ask("img")
    assert "ones" not in other.page.inner_text("#answer")
    assert "The number of ones is even." in visitor.page.inner_text("#answer")
    assert other.page.inner_text("#face").startswith("A language model")
    other.page.close()


def test_without_a_run_the_page_says_what_to_do(
    visitor: Visitor, address: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqlight.web.page.checkpoints_below", lambda root: [])
    visitor.page.goto(f"{address}?checkpoint=")
    visitor.page.wait_for_selector(f"#face :text('There is no run in {root}/ yet.')")


def test_a_new_run_is_listed_and_a_damaged_one_is_told(visitor: Visitor, address: str, root: Path) -> None:
    broken = root / "broken/1/checkpoints/best.ckpt"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"PK damaged")
    visitor.page.goto(address)
    visitor.page.wait_for_selector(f"#face :text('{len(SYSTEMS) + 1} checkpoints')")
    visitor.page.click("#checkpoint input")
    visitor.page.locator("[role=option]").filter(has_text="/broken/").click()
    visitor.page.wait_for_selector("#face [role=alert]")
    said = visitor.page.inner_text("#face")
    assert (
        said == f"{broken}: is damaged, for its checksum does not fit, and is not loaded. Choose another of the list."
    )
    visitor.keep("damaged")


def test_nothing_came_from_elsewhere_and_nothing_failed(visitor: Visitor, address: str) -> None:
    assert len(visitor.asked) > 10
    assert {url.split("/")[2] for url in visitor.asked if url.startswith(("http", "ws"))} == {address.split("/")[2]}
    assert visitor.faults == []
    blocked = visitor.page.evaluate("() => fetch('https://example.com').then(() => false, () => true)")
    assert blocked


def test_messages_are_without_options() -> None:
    from seqlight.web.page import sentence

    for message, said in {
        "data.predict_path /tmp/data.csv: has no rows": "/tmp/data.csv: has no rows.",
        "prompt.metre 7/5 is not a metre": "metre 7/5 is not a metre.",
        "no column begins with a date; name it by --data.table.date none": "no column begins with a date.",
        "the list is empty; give 0 or 1": "the list is empty; give 0 or 1.",
    }.items():
        assert sentence(UserError(message)) == said


def test_the_command(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of_text = str(root / "text/2026-01-01_00-00-00")
    with monkeypatch.context() as patch:
        patch.setattr("seqlight.web.command.Event", Interrupted)
        done = run("try", "--ckpt_path", run_of_text)
    assert (done.code, done.out.startswith("seqlight: http://127.0.0.1:")) == (0, True), done.err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run("try", f"--root={root}", f"--port={taken.getsockname()[1]}")
    assert (refused.code, "cannot be listened on" in refused.err) == (2, True)
    for words, said in (
        (["--ckpt_path=best"], "no run under runs/ has a best.ckpt"),
        (["--port=0"], "--port must be at least 1"),
        (["--prot=1"], "unrecognized arguments: --prot=1; use `seqlight try"),
    ):
        refused = run("try", *words)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'seqlight[web]'" in run("try").err


class Interrupted:
    """An event that is never set; who waits for it presses Ctrl-C."""

    def wait(self) -> None:
        raise KeyboardInterrupt
