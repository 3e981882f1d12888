"""A fine-tuned encoder loads in transformers with equal states and ids, and another training starts from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.toy_questions import sentences
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from datamodules.tokenizers import TaggingTokenizer, WordPieceTokenizer
from seq_modules import PretrainedClassifier, PretrainedTagger
from seq_modules.nets.pretrained.encoder import LoRAConfig, PretrainedEncoderConfig
from seqlight.export.encoder_folder import PROBE, encoder_of

Save = Callable[..., str]
WORDPIECE = WordPieceTokenizer.train([text for text, *_ in sentences()] + ["Café"], 120, lower_case=False)
BERT = BertConfig(
    vocab_size=WORDPIECE.vocab_size, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=32,
).to_dict()  # fmt: skip
TEXTS = ["", "who wrote it ?", "Café CAFÉ cafe\u0301", "where is \N{GRINNING FACE}", PROBE]


def classifier(**options: Any) -> PretrainedClassifier:
    """A system whose every weight is random: fresh ones hide behind zeros and ones."""
    torch.manual_seed(0)
    net = PretrainedEncoderConfig(encoder_config=BERT, **options)
    module = PretrainedClassifier(WORDPIECE.vocab_size, 3, net=net).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    module.tokenizer = WORDPIECE
    return module


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "mean"},
        {"pooling": "pooler"},
        {"pooling": "attention", "pooled_layers": 2},
        {"tuning": "frozen", "pooling": "first", "standardize": True},
        {"tuning": "lora", "lora": LoRAConfig(2, targets="all")},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values() if not isinstance(value, LoRAConfig)),
)
def test_states_and_ids_are_equal(options: dict[str, Any], save: Save, run: Run) -> None:
    module = classifier(**options)
    done = run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=transformers")
    assert (done.code, done.out[:21]) == (0, "results: out    next:"), done.err
    model, tokenizer = AutoModel.from_pretrained("out"), AutoTokenizer.from_pretrained("out")
    assert type(model) is BertModel
    for text in TEXTS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == WORDPIECE.encode(text)
    batch = tokenizer(TEXTS[1:4], padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model(**batch)
        expected = module.encoder.model(**batch)
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=1e-5)
    if options.get("pooling") == "pooler":
        torch.testing.assert_close(found.pooler_output, expected.pooler_output, atol=1e-5, rtol=1e-5)


def test_another_training_starts_from_it(save: Save, run: Run) -> None:
    module = classifier()
    assert run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=transformers").code == 0
    assert "--model.net.pretrained out --data.tokenizer_path out" in Path("out/README.md").read_text()
    Path("texts.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label, _ in sentences()))
    done = run(
        "fit", "--config=reviews/bert", "--data.path=texts.csv", "--model.net.pretrained=out",
        "--data.tokenizer_path=out", "--data.tokens.max_seq_len=24", "--trainer.max_steps=1",
        "--model.net.tuning=frozen", "--trainer.accelerator=cpu",
    )  # fmt: skip
    assert done.code == 0, done.err
    started = torch.load(next(Path("runs").rglob("last.ckpt")), weights_only=True)["state_dict"]
    for name, value in module.encoder.model.state_dict().items():
        assert torch.equal(started[f"net.encoder.model.{name}"], value), name


def test_a_tagger_has_its_subwords_tokenizer(save: Save, run: Run) -> None:
    module = PretrainedTagger(WORDPIECE.vocab_size, 5, ["NOUN", "VERB"], PretrainedEncoderConfig(encoder_config=BERT))
    module.tokenizer = TaggingTokenizer("abc", pieces=WORDPIECE)
    assert run("export", f"--ckpt_path={save(module)}", "--to=out", "--format=transformers").code == 0
    theirs = AutoTokenizer.from_pretrained("out")
    assert theirs("who wrote it", add_special_tokens=False)["input_ids"] == WORDPIECE.encode("who wrote it")
    weights = AutoModel.from_pretrained("out").get_input_embeddings().weight
    assert torch.equal(weights, encoder_of(module).token_vectors())


def test_an_encoder_without_a_tokenizer_is_written_alone(save: Save, run: Run) -> None:
    module = classifier()
    module.tokenizer = None
    assert run("export", f"--ckpt_path={save(module)}", "--to=my encoder", "--format=transformers").code == 0
    card = Path("my encoder/README.md").read_text()
    assert "AutoTokenizer" not in card
    assert "--model.net.pretrained 'my encoder' --data" in card
    assert not list(Path("my encoder").glob("tokenizer*"))


def test_soft_prompts_are_refused(save: Save, run: Run) -> None:
    done = run("export", f"--ckpt_path={save(classifier(tuning='prefix'))}", "--to=out", "--format=transformers")
    assert done.code == 2
    assert "model.net.tuning prefix" in done.err
    assert "--format safetensors" in done.err
    assert not Path("out").exists()
