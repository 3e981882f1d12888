"""A language model from the command line: prediction from a checkpoint alone, decoding by flags, mistakes."""

import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import Run, run_in
from helpers.commands.runs import LINES, SMALL_GPT, newest, predictions

import seqlight
from datamodules.tokenizers.char import CharTokenizer
from seq_modules.generation.decoding_config import Decoding
from seqlight.core.plots import read_metrics

SMALL = (*SMALL_GPT, "--trainer.callbacks=[]")


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with lines.txt, a model that was trained on it with a tokenizer, and its cache; made once for each."""

    @cache
    def train(tokenizer: str) -> Path:
        folder = tmp_path_factory.mktemp(tokenizer)
        (folder / "lines.txt").write_text(LINES)
        words = ("--data.path=lines.txt", f"--data.tokenizer={tokenizer}", "--data.vocab_size=272")
        run_in(folder, "fit", *SMALL, *words)
        return folder

    return train


@pytest.fixture(params=["char", "unigram", "byte"])
def trained(request: pytest.FixtureRequest, trainings: Callable[[str], Path], tmp_path: Path) -> str:
    shutil.copytree(trainings(request.param), tmp_path, dirs_exist_ok=True)
    return request.param


@pytest.fixture
def trained_on_characters(trainings: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(trainings("char"), tmp_path, dirs_exist_ok=True)


def test_a_checkpoint_alone_writes_text(run: Run, trained: str) -> None:
    Path("lines.txt").unlink()  # neither the corpus nor its cache is there any more
    Path("cache").rename("gone")
    few = ("--decoding.max_new_tokens=12", "--data.batch_size=1")
    done = run("predict", "--ckpt_path=best", '--data.prompts=["he went", "she"]', *few)
    assert done.code == 0, done.err
    rows = predictions()
    assert [row["prompt"] for row in rows] == ["he went", "she"]
    module = seqlight.load("best")
    assert module.generate(["he went", "she"], Decoding(max_new_tokens=12)) == [row["continuation"] for row in rows]
    # Greedy and seeded: flags of decoding take effect, and a row's draws do not depend on its batch.
    run("predict", "--ckpt_path=best", '--data.prompts=["he went", "she"]', "--decoding.max_new_tokens=12")
    assert predictions() == rows
    Path("draft.txt").write_text(LINES)
    guessed = ("--decoding.num_speculative_tokens=3", "--decoding.draft_text=draft.txt")  # which changes no token
    run("predict", "--ckpt_path=best", '--data.prompts=["he went"]', *few, "--decoding.temperature=0", *guessed)
    greedy = module.generate(["he went"], Decoding(max_new_tokens=12, temperature=0))
    assert [row["continuation"] for row in predictions()] == greedy
    run("predict", "--ckpt_path=best", '--data.prompts=["he went", "she"]', *few, "--decoding.beams=3")
    best = module.generate(["he went", "she"], Decoding(max_new_tokens=12, beams=3))
    assert [row["continuation"] for row in predictions()] == best


def test_a_checkpoint_alone_changes_prompts_as_it_changed_its_text(run: Run) -> None:
    table = ["text", *(f'"{line.upper()}!"' for line in LINES.splitlines())]
    Path("lines.csv").write_text("\n".join(table) + "\n")
    words = ("--data.tokenizer=word", "--data.text.column=text", "--data.text.lower_case=true")
    done = run("fit", *SMALL, "--data.path=lines.csv", *words, "--data.text.strip_punctuation=true")
    assert done.code == 0, done.err
    Path("lines.csv").unlink()
    Path("cache").rename("gone")
    few = ("--decoding.max_new_tokens=6", "--decoding.temperature=0")
    done = run("predict", "--ckpt_path=best", '--data.prompts=["he went", "He, WENT; "]', *few)
    assert done.code == 0, done.err
    first, second = (row["continuation"] for row in predictions())
    assert first == f" {second}"
    assert second == second.lower()
    assert len(second.split()) == 6
    done = run("predict", "--ckpt_path=best", "--data.prompts=['!']")
    assert done.code == 2
    assert "nothing is left of '!'" in done.err
    done = run("predict", "--ckpt_path=best", "--data.text.lower_case=false", "--data.tokenizer_path=null")
    assert done.code == 2


def test_test_and_resume_go_on_with_the_same_tokenizer(run: Run, trained: str) -> None:
    done = run(
        "test", "--ckpt_path=best", '--trainer.callbacks=[{"class_path":"EnglishTests","init_args":{"per_kind":2}}]'
    )
    assert done.code == 0, done.err
    assert "test/bits_per_character" in done.out
    before = seqlight.load("last").tokenizer.fingerprint
    Path("other.txt").write_text(LINES.replace("sea", "zoo"))  # characters that the first text has not
    done = run("fit", "--ckpt_path=last", "--trainer.max_epochs=3", "--data.path=other.txt")
    assert done.code == 0, done.err
    assert seqlight.load("last").tokenizer.fingerprint == before


@pytest.mark.parametrize("words", [("--data.tokenizer_path=null",), ("--data.tokenizer=char",)])
@pytest.mark.usefixtures("trained_on_characters")
def test_another_tokenizer_is_refused_with_both_fingerprints(run: Run, words: tuple[str, ...]) -> None:
    held = torch.load(next(Path().rglob("best.ckpt")), weights_only=True)["tokenizer_fingerprint"]
    Path("other.txt").write_text(LINES.replace("w", "q"))  # as many characters, one of them another
    theirs = CharTokenizer.train([LINES.replace("w", "q")]).fingerprint
    done = run("test", "--ckpt_path=best", "--data.path=other.txt", *words)
    assert done.code == 2
    assert held in done.err
    assert theirs in done.err
    assert "leave out" in done.err


@pytest.mark.parametrize("word", ["--data.tokenizer=byte", "--config={data: {init_args: {tokenizer: byte}}}"])
@pytest.mark.usefixtures("trained_on_characters")
def test_a_tokenizer_of_another_size_is_refused(run: Run, word: str) -> None:
    done = run("test", "--ckpt_path=best", word)
    assert done.code == 2
    assert "do not fit the model" in done.err


@pytest.mark.usefixtures("trained_on_characters")
def test_a_config_with_the_tokenizer_of_the_checkpoint_leaves_it(run: Run) -> None:
    Path("other.txt").write_text(LINES.replace("sea", "zoo"))  # characters that the first text has not
    done = run("test", "--ckpt_path=best", "--config={data: {init_args: {tokenizer: char}}}", "--data.path=other.txt")
    assert done.code == 0, done.err


@pytest.mark.usefixtures("trained_on_characters")
def test_a_text_with_any_line_end_is_written_as_one_row(run: Run) -> None:
    done = run("predict", "--ckpt_path=best", '--data.prompts=["he\\u2028went", "she"]')
    assert done.code == 0, done.err
    assert [row["prompt"] for row in predictions()] == ["he\u2028went", "she"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data.path=nowhere.txt",), "nowhere.txt"),
        (("--data.path=empty.txt",), "empty"),
        (("--data.path=short.txt",), "seq_len"),
        (("--data.path=latin.txt",), "encoding"),
        (("--data.path=lines.txt", "--model.net.num_heads=3"), "net.num_heads 3"),
        (("--data.path=lines.txt", "--data.seq_len=0"), "seq_len"),
        (("--data.path=lines.txt", "--data.seq_len=192"), "data.seq_len 192 is longer than max_seq_len 128"),
        (("--data.path=lines.txt", "--data.tokenizer=unigram", "--data.vocab_size=50"), "data.vocab_size"),
        (("--data.path=lines.txt", "--decoding.temperature=-1"), "decoding.temperature"),
        (("--data.path=lines.txt", "--decoding.beams=3", "--decoding.top_k=5"), "decoding.top_k 5 is for sampling"),
        (("--data.path=lines.txt", "--data.split.val_fraction=2"), "val_fraction"),
    ],
)
def test_mistakes_get_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    Path("lines.txt").write_text(LINES)
    Path("empty.txt").write_text("")
    Path("short.txt").write_text("too short for a window")
    Path("latin.txt").write_bytes("naïve café\n".encode("latin-1") * 200)
    done = run("fit", *SMALL, *words)
    assert done.code == 2, done.out + done.err
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("trained_on_characters")
def test_a_prompt_that_is_empty_is_named(run: Run) -> None:
    done = run("predict", "--ckpt_path=best", '--data.prompts=["he", ""]')
    assert done.code == 2
    assert "prompts" in done.err


@pytest.mark.usefixtures("trained_on_characters")
def test_stop_strings_end_a_text(run: Run) -> None:
    run("predict", "--ckpt_path=best", '--data.prompts=["he went"]', '--data.stop=[" "]')
    assert all(" " not in row["continuation"] for row in predictions())


@pytest.mark.usefixtures("trained_on_characters")
def test_a_test_and_a_prediction_that_adapt(run: Run) -> None:
    before = newest("best.ckpt").read_bytes()
    done = run("test", "--ckpt_path=best", "--adapt")
    assert done.code == 0, done.err
    metrics = {name: points[-1][1] for name, points in read_metrics(newest("metrics.csv")).items()}
    assert metrics["test/loss_adaptive"] < metrics["test/loss"] / 2  # six lines again and again
    assert metrics["test/bits_per_character_adaptive"] == pytest.approx(metrics["test/loss_adaptive"] / math.log(2))
    prompt = "a toad sang.\n" * 12 + "a to"  # of letters that the training text has, in words that it has not
    few = ("--decoding.max_new_tokens=12", "--decoding.temperature=0", f"--data.prompts={json.dumps([prompt])}")
    done = run("predict", "--ckpt_path=best", *few, "--adapt")
    assert done.code == 0, done.err
    assert predictions()[0]["continuation"] == "ad sang.\na t"
    assert newest("best.ckpt").read_bytes() == before
    done = run("fit", *SMALL, "--data.path=lines.txt", "--adapt")
    assert done.code == 2
    assert "--adapt is for test and predict" in done.err
    assert not [folder for folder in Path("runs").glob("*/*/*") if not any(folder.iterdir())]
