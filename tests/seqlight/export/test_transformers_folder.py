"""A GPT loads in transformers with equal logits and ids, or its export is refused by the option's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.systems import gpt, system
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from datamodules.tokenizers import ByteTokenizer, CharTokenizer, WordTokenizer
from seq_modules import GPTLanguageModel
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig, NgramConfig
from seqlight.export.transformers_folder import PROBE

Save = Callable[..., str]
TOKENIZERS = {
    "characters": CharTokenizer("abc ,.\n\u201c\N{GRINNING FACE}"),
    "replacement": CharTokenizer("abc \n\ufffd<unk>"),
    "bytes": ByteTokenizer(),
    "words": WordTokenizer("the\nsea\nhill"),
}
TEXTS = ["", "a cab, a c.\n", "Ünknown \N{GRINNING FACE}\ufffd <unk>", "  \t\r\n\n a", PROBE]
OPTIONS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "untied, without bias": {"tie_weights": False, "bias": False, "activation": "gelu", "d_ff": 24},
    "sinusoidal": {"positions": "sinusoidal", "activation": "relu"},
    "no positions": {"positions": "none", "activation": "relu2", "extras": ExtrasConfig(zero_init=True)},
}


def random_gpt(vocab_size: int, **options: Any) -> GPTLanguageModel:
    """A system whose every weight is random: fresh ones hide behind zeros and ones."""
    torch.manual_seed(0)
    module = GPTLanguageModel(vocab_size, gpt(**options)).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


@pytest.mark.parametrize(("options", "text"), list(zip(OPTIONS, TOKENIZERS, strict=True)))
def test_logits_and_ids_are_equal(options: str, text: str, save: Save, run: Run) -> None:
    tokenizer = TOKENIZERS[text]
    module = random_gpt(tokenizer.vocab_size, **OPTIONS[options])
    module.tokenizer = tokenizer
    done = run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=transformers")
    assert (done.code, done.out[:21]) == (0, "results: out    next:"), done.err
    model = AutoModelForCausalLM.from_pretrained("out")
    assert type(model) is GPT2LMHeadModel
    ids = torch.randint(tokenizer.vocab_size, (3, 12))
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, module(ids), atol=1e-5, rtol=1e-5)
    card = Path("out/README.md").read_text()
    if text == "words":
        assert "no tokenizer that gives the same ids as this one (words)" in card
        assert not Path("out/tokenizer.json").exists()
        return
    theirs = AutoTokenizer.from_pretrained("out")
    for one in TEXTS:
        assert theirs(one)["input_ids"] == tokenizer.encode(one)
        if text != "replacement":  # there, an unknown character decodes as <unk>
            assert theirs.decode(tokenizer.encode(one)) == tokenizer.decode(tokenizer.encode(one))


def test_generation_is_equal(save: Save, run: Run) -> None:
    module = random_gpt(256)
    module.tokenizer = ByteTokenizer()
    assert run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=transformers").code == 0
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained("out"), AutoTokenizer.from_pretrained("out")
    prompt = tokenizer("Hi", return_tensors="pt")
    found = theirs.generate(**prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)[0, 2:].tolist()
    ids = prompt["input_ids"]
    for _ in range(8):
        ids = torch.cat((ids, module(ids)[:, -1:].argmax(-1)), dim=1)
    assert found == ids[0, 2:].tolist()


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("model.net.positions rotary", {"positions": "rotary"}),
        ("model.net.norm rms", {"norm": "rms"}),
        ("model.net.activation swiglu", {"activation": "swiglu"}),
        ("model.net.ngrams.orders [2]", {"ngrams": NgramConfig([2], buckets=4, dim=2)}),
        ("model.net.extras.logit_softcap 5.0", {"extras": ExtrasConfig(logit_softcap=5.0)}),
    ],
)
def test_what_gpt2_has_not_is_named(option: str, settings: dict[str, Any], save: Save, run: Run) -> None:
    refused = run("export", f"--ckpt_path={save(random_gpt(5, **settings))}", "--to=out", "--format=transformers")
    assert (refused.code, refused.out, Path("out").exists()) == (2, "", False)
    assert f"error: {option}: GPT-2's form" in refused.err


def test_other_systems_are_refused(save: Save, run: Run) -> None:
    for module, said in (
        (GPTLanguageModel(5, gpt(), ensemble_size=2), "model.ensemble_size 2"),
        (system("rnn"), "this is a RNNLanguageModel"),
    ):
        refused = run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=transformers")
        assert (refused.code, said in refused.err) == (2, True), refused.err
