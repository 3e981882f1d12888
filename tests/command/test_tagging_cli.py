"""Taggers from the command line: a checkpoint without its training file, CoNLL-U in and out, mistakes in one line."""

from pathlib import Path

from conftest import Run
from helpers.commands.runs import newest, predictions
from helpers.commands.tagging import FIT, write_files

CONLLU = "# sent_id = 1\n1\tRose\t_\t_\t_\t_\t0\troot\t_\t_\n2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\n"
CONLLU += "2\tca\t_\tX\t_\t_\t1\taux\t_\t_\n3\tn't\t_\t_\t_\t_\t1\tdep\t_\t_\n\n"


def test_a_checkpoint_needs_no_training_file(run: Run) -> None:
    write_files(Path())
    done = run("fit", *FIT, "--trainer.max_epochs=1", "--data.batch_size=8")
    assert done.code == 0, done.err
    Path("tags/train.tsv").unlink()
    confusion = '--trainer.callbacks=[{"class_path":"ConfusionMatrix"}]'
    done = run("test", "--ckpt_path=best", confusion)
    assert done.code == 0, done.err
    table = newest("classes.csv").read_text().splitlines()
    assert table[0] == "class,precision,recall,f1,rows"
    assert {line.split(",")[0] for line in table[1:]} >= {"B-NP", "I-NP", "O"}
    assert newest("confusion_matrix.png").is_file()

    Path("in.conllu").write_text(CONLLU)
    done = run("predict", "--ckpt_path=last", "--data.predict.path=in.conllu")
    assert done.code == 0, done.err
    (row,) = predictions()
    assert row["words"] == ["Rose", "ca", "n't"]
    written = newest("predictions.conllu").read_text().split("\n")
    expected = CONLLU.split("\n")
    for number, label in zip((1, 3, 4), row["labels"], strict=True):
        cells = expected[number].split("\t")
        expected[number] = "\t".join([*cells[:3], label, *cells[4:]])
    assert written == expected

    Path("tags/test.tsv").write_text("a DET B-NP\nb NOUN I-XP\n")
    done = run("test", "--ckpt_path=best")
    assert done.code == 2
    assert "path tags/test.tsv: line 2: I-XP follows B-NP, but must follow B-XP or I-XP" in done.err.replace(
        "--data.", ""
    )


def test_mistakes_end_in_one_line(run: Run) -> None:
    write_files(Path())
    with Path("tags/dev.tsv").open("a") as file:
        file.write("\nonly\n")
    line = len(Path("tags/dev.tsv").read_text().splitlines())
    for words, message in (
        ((), f"tags/dev.tsv: line {line} has 1 columns, but the lines before have 3; mend the line"),
        (("--data.columns.label=0",), "data.columns.label 0: columns are counted from 1, or from the last one, -1"),
        (("--model.net.characters.encoder=bytes",), "net.characters.encoder"),
    ):
        done = run("fit", *FIT, *words)
        assert done.code == 2, done.out
        assert message in done.err, done.err
        assert "Traceback" not in done.err
