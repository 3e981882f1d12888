"""The page of attention: its data are the weights, no text can leave it, and it works in a browser."""

import base64
import html
import json
import logging
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy_questions import QuestionData
from helpers.toy_translation import SOURCES, Attending, AttendingEverywhere, ToyTranslator, loader, translated
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule

from datamodules.tokenizers.byte import ByteTokenizer
from seq_modules import GPTLanguageModel, RNNLanguageModel, TextClassifier
from seq_modules.callbacks import AttentionPage
from seq_modules.callbacks.text.attention_examples import AttentionExample, AttentionPart, attention_examples
from seq_modules.callbacks.text.attention_maps import visible
from seq_modules.callbacks.text.attention_page import attention_page
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.nets.transformer.gpt import GPTConfig

HOSTILE = "</script><script>document.title='broken'</script> <b>bold</b> &lt; <!-- \u2028 \"'"
CHROMIUM = shutil.which("chromium")


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of the one with the data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data, self._inside = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = ("id", "data") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        self.data += data if self._inside else ""


def decoded(part: dict[str, Any]) -> torch.Tensor:
    """A part's weights, (L, H, Q, K)."""
    flat = torch.frombuffer(bytearray(base64.b64decode(part["weights"])), dtype=torch.uint8)
    return flat.view(part["layers"], part["heads"], len(part["queries"]), len(part["keys"])) / 255


def example(text: str) -> AttentionExample:
    weights = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]).expand(2, 2, 2, 3)
    weights = torch.cat([weights, weights.flip(2)])  # layers 3 and 4 have the rows exchanged
    return AttentionExample(text, text, [AttentionPart("cross", [text, "u"], ["x", text, "z"], weights)])


def test_the_page_holds_the_weights_of_all_parts(tmp_path: Path) -> None:
    net = AttendingEverywhere(2, 3)
    quiet_trainer(tmp_path, AttentionPage(count=5)).test(ToyTranslator(net), loader(), verbose=False)
    shown = json.loads(Elements((tmp_path / "attention.html").read_text()).data)["examples"]
    assert [(one["text"], one["output"]) for one in shown] == [(text, translated(text)) for text in SOURCES[:5]]
    for one in shown:
        source, target = one["text"].split(), one["output"].split()
        labels = {part["name"]: (part["queries"], part["keys"]) for part in one["parts"]}
        assert labels == {
            "cross": ([*target, "</s>"], [*source, "</s>"]),
            "encoder": ([*source, "</s>"],) * 2,
            "decoder": (["<s>", *target],) * 2,
        }
        for part in one["parts"]:
            expected = net.weights(len(part["queries"]), len(part["keys"]))[0]
            torch.testing.assert_close(decoded(part), expected, rtol=0, atol=0.5 / 255 + 1e-6)


def test_no_text_leaves_its_place_and_nothing_is_loaded() -> None:
    plain, page = attention_page([example("plain")], 9), attention_page([example(HOSTILE)], 9)
    assert Elements(page).tags == Elements(plain).tags
    assert Elements(page).attributes == Elements(plain).attributes
    assert json.loads(Elements(page).data)["examples"][0]["text"] == HOSTILE
    assert not {"src", "href", "onclick", "onload"} & {name for name, _ in Elements(page).attributes}
    assert not re.search(r"https?:|@import|url\(|fetch|XMLHttp|innerHTML|insertAdjacent|document\.write", plain)
    assert "default-src 'none'" in plain


def run_in_browser(page: str, folder: Path, steps: str) -> dict[str, Any]:
    """What the steps, a program run in the page, leave in ``found``."""
    program = f"<script>const found = {{}};\n{steps}\nfound.title = document.title;"
    program += 'document.body.append(Object.assign(document.createElement("pre"), {id: "found"}));'
    program += 'document.getElementById("found").textContent = JSON.stringify(found);</script>'
    (folder / "page.html").write_text(page.replace("</body>", f"{program}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/chromium", "--dump-dom"]
    command = [str(CHROMIUM), *options, f"file://{folder}/page.html#sentence=2&layer=0&head=0&at=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stdout[-2000:]
    return json.loads(html.unescape(match[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_mouse_and_keyboard_show_weights_in_a_browser(tmp_path: Path) -> None:
    steps = """
    const said = () => document.getElementById("readout").textContent;
    const tokens = (side) => [...document.getElementById(side).children];
    const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    found.tokens = tokens("keys").map((node) => node.textContent);
    found.start = said();
    tokens("queries")[1].dispatchEvent(new MouseEvent("mouseenter"));
    found.hovered = said();
    document.querySelectorAll("#heads button")[7].click();  // layer 4, head 2
    found.otherLayer = said();
    tokens("queries")[0].focus();
    found.focused = said();
    press("ArrowRight");
    found.right = said();
    press("ArrowDown");
    found.down = said();
    document.activeElement.click();
    tokens("queries")[0].dispatchEvent(new MouseEvent("mouseenter"));
    found.held = said();
    press("Escape");
    tokens("queries")[0].dispatchEvent(new MouseEvent("mouseenter"));
    found.released = said();
    found.address = location.hash;
    const before = getComputedStyle(document.body).backgroundColor;
    document.getElementById("theme").click();
    found.themes = [before, getComputedStyle(document.body).backgroundColor];
    """
    found = run_in_browser(attention_page([example("first"), example(HOSTILE)], 9), tmp_path, steps)
    token = visible(HOSTILE)
    assert found["title"] == "Attention"  # the text's own program did not run
    assert found["tokens"] == ["x", token, "z"]
    # The mean over all layers and heads; rows are "x y z" of both tokens, half of the layers with the rows exchanged.
    assert found["start"].startswith(f"{token} attends to:  z 63 %")
    assert found["hovered"].startswith("u attends to:  z 63 %")
    assert found["otherLayer"] == f"u attends to:  x 50 %,  {token} 25 %,  z 25 %"
    assert found["focused"] == f"{token} attends to:  z 100 %"
    assert found["right"] == found["otherLayer"]
    assert found["down"] == f"{token} is attended to by:  u 25 %"
    assert found["held"] == found["down"]
    assert found["released"] == found["focused"]
    assert {"sentence=2", "layer=4", "head=2", "side=keys", "at=2"} <= set(found["address"][1:].split("&"))
    assert found["themes"] == ["rgb(255, 255, 255)", "rgb(21, 25, 30)"]


def left_by_a_model(folder: Path, module: LightningModule, **arguments: Any) -> dict[str, Any]:
    """The one part of the one sentence."""
    callback = AttentionPage(**arguments)
    callback.on_test_end(quiet_trainer(folder, callback), module)
    (one,) = json.loads(Elements((folder / "attention.html").read_text()).data)["examples"]
    (part,) = one["parts"]
    return part


def test_a_language_model_shows_its_self_attention(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = GPTLanguageModel(256, GPTConfig(d_model=8, num_layers=2, num_heads=2, max_seq_len=32))
    module.tokenizer = ByteTokenizer()
    part = left_by_a_model(tmp_path, module, sentences=["so it is"], max_tokens=5)
    assert part["name"] == "self"
    assert part["queries"] == part["keys"] == ["s", "o", "␣", "i", "t"]
    expected = module.net.attention_maps(torch.tensor([list(b"so it is")]))[0, :, :, :5, :5]  # type: ignore[operator]
    torch.testing.assert_close(decoded(part), expected, rtol=0, atol=0.5 / 255 + 1e-6)
    assert module.training


def test_a_classifier_shows_its_pooling(tmp_path: Path) -> None:
    data = QuestionData()
    torch.manual_seed(0)
    net = TextEncoderConfig(d_model=8, attention_size=4, rnn=RecurrentConfig(hidden_size=6), pooling="attention")
    module = TextClassifier(data.vocab_size, 3, net=net)
    module.tokenizer = data.tokenizer
    part = left_by_a_model(tmp_path, module, sentences=["who is it"])
    ids = torch.tensor([data.tokenizer.encode("who is it")])
    assert (part["name"], len(part["keys"])) == ("pooling", ids.shape[1])
    expected = module.eval().token_weights(ids, torch.ones_like(ids, dtype=torch.bool))
    assert expected is not None
    torch.testing.assert_close(decoded(part)[0, 0], expected, rtol=0, atol=0.5 / 255 + 1e-6)


def test_a_model_without_attention_has_no_page_which_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recurrent = RNNLanguageModel(256, RNNConfig(8, rnn=RecurrentConfig(hidden_size=8)))
    recurrent.tokenizer = ByteTokenizer()
    for module in (recurrent, ToyTranslator(Attending(0, 1))):
        callback = AttentionPage()
        with caplog.at_level(logging.INFO):
            callback.on_test_end(quiet_trainer(tmp_path, callback), module)
    assert not (tmp_path / "attention.html").exists()
    assert caplog.text.count("AttentionPage writes nothing") == 2


def test_predictions_have_a_page_on_request(tmp_path: Path) -> None:
    for wanted in (False, True):
        quiet_trainer(tmp_path / str(wanted), AttentionPage(predict=wanted)).predict(
            ToyTranslator(Attending(1, 1)), loader()
        )
        assert (tmp_path / str(wanted) / "attention.html").is_file() == wanted


def test_a_net_that_writes_nothing_still_has_a_row() -> None:
    module = ToyTranslator(AttendingEverywhere(1, 1))
    module.generate = lambda sources: [[type("Empty", (), {"text": "", "score": 0.0, "ids": []})]]  # type: ignore[method-assign]
    (found,) = attention_examples(module, ["Ein Hund ."], 9)
    assert [part.queries for part in found.parts if part.name != "encoder"] == [["</s>"], ["<s>"]]


@pytest.mark.parametrize("arguments", [{"count": 0}, {"max_tokens": 1}])
def test_refuses(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))}"):
        AttentionPage(**arguments)  # type: ignore[arg-type]
