"""Translation from the command line: a checkpoint without its training file, pictures without a recipe, mistakes."""

import shutil
from pathlib import Path

import pytest
from conftest import Run
from helpers.commands.runs import newest, predictions
from helpers.commands.translation import TRANSFORMER

import seqlight
from datamodules.seq2seq.example_pairs import TRAIN
from seq_modules.generation.decoding_config import Decoding

LINES = [
    "Ein Mann repariert das alte Dach vor dem Haus.",
    "",
    "Ein Hund",
    "Die Katze schläft.",
    "Zwei Kinder im Garten",
]
SHORT = ("--trainer.max_epochs=1", "--trainer.accelerator=cpu")
RNN = (
    "--model=Seq2SeqRNN", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8", "--model.net.attention_size=8",
)  # fmt: skip


def write_pairs(*more: tuple[str, str]) -> None:
    """Writes pairs.tsv: the built-in sentences and more, the header in line 1."""
    Path("pairs.tsv").write_text("de\ten\n" + "".join(f"{de}\t{en}\n" for de, en in [*TRAIN, *more]), encoding="utf-8")


@pytest.mark.parametrize("shared", [True, False])
def test_a_checkpoint_alone_translates(run: Run, shared: bool) -> None:
    write_pairs()
    separate = (
        *RNN, *SHORT, "--data=TranslationDataModule", "--data.cache_dir=cache", "--data.tokens.shared=false",
        "--data.source_vocab_size=110", "--data.vocab_size=100",
    )  # fmt: skip
    data = ("--data.path=pairs.tsv", "--data.tokenizer=words", "--data.tokens.min_count=1", "--trainer.max_epochs=1")
    done = run("fit", *(TRANSFORMER if shared else separate), *data)
    assert done.code == 0, done.err
    Path("alone").mkdir()
    shutil.move(newest("last.ckpt"), "alone/moved.ckpt")
    for left in ("runs", "cache", "pairs.tsv"):
        (shutil.rmtree if Path(left).is_dir() else Path.unlink)(Path(left))
    Path("alone/in.txt").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    drawn = ("--decoding.max_new_tokens=6", "--decoding.temperature=1")
    done = run(
        "predict", "--ckpt_path=alone/moved.ckpt", "--data.texts_path=alone/in.txt", "--data.batch_size=2", *drawn
    )
    assert done.code == 0, done.err

    module = seqlight.load("alone/moved.ckpt")
    assert module.tokenizer.shared == shared
    if not shared:
        assert (module.tokenizer.source_vocab_size, module.tokenizer.vocab_size) == (110, 100)
    expected = [best[0].text for best in module.generate(LINES, Decoding(max_new_tokens=6, temperature=1))]
    assert len(set(expected)) == len(LINES)  # so that another order is another file
    assert newest("out.txt").read_text(encoding="utf-8").split("\n") == [*expected, ""]
    assert [row["source"] for row in predictions()] == LINES
    assert (predictions()[1]["translation"], predictions()[1]["score"]) == ("", None)


def test_the_attention_is_drawn_without_a_recipe(run: Run) -> None:
    sizes = ("--data.train_size=20", "--data.val_size=5", "--data.test_size=5")
    done = run("fit", *RNN, "--data=DatesDataModule", *sizes, *SHORT)
    assert done.code == 0, done.err
    assert not list(Path().rglob("attention.html"))
    once = ("--trainer.callbacks+=Alignments", "--trainer.callbacks.count=1", "--decoding.max_new_tokens=4")
    done = run("test", "--ckpt_path=last", *once)
    assert done.code == 0, done.err
    folder = newest("attention.html").parent
    assert [path.name for path in folder.rglob("alignment_*.png")] == ["alignment_1.png"]  # as the callback given says


def test_what_is_too_long_is_named_by_its_line(run: Run) -> None:
    long = "Hund " * 40
    write_pairs()
    Path("val.tsv").write_text(f"de\ten\nEin Hund.\tA dog.\n{long}\tA dog.\n", encoding="utf-8")
    settings = (
        *TRANSFORMER, "--model.net.max_seq_len=32", "--data.tokenizer=words", "--data.path=pairs.tsv",
        "--trainer.max_epochs=1",
    )  # fmt: skip
    done = run("fit", *settings, "--data.split.val_path=val.tsv")
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert "val.tsv: line 3 has 41 tokens, and the net reads 32 at most (net.max_seq_len); raise it" in done.err
    write_pairs((long, "A dog."))
    done = run("fit", *settings, "--data.split.val_path=pairs.tsv", "--data.tokens.max_len=64")
    assert f"pairs.tsv: line {len(TRAIN) + 2} has 41 tokens, and the net reads 32 at most" in done.err
    assert "or lower data.tokens.max_len to it" in done.err
    write_pairs()
    done = run("fit", *settings, "--data.split.val_path=pairs.tsv")
    assert done.code == 0, done.err
    Path("in.txt").write_text(f"Ein Hund\n\n{long}\nEin Mann\n", encoding="utf-8")
    done = run("predict", "--ckpt_path=last", "--data.texts_path=in.txt")
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert (
        "texts_path in.txt: line 3 has 41 tokens, and the net reads 32 at most (net.max_seq_len); split it" in done.err
    )
    assert not list(Path().rglob("*.part"))
    done = run("predict", "--ckpt_path=last", f'--data.texts=["Ein Hund", "{long}"]')
    assert "texts: number 2 has 41 tokens, and the net reads 32 at most" in done.err
