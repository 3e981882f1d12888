"""A tiny datamodule of labelled sentences of the tests' own: what a classifier takes from any data."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules import SequenceDataModule
from datamodules.tokenizers.words import WordTokenizer
from seq_modules.systems.classifier import Classifier

OPENINGS = {"HUM": ["who wrote", "who is"], "LOC": ["where is", "what city has"], "NUM": ["how many are", "when was"]}
THINGS = ["it", "that old book", "a river", "the red car of mine", "paris", "the cat", "a long long way home", "rome"]
# Words of the command line: averaged weights, an untrained encoder, and 67 rows to train on, whose last batch is small.
AVERAGE = '--trainer.callbacks=[{"class_path":"EMA","init_args":{"decay":0.9}}]'
TINY_BERT = (
    '--model.net.encoder_config={"model_type":"bert","vocab_size":8000,"hidden_size":8,"num_hidden_layers":2,'
    '"num_attention_heads":2,"intermediate_size":8,"hidden_dropout_prob":0,"attention_probs_dropout_prob":0}',
    "--model.net.pretrained=null", "--data.tokenizer_path=null",
)  # fmt: skip
FEW = (
    "--data.tokens.max_seq_len=24", "--data.split.val_fraction=0.9665", "--trainer.max_epochs=3",
    "--trainer.log_every_n_steps=1", "--trainer.limit_val_batches=4", "--trainer.accelerator=cpu",
)  # fmt: skip
FINE = ["HUM:ind", "HUM:desc", "LOC:other", "LOC:city", "NUM:count", "NUM:date"]


def sentences() -> list[tuple[str, int, int]]:
    """Text, class and fine class, 48 rows, every class as often."""
    return [
        (f"{opening} {thing} ?", coarse, 2 * coarse + which)
        for thing in THINGS
        for coarse, openings in enumerate(OPENINGS.values())
        for which, opening in enumerate(openings)
    ]


class Sentences(Dataset):
    def __init__(self, rows: list[tuple[str, int, int]], tokenizer: WordTokenizer, labelled: bool = True) -> None:
        self.rows, self.tokenizer, self.labelled = rows, tokenizer, labelled

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        texts = [self.rows[index][0] for index in indices]
        ids = [torch.tensor(self.tokenizer.encode(text)) for text in texts]
        batch: dict[str, Any] = {
            "input_ids": torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
            "attention_mask": torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
            "labels": torch.tensor([self.rows[index][1] if self.labelled else -100 for index in indices]),
            "aux_labels": torch.tensor([self.rows[index][2] if self.labelled else -100 for index in indices]),
            "index": torch.tensor(indices),
        }
        return batch if self.labelled else batch | {"texts": texts}


class QuestionData(SequenceDataModule):
    def __init__(self, batch_size: int = 16, seed: int | None = 0, names: list[str] | None = None) -> None:
        super().__init__(batch_size, 0, seed)
        self.save_hyperparameters()
        rows = sentences()
        self.tokenizer = WordTokenizer.train([text for text, *_ in rows], 1000)
        self.vocab_size, self.pad_id = self.tokenizer.vocab_size, self.tokenizer.special["pad"]
        self.class_names, self.aux_class_names = names or list(OPENINGS), FINE
        self.num_classes, self.num_aux_classes = len(self.class_names), len(FINE)
        self.class_counts = [40, 8, 16]  # not what is there: weights are to come from here
        self.train_set = self.val_set = self.test_set = Sentences(rows, self.tokenizer)
        self.predict_set = Sentences(rows[:5], self.tokenizer, labelled=False)

    def encode(self, texts: list[str], name: str) -> list[np.ndarray]:
        """The ids of each text, as a classifier asks for them."""
        return [np.array(self.tokenizer.encode(text)) for text in texts]


def a_batch(size: int = 6) -> dict[str, Tensor]:
    """Some rows of unequal lengths, of all classes."""
    data = QuestionData()
    assert data.test_set is not None
    return data.test_set.__getitems__(list(range(0, 4 * size, 4)))  # type: ignore[attr-defined]


def overfit(module: Classifier, steps: int) -> None:
    """Trains on one batch, whose loss must then be small and whose classes all right."""
    batch, optimizer = a_batch(8), module.make_optimizer()
    for _ in range(steps):
        optimizer.zero_grad()
        step = module.step(batch)
        (step.loss_sum / step.num_targets).backward()
        optimizer.step()
    step = module.eval().step(batch)
    assert step.loss_sum / step.num_targets < 0.1
    assert torch.equal(step.metric_inputs["preds"].argmax(-1), batch["labels"])
