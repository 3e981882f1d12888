"""Every system comes back from its folder with equal outputs, and nothing in a folder is executed."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import LINES
from helpers.disks import full_disk
from helpers.systems import DATA, MODULES, VOCAB, gpt, system
from safetensors.torch import load_file, save_file

import seqlight
from datamodules.tokenizers import SentencePieceTokenizer, TokenizerPair
from seq_modules import GPTLanguageModel, Seq2SeqTransformer, SequenceModule
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import class_path
from seqlight.export import model_card

Save = Callable[..., str]


@pytest.mark.parametrize("name", MODULES)
def test_round_trip(name: str, save: Save, run: Run) -> None:
    module, data = system(name).eval(), DATA[name](4)
    data.setup("fit")
    module.tokenizer = getattr(data, "tokenizer", module.tokenizer)
    done = run("export", f"--ckpt_path={save(module, data)}", "--to=out")
    assert (done.code, done.out[:21]) == (0, "results: out    next:"), done.err
    Path("model.ckpt").unlink()
    found = seqlight.load("out")
    assert type(found) is type(module)
    assert not found.training
    assert found.data_hparams["_class_path"] == class_path(type(data))
    batch = data.train_set.__getitems__([0, 1, 2])
    with torch.no_grad():
        assert torch.equal(found.step(batch).loss_sum, module.step(batch).loss_sum)
    if module.tokenizer is not None:
        assert found.tokenizer.fingerprint == module.tokenizer.fingerprint


@pytest.mark.parametrize("format", ["safetensors", "transformers"])
def test_a_full_disk_leaves_no_folder(format: str, save: Save, run: Run) -> None:
    path = save(GPTLanguageModel(VOCAB, gpt(positions="learned")))
    before = sorted(Path().iterdir())
    with full_disk(2000):
        done = run("export", f"--ckpt_path={path}", "--to=out", f"--format={format}")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert f"seqlight: error: {Path('out').absolute()} cannot be written (" in done.err
    assert sorted(Path().iterdir()) == before


def test_tied_weights_are_there_once(save: Save, run: Run) -> None:
    module = GPTLanguageModel(VOCAB, gpt())
    assert run("export", f"--ckpt_path={save(module)}", "--to=out").code == 0
    held = load_file("out/model.safetensors")
    assert ("net.token_embedding.weight" in held) + ("net.head.weight" in held) == 1
    found = seqlight.load("out")
    assert found.net.head.weight is found.net.token_embedding.weight
    assert torch.equal(found.net.head.weight, module.net.head.weight)


def test_sentencepiece_models_are_files_of_their_own(save: Save, run: Run) -> None:
    sides = [SentencePieceTokenizer.train([LINES], "unigram", size, at_most=True) for size in (280, 285)]
    pair = TokenizerPair(*sides)
    sizes = Seq2SeqTransformerConfig(16, 1, 1, 2)
    module = Seq2SeqTransformer(pair.source_vocab_size, pair.vocab_size, sizes)
    module.tokenizer = pair
    assert run("export", f"--ckpt_path={save(module)}", "--to=out").code == 0
    assert [Path(f"out/tokenizer.{side}.model").read_bytes() for side in ("source", "target")] == [
        side.model for side in sides
    ]
    assert seqlight.load("out").tokenizer.fingerprint == pair.fingerprint


def test_a_run_s_card(run: Run, run_folder: Path) -> None:
    tested = run_folder / "test/2026-01-01_00-00-00"
    tested.mkdir(parents=True)
    (tested / "metrics.csv").write_text("epoch,step,test/loss\n0,7,0.125\n")
    (run_folder / "test/older").mkdir()
    (run_folder / "test/older/metrics.csv").write_text("epoch,step,test/loss,test/other\n0,3,0.5,0.5\n")
    done = run("export", "--ckpt_path=best", "--to=given/away")
    assert done.code == 0, done.err
    card = Path("given/away/README.md").read_text()
    assert card.startswith("---\nlicense:  # fill in")
    assert "# parity/lstm_last\n" in card
    assert re.search(r"\| `val/accuracy_last` \| 0\.\d+ \|", card)
    assert "| `test/loss` | 0.125 |" in card
    assert "test/other" not in card  # of another step
    shown = run("fit", "--config=given/away/training.yaml", "--print_config")
    assert "hidden_size: 4" in shown.out, shown.err
    assert "train_size: 256" in shown.out


def test_the_card_names_files_by_fingerprint_and_without_folders(save: Save, run: Run) -> None:
    data = DATA["parity"](4)
    data.hparams["path"] = "/home/anna/secret/bits.txt"
    checkpoint = save(system("parity"), data, data_files={"path": "0123456789ab"})
    assert run("export", f"--ckpt_path={checkpoint}", "--to=out").code == 0
    written = "".join(file.read_text() for file in Path("out").iterdir() if file.suffix != ".safetensors")
    assert "| `--data.path` | `bits.txt` | `0123456789ab` |" in written
    assert "anna" not in written


class Undescribed(SequenceModule):
    pass


def test_the_card_of_a_class_without_a_docstring_says_nothing_of_its_base() -> None:
    content = {"hyper_parameters": {"_class_path": f"{__name__}.Undescribed"}, "state_dict": {}}
    text = model_card.card(content, Path("a.ckpt"), False, "seqlight", "")
    assert "A `Undescribed` of seqlight with 0 weights.\n" in text


def test_what_is_there_stays(save: Save, run: Run) -> None:
    words = ("export", f"--ckpt_path={save(system('parity'))}")
    Path("full").mkdir()
    (Path("full") / "mine").write_text("kept")
    Path("file").write_text("kept")
    Path("empty").mkdir()
    for target, said in (
        ("full", "has files in it"),
        ("file", "is there already, and no folder"),
        (".", "working directory"),
    ):
        refused = run(*words, f"--to={target}")
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
        assert "Traceback" not in refused.err
    for more, said in ((), "required: --to"), (("--to=out", "--format=pickle"), "invalid choice: 'pickle'"):
        refused = run(*words, *more)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    assert (Path("full/mine").read_text(), Path("file").read_text()) == ("kept", "kept")
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "file", "full", "model.ckpt"]  # no part is left
    assert run(*words, "--to=empty").code == 0


class Executed:
    """Would make a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("executed", "w")


def test_a_folder_is_not_trusted(save: Save, run: Run) -> None:
    assert run("export", f"--ckpt_path={save(system('rnn'))}", "--to=out").code == 0
    folder = Path("out")
    config, weights = (folder / "config.json").read_text(), (folder / "model.safetensors").read_bytes()

    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match):
            seqlight.load("out")
        (folder / "config.json").write_text(config)
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "tokenizer_state.json").unlink(missing_ok=True)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Executed()))
    refused("not a safetensors file")
    (folder / "model.safetensors").write_bytes(weights[:-7])
    refused("not a safetensors file")
    save_file(
        {name: held[..., :1].contiguous() for name, held in load_file(folder / "model.safetensors").items()}, "other"
    )
    (folder / "model.safetensors").write_bytes(Path("other").read_bytes())
    refused("do not fit the model")
    (folder / "config.json").write_text(config.replace("seq_modules.RNNLanguageModel", "os.system"))
    refused("none of this program's")
    (folder / "config.json").write_text(config.replace('"d_model": 16', '"d_model": 1000000000'))
    refused("far larger than the checkpoint|does not fit|do not fit|more memory")
    (folder / "config.json").write_text(config.replace('"format_version": 1', '"format_version": 2'))
    refused("format_version is 2")
    (folder / "config.json").write_text("[" * 100_000)
    refused("not JSON")
    (folder / "config.json").write_text(json.dumps({**json.loads(config), "epoch": "x"}))
    refused("`epoch` must be")
    (folder / "tokenizer_state.json").write_text('{"kind": "sentencepiece", "model": {"file": "../model.ckpt"}}')
    refused("no name of a tokenizer's file")
    assert not Path("executed").exists()
    seqlight.load("out")
