"""ONNX graphs compute in onnxruntime what their systems compute, at other lengths than those they were traced at.

Here are a graph with a state, and an encoder of unequal lengths with its decoder, since tracing takes seconds;
benchmarks/reliability/onnx_exports.py has all systems with their variants.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.systems import VOCAB, gpt, system
from torch import Tensor, nn

from datamodules.tokenizers import CharTokenizer
from seq_modules import (
    FormalLanguageModule,
    GPTLanguageModel,
    MLPClassifier,
    RNNLanguageModel,
    Seq2SeqRNN,
    SequenceModule,
)
from seq_modules.nets.hashing.word_hashes import WordHashes
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.symbol_net import SymbolNetConfig
from seq_modules.nets.text.ngram_net import NgramConfig, NgramNet
from seq_modules.nets.transformer import gpt_extras as hashed
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.training.optim import OptimConfig
from seqlight.export.onnx_layers import OnnxNgramNet

Save = Callable[..., str]
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def randomised(module: SequenceModule) -> SequenceModule:
    """The module with weights that no error can hide behind."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.eval()


def session(graph: str) -> Callable[..., list[Tensor]]:
    """A graph in onnxruntime as a function of tensors."""
    made = onnxruntime.InferenceSession(f"out/{graph}.onnx", providers=["CPUExecutionProvider"])

    def call(**inputs: Tensor) -> list[Tensor]:
        found = made.run(None, {name: value.numpy() for name, value in inputs.items()})
        return [torch.from_numpy(value) for value in found]

    return call


def export(run: Run, save: Save, module: SequenceModule) -> None:
    done = run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=onnx")
    assert (done.code, done.out[:21]) == (0, "results: out    next:"), done.err
    assert "onnx" not in done.err


@torch.no_grad()
def test_a_language_model_step_by_step(save: Save, run: Run) -> None:
    module = randomised(RNNLanguageModel(VOCAB, RNNConfig(6, rnn=RecurrentConfig("lstm", 8, 2))))
    module.tokenizer = CharTokenizer("abcdefghijkl")
    export(run, save, module)
    model = session("model")
    for rows, steps in ((1, 1), (4, 17)):
        ids = torch.randint(VOCAB, (rows, steps))
        h = c = torch.zeros(2, rows, 8)
        whole = model(input_ids=ids, h=h, c=c)[0]
        torch.testing.assert_close(whole, module(ids), atol=1e-4, rtol=1e-4)
        for step in range(steps):
            logits, h, c = model(input_ids=ids[:, step : step + 1], h=h, c=c)
            torch.testing.assert_close(logits[:, 0], whole[:, step], atol=1e-4, rtol=1e-4)
    config = json.loads(Path("out/config.json").read_text())
    assert config["graphs"]["model.onnx"]["inputs"]["h"]["axes"] == [2, "batch", 8]
    assert json.loads(Path("out/tokenizer_state.json").read_text())["alphabet"] == "abcdefghijkl"
    assert "| `model` | `next_c` | (2, batch, 8) |" in Path("out/README.md").read_text()
    assert b"/seq_modules/" not in Path("out/model.onnx").read_bytes()  # no lines of this machine's files


@torch.no_grad()
def test_a_gpt_that_knows_words_at_any_length(save: Save, run: Run) -> None:
    ngrams = hashed.NgramConfig([2], buckets=16, dim=4, words=[1, 0])
    module = randomised(GPTLanguageModel(VOCAB, GPTConfig(8, 1, 2, 48, positions="rotary", ngrams=ngrams)))
    contexts = next(part for part in module.modules() if isinstance(part, WordHashes))
    contexts.set_pieces(["a", " ", "b", ".", *(chr(ord("c") + number) for number in range(VOCAB - 4))])
    export(run, save, module)
    for rows, steps in ((1, 1), (4, 17), (2, 48)):
        ids = torch.randint(VOCAB, (rows, steps))
        torch.testing.assert_close(session("model")(input_ids=ids)[0], module(ids), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_translator_word_by_word(save: Save, run: Run) -> None:
    rnn = RecurrentConfig("gru", 4, bidirectional=True)
    module = randomised(Seq2SeqRNN(9, 7, Seq2SeqRNNConfig(5, "dot", dropout=0.0, rnn=rnn)))
    export(run, save, module)
    encoder, decoder = session("encoder"), session("decoder")
    mask = torch.arange(6) < torch.tensor([[6], [2]])
    sources, targets = torch.randint(9, (2, 6)), torch.randint(7, (2, 3))
    states, h = encoder(source_ids=sources, source_mask=mask)
    found = []
    for step in range(3):
        given: dict[str, Any] = {"states": states, "source_mask": mask, "h": h}
        logits, h = decoder(target_ids=targets[:, step : step + 1], **given)
        found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), module(sources, mask, targets), atol=1e-4, rtol=1e-4)


def test_keys_of_ngrams_are_found_by_halving() -> None:
    net = NgramNet(6, 2, NgramConfig(max_order=2))
    ids, mask = torch.tensor([[1, 2, 3, 1, 2], [4, 4, 5, 0, 0]]), torch.ones(2, 5, dtype=torch.bool)
    net.count([{"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1])}])
    nn.init.normal_(net.weight)
    others = torch.randint(6, (40, 7))
    seen = torch.ones_like(others, dtype=torch.bool)
    assert torch.equal(OnnxNgramNet(net).rows(others, seen), net.rows(others, seen))
    torch.testing.assert_close(OnnxNgramNet(net)(others, seen), net(others, seen))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (system("music"), "RNNMusicDecoder: cannot be exported, since it draws"),
        (
            FormalLanguageModule(3, 5, net=SymbolNetConfig(rnn=RecurrentConfig("mingru", 4))),
            "net.rnn.cell mingru: cannot be exported, since ONNX has operators for rnn, lstm and gru alone",
        ),
        (
            RNNLanguageModel(5, RNNConfig(4, rnn=RecurrentConfig("gru", 4, layer_norm=True, backend="loop"))),
            "net.rnn.layer_norm true: cannot be exported",
        ),
        (
            MLPClassifier(["x"], ["a", "b"], style="numpy", optim=OptimConfig(optimizer="sgd")),
            "model.style numpy: cannot be exported",
        ),
    ],
    ids=["music", "mingru", "layer norm", "numpy"],
)
def test_what_cannot_be_a_graph_says_why(module: SequenceModule, said: str, save: Save, run: Run) -> None:
    refused = run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=onnx")
    assert (refused.code, refused.out, Path("out").exists()) == (2, "", False)
    assert said in refused.err
    assert len(refused.err.splitlines()) == 2  # the second tells of --debug


def test_the_extra_may_be_missing(save: Save, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr("seqlight.export.onnx_folder.find_spec", lambda name: None if name == "onnxscript" else name)
    checkpoint = save(GPTLanguageModel(5, gpt()))
    refused = run("export", f"--ckpt_path={checkpoint}", "--to=out", "--format=onnx")
    assert (refused.code, "pip install 'seqlight[onnx]'" in refused.err) == (2, True)
