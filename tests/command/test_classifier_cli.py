"""A classifier from the command line: what a checkpoint alone can do, other data, mistakes."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import newest, predictions
from transformers import BertConfig, BertModel

import seqlight
from datamodules.classification.question_templates import synthetic_questions
from seqlight.checkpoints import read_checkpoint

SMALL = (
    "--model.net.d_model=16", "--model.net.rnn.hidden_size=16", "--data.batch_size=16", "--data.cache_dir=cache",
    "--trainer.max_epochs=1", "--trainer.limit_train_batches=6", "--trainer.limit_val_batches=2",
    "--trainer.log_every_n_steps=2", "--trainer.accelerator=cpu", "--trainer.callbacks=[]",
)  # fmt: skip
BERT = tuple(word for word in SMALL if not word.startswith("--model"))


def test_a_checkpoint_alone_tests_and_predicts_in_the_order_of_the_texts(run: Run) -> None:
    done = run("fit", "--config=questions/gru", *SMALL)
    assert done.code == 0, done.err
    Path("cache").rename("gone")  # the learned tokenizer is in the checkpoint
    texts = ["Who wrote Hamlet ?", "Why ?", "How many miles is it from the one end of the long river to the other ?"]
    words = (f"--data.predict.texts={json.dumps(texts)}", "--data.batch_size=2", "--predictions=csv")
    done = run("predict", "--ckpt_path=best", *words)
    assert done.code == 0, done.err
    rows = predictions()
    with newest("predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == texts
    assert [row["text"] for row in rows] == texts
    assert not Path("cache").exists()
    module = seqlight.load("best")
    for row, text in zip(rows, texts, strict=True):
        ids = torch.tensor([module.tokenizer.encode(text)])
        chances = module(ids).softmax(-1)[0]
        assert row["label"] == module.class_names[int(chances.argmax())]  # type: ignore[index]
        assert row["probability"] == pytest.approx(chances.max().item(), abs=1e-5)
    Path("some.csv").write_text("text,n\nWho is it ?,1\n,2\nWhere ?,3\nWhy ?\n")
    with pytest.warns(UserWarning, match=r"some.csv: 2 rows are left out: line 3: the text is empty; line 5: 1 col"):
        done = run("predict", "--ckpt_path=best", "--data.predict.path=some.csv")
    assert done.code == 0, done.err
    assert [(row["index"], row["text"]) for row in predictions()] == [(0, "Who is it ?"), (2, "Where ?")]
    done = run("test", "--ckpt_path=best", "--trainer.limit_test_batches=2")
    assert done.code == 0, done.err
    for name in ("accuracy", "macro_f1", "calibration_error", "loss"):
        assert f"test/{name}" in done.out
    done = run("fit", "--ckpt_path=last", "--trainer.max_epochs=2")
    assert done.code == 0, done.err


def test_a_student_learns_from_a_teachers_predictions(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    done = run("fit", "--config=questions/cnn", *SMALL[1:])
    assert done.code == 0, done.err
    Path("texts.txt").write_text("Who is the Zyzzyva ?\nWhere is Qwrtp ?\nHow many Zyzzyvas are there ?\n" * 2)
    done = run("predict", "--ckpt_path=best", "--data.predict.path=texts.txt", "--predictions=csv")
    assert done.code == 0, done.err
    assert "probabilities" not in done.out  # the likeliest is shown
    for row in predictions():
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert max(row["probabilities"], key=row["probabilities"].get) == row["label"]
        assert max(row["probabilities"].values()) == row["probability"]
    shutil.copy(newest("predictions.jsonl"), "teacher.jsonl")
    done = run("fit", "--config=questions/lstm", "--data.soft_labels_path=teacher.jsonl", *SMALL)
    assert done.code == 0, done.err
    assert "soft_labels_path: 6 questions" in caplog.text
    student = seqlight.load("best")
    assert student.tokenizer is not None
    assert {"Zyzzyva", "Qwrtp"} <= set(student.tokenizer.pieces(range(student.tokenizer.vocab_size)))
    Path("teacher.jsonl").unlink()  # what is learned is in the checkpoint
    done = run("test", "--ckpt_path=best", "--trainer.limit_test_batches=1")
    assert done.code == 0, done.err
    done = run("fit", "--config=questions/lstm", "--data.soft_labels_path=teacher.jsonl", *SMALL)
    assert done.code == 2
    assert "soft_labels_path teacher.jsonl: no such file; give the predictions.jsonl that seqlight predict" in done.err


def test_the_linear_classifier_ends_with_a_validation_of_its_last_weights(run: Run) -> None:
    texts = (
        f"a {'fine' if row % 2 else 'dull'} film number {row},{'pos' if row % 2 else 'neg'}\n" for row in range(900)
    )
    Path("many.csv").write_text("text,label\n" + "".join(texts))
    done = run(
        "fit", "--config=reviews/ngrams", "--data.path=many.csv", "--data.batch_size=1", "--trainer.callbacks=[]"
    )
    assert done.code == 0, done.err
    best, last = (read_checkpoint(newest(f"checkpoints/{name}.ckpt")) for name in ("best", "last"))
    assert best["global_step"] == last["global_step"] == 600  # the table has more rows
    for name, weight in best["state_dict"].items():
        assert torch.equal(weight, last["state_dict"][name])


def test_other_label_levels_are_linked_and_are_not_mixed_up(run: Run) -> None:
    done = run("fit", "--config=questions/cnn", "--data.labels=fine", *SMALL)
    assert done.code == 0, done.err
    module = seqlight.load("last")
    assert (module.num_classes, module.num_aux_classes) == (50, 6)  # type: ignore[union-attr]
    done = run("test", "--ckpt_path=best", "--data.labels=coarse")
    assert done.code == 2
    assert "has 50 classes (ABBR:abb, ABBR:exp, DESC:def," in done.err
    assert "the data has 6 (ABBR, DESC, ENTY, HUM, LOC, NUM)" in done.err
    assert "Traceback" not in done.err


def test_bert_is_fine_tuned_from_a_folder_which_may_then_be_gone(run: Run) -> None:
    folder = Path("tiny").absolute()
    texts = synthetic_questions()[0].texts
    words = sorted({word for text in texts for word in text.lower().split() if word.isalnum()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *words]
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    both = (f"--model.net.pretrained={folder}", f"--data.tokenizer_path={folder}")
    done = run("fit", "--config=questions/bert", *BERT, *both)
    assert done.code == 0, done.err
    shutil.rmtree(folder)
    done = run("predict", "--ckpt_path=best", '--data.predict.texts=["Who is it ?"]')
    assert done.code == 0, done.err
    assert [row["text"] for row in predictions()] == ["Who is it ?"]
    done = run("fit", "--ckpt_path=last", "--trainer.max_epochs=2")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("config", "words", "said"),
    [
        ("lstm", ("--model.net.embedding.word_dropout=1",), "model.net.embedding.word_dropout"),
        ("lstm", ("--model.net.embedding.vectors=gone.txt",), "gone.txt"),
        ("lstm", ("--model.net.embedding.vectors=bad.txt",), "bad.txt, line 2"),
        ("lstm", ("--model.loss.class_weights=[1,2]",), "model.loss.class_weights"),
        ("lstm", ("--model.optim.optimizer=muon",), "muon"),
        ("transformer", ("--model.net.transformer.num_heads=3",), "model.net.transformer.num_heads"),
        (
            "bert",
            ("--model.net.pretrained=./gone", "--data.tokenizer_path=null"),
            "model.net.pretrained ./gone: no such folder",
        ),
        ("bert", ("--model.net.pretrained=null", "--model.net.encoder_config={}"), "model.net.encoder_config"),
    ],
)
def test_mistakes_get_one_line(run: Run, config: str, words: tuple[str, ...], said: str) -> None:
    numbers = " ".join(["1"] * 16)
    Path("bad.txt").write_text(f"who {numbers}\nwhat 1 2 3\n")
    if config == "bert" and not any("tokenizer_path" in word for word in words):
        words = (*words, "--data.tokenizer_path=null")
    done = run("fit", f"--config=questions/{config}", *(BERT if config == "bert" else SMALL), *words)
    assert done.code == 2, done.out + done.err
    assert said in done.err
    assert "Traceback" not in done.err
