"""Speed of fine-tuning and of prediction beside transformers' own Trainer and pipeline.

    python benchmarks/speed/classifier_speed.py --model minilm --path ../shared/data/trec

The model is a folder with a BERT encoder and its tokenizer. Both sides have the same weights, questions, batch size and
maximum length, fused AdamW, a linearly decreasing learning rate, gradients clipped at 1, and the loss logged every ten
steps. Nothing is saved. Training is one epoch, timed from its first step to its last, after tokenization. Prediction is
timed from texts to labels. Both must give every text the same probability to 1e-4, and the same label if that is above
one half. The Trainer and the pipeline have their default settings: batches of questions in random order, or in the
order given, each padded to its longest. Ours puts questions of similar length into one batch; with --group_by_length
the Trainer does so too.

A round that is not timed comes first. timing.py says how speeds are compared. transformers' Trainer needs accelerate,
which seqlight does not need: pip install accelerate.
"""

import argparse
import importlib.util
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from timing import speed, spread

from datamodules import QuestionsDataModule
from datamodules.classification.groups import PredictConfig, TokenConfig
from datamodules.classification.question_files import TEST_FILE, TRAIN_FILE
from seq_modules import PretrainedClassifier
from seq_modules.nets.pretrained.encoder import PretrainedEncoderConfig
from seq_modules.training.optim import OptimConfig

PEERS = {"training": "transformers' Trainer", "prediction": "transformers' pipeline"}
OURS = "ours"
RATE, NOTED = 1e-4, 10


class Seconds(Callback):
    """Times the training loop of a fit."""

    def on_train_start(self, *_: Any) -> None:
        """Begins."""
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        """Ends."""
        self.taken = time.perf_counter() - self.started


def fewer(folder: Path, rows: int | None, into: Path) -> str:
    """TREC's folder, or one with the first questions of each file."""
    if rows is None:
        return str(folder)
    for name in (TRAIN_FILE, TEST_FILE):
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        (into / name).write_bytes(b"".join(lines[:rows]))
    return str(into)


def questions(args: argparse.Namespace, folder: str, **changes: Any) -> QuestionsDataModule:
    """Our data."""
    return QuestionsDataModule(
        path=folder,
        tokenizer_path=args.model,
        tokens=TokenConfig(special_tokens=True, max_seq_len=args.max_seq_len),
        batch_size=args.batch_size,
        seed=0,
        **changes,
    )


def runner(*callbacks: Callback) -> Trainer:
    """Lightning's loop, which writes nothing."""
    return Trainer(
        max_epochs=1,
        gradient_clip_val=1.0,
        log_every_n_steps=NOTED,
        limit_val_batches=0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
    )


def peer_of(module: PretrainedClassifier, args: argparse.Namespace, names: list[str]) -> tuple[Any, Any]:
    """transformers' classifier with our weights, and its tokenizer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    labels: dict[str, Any] = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    model = AutoModelForSequenceClassification.from_pretrained(
        args.model, num_labels=len(names), classifier_dropout=module.encoder.dropout, dtype=torch.float32, **labels
    )
    model.base_model.load_state_dict(module.encoder.model.state_dict())
    model.classifier.load_state_dict(module.net.head.state_dict())
    return model, AutoTokenizer.from_pretrained(args.model)


def trained(args: argparse.Namespace, folder: str, module: PretrainedClassifier, model: Any, tokenizer: Any) -> Any:
    """A function for each side that trains an epoch and gives its seconds; and how many questions that is."""
    from transformers import PrinterCallback, TrainerCallback, TrainingArguments
    from transformers import Trainer as Theirs

    data = questions(args, folder)
    part = data.splits["train"]
    encoded = tokenizer(part.texts, truncation=True, max_length=args.max_seq_len)["input_ids"]
    rows = [{"input_ids": ids, "labels": label} for ids, label in zip(encoded, part.labels.tolist(), strict=True)]

    class TheirSeconds(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.taken = time.perf_counter() - self.started

    def theirs() -> float:
        clock = TheirSeconds()
        with tempfile.TemporaryDirectory() as place:
            settings = TrainingArguments(
                place,
                num_train_epochs=1,
                per_device_train_batch_size=args.batch_size,
                learning_rate=RATE,
                optim="adamw_torch_fused",
                logging_steps=NOTED,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                dataloader_pin_memory=False,
                **({"train_sampling_strategy": "group_by_length"} if args.group_by_length else {}),
            )
            given: Any = {"train_dataset": rows, "processing_class": tokenizer, "callbacks": [clock]}
            trainer = Theirs(model, settings, **given)
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return clock.taken

    def ours() -> float:
        clock = Seconds()
        runner(clock).fit(module, data)
        return clock.taken

    return {PEERS["training"]: theirs, OURS: ours}, len(rows)


def predicted(args: argparse.Namespace, folder: str, module: PretrainedClassifier, model: Any, tokenizer: Any) -> Any:
    """A function for each side that labels all texts and gives its seconds; and how many texts those are."""
    from transformers import pipeline

    data = questions(args, folder)
    texts = [*data.splits["train"].texts, *data.splits["test"].texts]
    model.classifier.load_state_dict(module.net.head.state_dict())
    model.base_model.load_state_dict(module.encoder.model.state_dict())
    given = questions(args, folder, predict=PredictConfig(texts))
    assert given.tokenizer  # read before the clock runs, as the pipeline's is
    pipe: Any = pipeline("text-classification", model=model.eval(), tokenizer=tokenizer, device="cpu")
    answers: dict[str, list[tuple[str, float]]] = {}

    def theirs() -> float:
        started = time.perf_counter()
        found = pipe(texts, batch_size=args.batch_size, truncation=True, max_length=args.max_seq_len)
        answers[PEERS["prediction"]] = [(row["label"], row["score"]) for row in found]
        return time.perf_counter() - started

    def ours() -> float:
        started = time.perf_counter()
        batches: Any = runner().predict(module, given)
        rows = sorted((row for batch in batches for row in batch), key=lambda row: row["index"])
        answers[OURS] = [(row["label"], row["probability"]) for row in rows]
        seconds = time.perf_counter() - started
        pairs = list(zip(answers[OURS], answers[PEERS["prediction"]], strict=True))
        assert max(abs(a[1] - b[1]) for a, b in pairs) < 1e-4, "the two give other probabilities"
        assert all(a[0] == b[0] for a, b in pairs if a[1] > 0.5 + 1e-4), "the two give other labels"
        return seconds

    return {PEERS["prediction"]: theirs, OURS: ours}, len(texts)


def rows_of(what: str, runs: dict[str, Callable[[], float]], count: int, rounds: int) -> list[str]:
    """The table's two rows for one task."""
    for run in runs.values():
        run()
    times = [{name: run() for name, run in runs.items()} for _ in range(rounds)]
    lines = []
    for name in runs:
        rates = [count / now[name] for now in times]
        lines.append(f"| {what} | {name} | {spread(rates, ',.0f')} | {speed(times, name, PEERS[what])} |")
    return lines


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of an encoder with its tokenizer")
    parser.add_argument("--path", required=True, type=Path, help="folder with train_5500.label and TREC_10.label")
    parser.add_argument("--tasks", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rows", type=int, help="so many questions of each file, to try things; by default all")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_seq_len", type=int, default=64)
    parser.add_argument("--group_by_length", action="store_true", help="in the peer's training")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if "training" in args.tasks and importlib.util.find_spec("accelerate") is None:
        sys.exit(
            "classifier_speed: transformers' Trainer needs accelerate, which is not here; pip install accelerate, or "
            "leave it out with --tasks prediction"
        )
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = fewer(args.path, args.rows, Path(place))
        data = questions(args, folder)
        torch.manual_seed(0)
        module = PretrainedClassifier(
            data.vocab_size,
            data.num_classes,
            net=PretrainedEncoderConfig(args.model, pooling="pooler"),
            optim=OptimConfig(learning_rate=RATE, weight_decay=0.01, schedule="wsd", fused=True),
        )
        model, tokenizer = peer_of(module, args, data.class_names)
        print(
            f"torch {torch.__version__}, transformers {transformers.__version__}, {args.threads} threads, "
            f"{args.rounds} rounds; {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights, batches of "
            f"{args.batch_size}, at most {args.max_seq_len} tokens\n"
        )
        print("| task | with | texts a second | speed, transformers = 1 |\n|---|---|---:|---|")
        for what, make in (("training", trained), ("prediction", predicted)):
            if what in args.tasks:
                runs, count = make(args, folder, module, model, tokenizer)
                print("\n".join(rows_of(what, runs, count, args.rounds)), flush=True)


if __name__ == "__main__":
    main()
