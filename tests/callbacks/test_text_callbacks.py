"""What language models show: samples, text as it grows, attention, tests of English."""

import csv
import sys
import warnings
from pathlib import Path

import pytest
import torch
from conftest import Run
from lightning.pytorch import Trainer

from datamodules.tokenizers.byte import ByteTokenizer
from seq_modules import RNNLanguageModel
from seq_modules.callbacks import EnglishTests, Samples, TextStream
from seq_modules.generation.sampling import Decoding

SMALL = (
    "--model.d_model=16", "--model.num_layers=2", "--model.num_heads=2", "--data.seq_len=32", "--data.batch_size=8",
    "--data.epoch_size=24", "--data.eval_windows=8", "--data.cache_dir=cache", "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
)  # fmt: skip


def callbacks(*classes: str) -> str:
    return f"--trainer.callbacks=[{','.join(classes)}]"


def test_samples_stand_in_the_run_and_do_not_disturb_training(run: Run) -> None:
    sample = '{"class_path":"Samples","init_args":{"prompt":"If ","max_new_tokens":7}}'
    weights = []
    for chosen in (callbacks(sample), callbacks()):
        done = run("fit", "--config=text/gpt_char", *SMALL, chosen)
        assert done.code == 0, done.err
        newest = max(Path().rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
        weights.append(torch.load(newest, weights_only=True)["state_dict"])
    (samples,) = Path().rglob("samples.md")
    text = samples.read_text()
    assert text.count("## Step") == 2
    assert "If " in text
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^prompt is empty"):
        Samples(prompt="")


def test_english_tests_attention_and_positions_are_written(run: Run) -> None:
    Path("own.csv").write_text("good,bad\na cat,a caat\nonly one column\n")
    Path("blimp.jsonl").write_text(
        '{"sentence_good": "He sees.", "sentence_bad": "He see.", "UID": "verbs"}\nnot json\n'
    )
    run("fit", "--config=text/gpt_char", *SMALL, "--model.positions=learned", callbacks())
    english = '{"class_path":"EnglishTests","init_args":{"per_kind":3,"pairs":"own.csv","blimp":"blimp.jsonl"}}'
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        done = run("test", "--ckpt_path=best", callbacks(english, '{"class_path":"AttentionMaps"}'))
    assert done.code == 0, done.err
    said = " ".join(str(warning.message) for warning in warned)
    assert "own.csv:3" in said
    assert "blimp.jsonl:2" in said
    (table,) = Path().rglob("english.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"spelling_seen", "spelling_unseen", "grammar", "own", "blimp"} <= {row["suite"] for row in rows}
    assert all(float(row["low"]) - 1e-9 <= float(row["accuracy"]) <= float(row["high"]) + 1e-9 for row in rows)
    names = {path.name for path in table.parent.glob("plots/*.png")}
    assert {"english.png", "attention.png", "positions.png"} <= names
    assert "test/grammar" in done.out


@pytest.mark.parametrize(("arguments", "named"), [({"per_kind": 0}, "per_kind"), ({"context": -1}, "context")])
def test_english_tests_refuse(arguments: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        EnglishTests(**arguments)  # type: ignore[arg-type]


def test_a_missing_file_of_pairs_is_named(run: Run) -> None:
    run("fit", "--config=text/gpt_char", *SMALL, callbacks())
    done = run("test", "--ckpt_path=best", callbacks('{"class_path":"EnglishTests","init_args":{"pairs":"gone.csv"}}'))
    assert done.code == 2
    assert "gone.csv" in done.err


def test_text_is_shown_as_it_grows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    module = RNNLanguageModel(256, d_model=8, hidden_size=8)
    module.tokenizer = ByteTokenizer()
    stream, trainer = TextStream(), Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    stream.on_predict_start(trainer, module)
    assert module.on_text is None  # nobody is looking
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    stream.on_predict_start(trainer, module)
    module.decoding = Decoding(max_new_tokens=9)
    ids = torch.tensor([[97, 98], [99, 100]])
    batch = {"input_ids": ids, "lengths": torch.tensor([2, 2]), "index": torch.tensor([3, 4]), "prompts": ["ab", "cd"]}
    stream.on_predict_batch_start(trainer, module, batch, 0)
    capsys.readouterr()
    rows = module.predict_step(batch, 0)
    stream.on_predict_batch_end(trainer, module, rows, batch, 0)
    stream.on_predict_end(trainer, module)
    shown = capsys.readouterr().out
    assert module.on_text is None
    for row in rows:
        whole = row["continuation"].rstrip("\N{REPLACEMENT CHARACTER}")
        assert f"[{row['index']}] {row['prompt']}{whole}" in shown
