"""Every config that comes with the application goes through the command line, on little data."""

import json
from itertools import zip_longest
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SMALL, Run
from helpers.commands.runs import newest
from helpers.loggers import THREE, TensorBoardFile, WandbFile, csv_metrics

CONFIGS = ROOT / "configs"


def names(*folders: str) -> list[str]:
    found = [path.relative_to(CONFIGS).with_suffix("").as_posix() for path in sorted(CONFIGS.rglob("*.yaml"))]
    return [name for name in found if name.partition("/")[0] in folders and name != "trainer/defaults"]


EXPERIMENTS = [name for name in names(*(p.name for p in CONFIGS.iterdir())) if "/" in name]
EXPERIMENTS = [name for name in EXPERIMENTS if name.partition("/")[0] not in ("trainer", "logger", "sweeps")]
QUICK = (*SMALL, "--trainer.max_epochs=1", "--data.test_max_length=50")
FEW = '--trainer.callbacks=[{"class_path":"LengthSweep","init_args":{"max_length":43,"sequences":4,"stream_bits":50}}]'
TEXT = (
    "--data.batch_size=4", "--data.windows.epoch_size=12", "--data.windows.eval_size=8", "--data.cache_dir=cache",
    "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
)  # fmt: skip
NONE = "--trainer.callbacks=[]"
STREAMED = (
    "--data.batch_size=4", "--data.stream.epoch_size=12", "--data.stream.shuffle_buffer=8", "--data.held_out.windows=8",
    *TEXT[3:],
)  # fmt: skip
PAIRS = (
    '--trainer.callbacks=[{"class_path":"EnglishTests","init_args":{"per_kind":2}},'
    '{"class_path":"AttentionMaps","init_args":{"max_tokens":4}}]'
)
# By the configs' folder: less to train on, less to test with, and what the test leaves in its folder.
SIZES = dict.fromkeys(("parity", "formal"), (QUICK, FEW, "plots/length_sweep.png"))
SIZES |= {"text": (TEXT, NONE, "metrics.csv")}
SIZES |= dict.fromkeys(("text/gpt_char", "text/lstm_char"), (TEXT, PAIRS, "english.md"))  # one of each kind of net
SIZES |= {"text/stream": (STREAMED, PAIRS, "english.md")}
FRAMES = (
    "--data.samples=1", "--model.frames.d_frame=16", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
)  # fmt: skip
WIDTHS = {"lstm": "--model.net.hidden_size=24", "transformer": "--model.net.d_model=24"}
NARROW = "--model.net.d_model=48"
SIZES |= {f"music/jsb_{net}": ((*FRAMES, width), NONE, "metrics.csv") for net, width in WIDTHS.items()}
NOTES = (
    "--data.source.num_etudes=12", "--data.windows.epoch_size=16", "--data.batch_size=4", "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
)  # fmt: skip
HEARD = (
    '--trainer.callbacks=[{"class_path":"MusicStatistics","init_args":{"num_samples":2,"num_notes":16}},'
    '{"class_path":"MusicWriter","init_args":{"audio":"synth"}}]'
)
SIZES |= {"music": (NOTES, NONE, "metrics.csv")}
SIZES |= {"music/lstm": (NOTES, HEARD, "music.md")}
LABELLED = (
    "--data.cache_dir=cache", "--data.batch_size=8", "--data.tokens.max_seq_len=24", "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=2", "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
)  # fmt: skip
CLASSES = '--trainer.callbacks=[{"class_path":"ConfusionMatrix"},{"class_path":"TextAttention"}]'
SIZES |= dict.fromkeys(("questions", "reviews"), (LABELLED, CLASSES, "classes.csv"))
SCORED = (
    '--trainer.callbacks=[{"class_path":"Alignments","init_args":{"count":1}},{"class_path":"TranslationReport"},'
    '{"class_path":"BleuByLength"}]'
)
PAIR_SIZES = (
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
    "--data.batch_size=8",
)
MADE = (*PAIR_SIZES, "--data.train_size=32", "--data.val_size=16", "--data.test_size=16")
TRANSLATED = (
    *PAIR_SIZES, "--data.cache_dir=cache", "--data.batch_tokens=400", "--model.net.d_model=16",
    "--trainer.limit_train_batches=3", "--decoding.max_new_tokens=8",
)  # fmt: skip
SIZES |= {"translation": (MADE, SCORED, "bleu.json")}
SIZES |= {name: (TRANSLATED, SCORED, "bleu.json") for name in EXPERIMENTS if "multi30k" in name}
PLANE = '--trainer.callbacks=[{"class_path":"DecisionBoundary","init_args":{"resolution":10,"animate":false}}]'
POINTS = (
    "--data.points.size=60",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
)
SIZES |= {"mlp": ((*POINTS, PLANE), PLANE, "plots/decision_boundary.png")}
FORESEEN = (
    "--data.generated.num_rows=400", "--data.lookback=48", "--data.horizon=6", "--data.batch_size=16",
    "--trainer.max_epochs=1", "--trainer.limit_train_batches=3", "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
)  # fmt: skip
DRAWN = '--trainer.callbacks=[{"class_path":"ForecastPlots","init_args":{"origins":1}},{"class_path":"ErrorByHorizon"}]'
SIZES |= {"forecast": (FORESEEN, DRAWN, "error_by_horizon.csv")}
SIZES |= {"forecast/etth1": ((*FORESEEN, "--data.split.rows=[280,60,60]"), NONE, "metrics.csv")}
TAGGED = (
    "--data.batch_size=8", "--trainer.max_epochs=1", "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=2",
    "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
)  # fmt: skip
SIZES |= {"tagging": (TAGGED, CLASSES, "classes.csv")}
TINY_BERT = (
    '--model.net.encoder_config={"model_type":"bert","vocab_size":8000,"hidden_size":16,"num_hidden_layers":2,'
    '"num_attention_heads":2,"intermediate_size":16}',
    "--model.net.pretrained=null", "--data.tokenizer_path=null",
)  # fmt: skip
FEW_BUCKETS = "--model.net.ngrams.buckets=64"  # two million numbers less in each of four tables
# Of one config: what would take seconds, with all of its callbacks.
OWN = {
    "music/lstm": (NARROW, "--model.net.rnn.hidden_size=48"),
    "music/transformer": (NARROW,),
    "questions/bert": TINY_BERT,
    "questions/zero_shot": TINY_BERT,
    "reviews/bert": TINY_BERT,
    "reviews/frozen": (*TINY_BERT, "--model.net.pooled_layers=2"),
    "tagging/ewt_bert": (*TINY_BERT[:2], "--data.tokenizer_path=bert"),
    "text/gpt_10m": (NARROW, "--data.seq_len=64"),
    "text/gpt_char": (NARROW,),
    "text/gpt_subword": (NARROW,),
    "text/stream": (NARROW, "--data.vocab_size=400"),
    "text/gpt_plain": (
        NARROW,
        '--trainer.callbacks=[{"class_path":"Compile","init_args":{"backend":"eager"}}]',
        "--trainer.check_val_every_n_epoch=1",
    ),
    "text/speedrun": (
        FEW_BUCKETS,
        '--trainer.callbacks=[{"class_path":"Compile","init_args":{"backend":"eager"}},{"class_path":"SequenceLengthWarmup"},'
        '{"class_path":"EMA"},{"class_path":"Samples","init_args":{"max_new_tokens":5}}]',
        "--trainer.check_val_every_n_epoch=1",
    ),
}

PICTURE, TABLE, SOUND, HISTOGRAM = "images/separated", "table-file", "audio-file", "histogram"
# One of each system: what W&B and TensorBoard hold after training, the test and, where that makes something to see or
# to hear, the prediction, beside metrics and config.
LOGGED: dict[str, tuple[dict[str, str], ...]] = {
    "parity/lstm_last": ({"gradients/head.weight": HISTOGRAM}, {"length_sweep": PICTURE}),
    "formal/cycle_navigation": ({}, {"length_sweep": PICTURE}),
    "text/gpt_char": ({"samples": TABLE}, {"attention": PICTURE, "english": PICTURE}),
    "text/lstm_char": ({"samples": TABLE}, {"english": PICTURE}),
    "music/lstm": ({"sample_1": PICTURE, "sample_1_audio": SOUND}, {"music": PICTURE}),
    "music/jsb_lstm": ({}, {}, {"music/00000": PICTURE, "music/00000_audio": SOUND}),
    "questions/lstm": ({}, {"confusion_matrix": PICTURE}),
    "questions/bert": ({}, {"confusion_matrix": PICTURE}),
    "tagging/phrases_crf": ({}, {"confusion_matrix": PICTURE}),
    "tagging/ewt_bert": ({}, {"confusion_matrix": PICTURE}),
    "translation/dates": ({}, {"alignment_1": PICTURE, "bleu_by_length": PICTURE}),
    "translation/dates_transformer": ({}, {"alignment_1": PICTURE, "bleu_by_length": PICTURE}),
    "forecast/nlinear": ({}, {"forecasts": PICTURE, "error_by_horizon": PICTURE}),
    "mlp/circles": ({"decision_boundary": PICTURE}, {"decision_boundary": PICTURE}),
}
GRADIENTS = ("--trainer.callbacks+=GradientHistograms", "--trainer.callbacks.every=2")


LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)])
FILES = {"tagging/ewt_bert": {"bert/vocab.txt": VOCABULARY}}  # that a recipe needs


def assert_logged(media: dict[str, str], with_metrics: bool) -> None:
    """The newest run's W&B and TensorBoard hold these media, the metrics of metrics.csv at their steps, and the config.

    Args:
        media: Kinds by name.
        with_metrics: Whether there are any metrics.
    """
    folder = newest("config.yaml").parent
    wandb, board, metrics = WandbFile(folder), TensorBoardFile(folder), csv_metrics(folder) if with_metrics else {}
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert {key: wandb.config[key] for key in config} == config
    assert bool(metrics) == with_metrics
    assert wandb.metrics == metrics
    assert {step: {name: pytest.approx(value) for name, value in row.items()} for step, row in metrics.items()} == {
        step: {name: value for name, value in row.items() if name != "hp_metric"} for step, row in board.metrics.items()
    }
    assert media.items() <= wandb.media.items()
    by_kind = {PICTURE: board.pictures, TABLE: board.texts, SOUND: board.sounds, HISTOGRAM: board.histograms}
    for kind, names in by_kind.items():
        assert {name for name in wandb.media if wandb.media[name] == kind} <= names


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_trains_tests_and_predicts(request: pytest.FixtureRequest, run: Run, name: str) -> None:
    if logged := LOGGED.get(name, ()):
        request.getfixturevalue("wandb_offline")
        Path("logger").mkdir()
        Path("logger/three.yaml").write_text(THREE)
    for file, text in FILES.get(name, {}).items():
        Path(file).parent.mkdir()
        Path(file).write_text(text)
    quick, few, left = SIZES.get(name) or SIZES[name.partition("/")[0]]
    # Its own callbacks in training, shorter ones in the test.
    more = GRADIENTS if logged and HISTOGRAM in logged[0].values() else ()
    commands = (
        ("fit", "--config", name, *quick, *OWN.get(name, ()), *more),
        ("test", "--ckpt_path=best", few),
        ("predict", "--ckpt_path=last", "--decoding.max_new_tokens=16"),
    )
    for words, media in zip_longest(commands, logged):
        done = run(*words, *(["--config=logger/three.yaml"] if media is not None else []))
        assert done.code == 0, (words, done.err)
        assert "results: runs/" in done.out
        if media is not None:
            assert_logged(media, with_metrics=words[0] != "predict")
    (folder,) = Path("runs", name).iterdir()
    assert list(folder.glob(f"test/*/{left}"))
    assert list(folder.glob("predict/*/predictions.jsonl"))


@pytest.mark.parametrize("part", ["blocks", "net"])
def test_an_ensemble_is_trained_compiled_tested_and_used(run: Run, part: str) -> None:
    quick, _, _ = SIZES["text"]
    own = OWN["text/speedrun"][1].replace('"backend":"eager"', f'"backend":"eager","part":"{part}"')
    small = (
        "--model.net.d_model=32", "--model.net.num_layers=2", "--model.net.num_heads=2", FEW_BUCKETS,
        "--data.seq_len=128",
    )  # fmt: skip
    fit = ("fit", "--config=text/speedrun", *quick, *small, own, "--model.ensemble_size=2", "--trainer.max_epochs=2")
    for words in (
        fit,
        ("test", "--ckpt_path=last", NONE),
        ("predict", "--ckpt_path=last", "--decoding.max_new_tokens=3"),
    ):
        done = run(*words)
        assert done.code == 0, done.err


@pytest.mark.parametrize("name", [*names("trainer", "logger")])
def test_overlay_names_no_model_and_no_data(name: str) -> None:
    content = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert set(content) == {"trainer"}


# ddp and fsdp start a process group, which would stay in this process: tests/distributed/ has them.
APART = ("gpu", "mps", "ddp", "fsdp", "overfit")


@pytest.mark.parametrize("name", [n for n in names("trainer") if not n.endswith(APART)])
def test_trainer_overlay_runs(run: Run, name: str) -> None:
    done = run("fit", "--config=parity/lstm_last", "--config", name, *QUICK, "--trainer.log_every_n_steps=1")
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["gpu", "mps"])
def test_gpu_overlay_says_what_is_missing_where_there_is_none(run: Run, name: str) -> None:
    import torch

    done = run("fit", "--config=parity/lstm_last", f"--config=trainer/{name}", "--trainer.max_epochs=1")
    if torch.backends.mps.is_available() or (name == "gpu" and torch.cuda.is_available()):
        assert done.code == 0, done.err
    else:
        assert done.code == 2
        assert "accelerator" in done.err.lower() or name in done.err.lower()


def test_overfit_overlay_learns_one_batch(run: Run) -> None:
    words = (
        "--data.batch_size=16",
        "--data.val_size=16",
        "--trainer.callbacks=[]",
        "--model.supervision=full",
        "--model.input_noise=0",
    )
    done = run("fit", "--config=parity/lstm_last", "--config=trainer/overfit", *words, "--trainer.log_every_n_steps=1")
    assert done.code == 0, done.err
    last = [line for line in done.out.splitlines() if line.startswith("epoch 300/300")]
    assert float(last[0].split("train/loss ")[1].split()[0]) < 0.01


@pytest.mark.parametrize("name", names("sweeps"))
def test_sweep_is_read_and_its_first_and_last_trials_parse(run: Run, name: str) -> None:
    from seqlight.sweep import read_sweep

    sweep = read_sweep(name)
    assert sweep.name
    for pick in (0, -1):
        settings = {**sweep.set, **{key: values[pick] for key, values in sweep.grid.items() if key != "config"}}
        configs = [*sweep.config, *([sweep.grid["config"][pick]] if "config" in sweep.grid else [])]
        words = [f"--config={config}" for config in configs]
        words += [f"--{key}={'null' if value is None else value}" for key, value in settings.items()]
        shown = run("fit", *words, "--print_config")
        assert shown.code == 0, shown.err


@pytest.mark.parametrize(
    "name", ["trec_seeds", "trec_fine", "trec_bert", "trec_grid", "trec_distilled", "trec_fine_distilled"]
)
def test_a_trial_of_a_sweep_over_trec_runs(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from transformers import BertConfig, BertModel

    from datamodules.classification.question_files import COARSE, FINE, TEST_FILE, TRAIN_FILE
    from datamodules.classification.question_templates import synthetic_questions
    from seq_modules.callbacks import GracefulStop
    from seqlight.sweep import read_sweep, train

    monkeypatch.setattr(GracefulStop, "received", 0)
    Path("trec").mkdir()
    Path("minilm").mkdir()
    for file, part in zip((TRAIN_FILE, TEST_FILE), synthetic_questions(), strict=True):
        lines = [f"{FINE[label]} {text}\n" for label, text in zip(part.aux_labels[:300], part.texts, strict=False)]
        Path("trec", file).write_text("".join(lines))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "who", "what", "where", "is"]
    Path("minilm/vocab.txt").write_text("\n".join(words) + "\n")
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained("minilm")
    classes = FINE if name == "trec_fine_distilled" else COARSE
    probabilities = {label: float(label == classes[-1]) for label in classes}
    row = {"text": "How many colors are there ?", "probabilities": probabilities}
    Path("teacher.jsonl").write_text(json.dumps(row) + "\n")
    sweep = read_sweep(f"sweeps/questions/{name}")
    sweep.folder.mkdir(parents=True)
    sweep.set |= dict(word.removeprefix("--").split("=", 1) for word in (*LABELLED, "--trainer.callbacks=[]"))
    sweep.set["trainer.check_val_every_n_epoch"] = 1  # of the one epoch that is trained
    if name != "trec_bert":  # small tables: an ensemble's would take hundreds of megabytes
        sweep.set |= {f"model.net.embedding.{kind}_buckets": 100 for kind in ("word", "char")}
    metrics, folder = train(
        sweep, {key: values[-1] for key, values in sweep.grid.items() if key != "data.split.protocol"}
    )
    assert {*sweep.report.columns, sweep.metric} <= metrics.keys()
    assert (folder / "checkpoints/best.ckpt").is_file()
