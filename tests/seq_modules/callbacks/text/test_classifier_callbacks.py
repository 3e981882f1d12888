"""What classifiers show: the confusion matrix and the table of classes, attention's weights, nearest words."""

import csv
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy_questions import OPENINGS, QuestionData
from helpers.trainers import quiet_trainer
from lightning.pytorch.loggers import CSVLogger

from seq_modules import TextClassifier
from seq_modules.callbacks import ConfusionMatrix, Neighbours, TextAttention
from seq_modules.callbacks.text.confusion_matrix import class_rows
from seq_modules.callbacks.text.neighbours import nearest
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.text_cnn import CNNConfig
from seq_modules.nets.text.text_encoder import TextEncoderConfig
from seq_modules.nets.text.token_embedding import EmbeddingConfig

DATA = QuestionData()


def make(ensemble_size: int = 1, **changes: Any) -> TextClassifier:
    torch.manual_seed(0)
    small = {"d_model": 8, "attention_size": 4, "rnn": RecurrentConfig(hidden_size=6), "cnn": CNNConfig(num_filters=4)}
    net = TextEncoderConfig(**{**small, **changes})
    return TextClassifier(DATA.vocab_size, 3, net=net, ensemble_size=ensemble_size)


def left_by_a_test(folder: Path, module: TextClassifier, *callbacks: Any) -> Path:
    logger = CSVLogger(folder, name="", version="run")
    quiet_trainer(folder, *callbacks, logger=logger).test(module, QuestionData(batch_size=7), verbose=False)
    return folder / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_of_classes_is_a_count_by_hand() -> None:
    counts = torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])  # true by predicted
    assert class_rows(["a", "b", "c"], counts) == [
        ("a", "1.0000", "0.7500", "0.8571", 4),
        ("b", "0.6667", "1.0000", "0.8000", 2),
        ("c", "", "", "", 0),
    ]


def test_the_matrix_and_the_table_lie_in_the_run(tmp_path: Path) -> None:
    module = make()
    folder = left_by_a_test(tmp_path, module, ConfusionMatrix())
    assert (folder / "plots/confusion_matrix.png").is_file()
    rows = rows_of(folder / "classes.csv")
    assert [row["class"] for row in rows] == list(OPENINGS)
    counts = module.confusion.compute()
    assert [int(row["rows"]) for row in rows] == counts.sum(1).tolist() == [16, 16, 16]
    for label, row in enumerate(rows):
        assert float(row["recall"]) == pytest.approx(int(counts[label, label]) / 16, abs=1e-4)


def test_the_pictures_numbers_are_the_counts_unless_there_are_too_many_classes() -> None:
    counts = torch.tensor([[30, 1], [0, 12]])
    (axis, _) = ConfusionMatrix().draw(["x", "y"], counts).axes
    assert {(t.get_position(), t.get_text()) for t in axis.texts} == {((0, 0), "30"), ((1, 0), "1"), ((1, 1), "12")}
    assert not ConfusionMatrix(numbers=1).draw(["x", "y"], counts).axes[0].texts


@pytest.mark.parametrize("members", [1, 2])
def test_attention_is_drawn_for_the_first_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: int) -> None:
    module = make(members, pooling="attention")
    saved: list[Any] = []
    monkeypatch.setattr("seq_modules.callbacks.text.text_attention.save_figure", lambda *args: saved.append(args[1:]))
    left_by_a_test(tmp_path, module, TextAttention(texts=9, max_tokens=5))  # more than a batch
    ((figure, name),) = saved
    assert name == "text_attention"
    (axis,) = figure.axes
    table = axis.images[0].get_array()
    assert table.shape == (9, 5)
    data = QuestionData()
    batch = data.test_set.__getitems__(list(range(9)))  # type: ignore[union-attr]
    weights = module.token_weights(batch["input_ids"], batch["attention_mask"])
    assert weights is not None
    pieces = {t.get_position(): t.get_text() for t in axis.texts}
    for row in range(9):
        length = int(batch["attention_mask"][row].sum())
        for at in range(min(5, length)):
            share = weights[row, at] / max(4 / length, weights[row].max())  # alike: a quarter; darkest: the heaviest
            assert table[row, at] == pytest.approx(share.item(), abs=1e-6)
            assert pieces[(at, row)] == data.tokenizer.pieces([int(batch["input_ids"][row, at])])[0][:9]
        assert table.mask[row, length:].all() if length < 5 else True


@pytest.mark.parametrize("encoder", ["cnn", "transformer"])
def test_attention_of_other_encoders_is_drawn(tmp_path: Path, encoder: str) -> None:
    folder = left_by_a_test(tmp_path, make(encoder=encoder, pooling="attention"), TextAttention())
    assert (folder / "plots/text_attention.png").is_file()


def test_a_classifier_without_attention_is_left_alone_which_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        folder = left_by_a_test(tmp_path, make(pooling="max"), TextAttention())
    assert not (folder / "plots").exists()
    assert caplog.text.count("TextAttention draws nothing") == 1


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_nearest_is_what_sorting_all_distances_gives(distance: Any) -> None:
    torch.manual_seed(0)
    vectors = torch.randn(12, 3)

    def far(other: int) -> float:
        a, b = vectors[4], vectors[other]
        if distance == "euclidean":
            return sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True)) ** 0.5
        return 1 - float(a @ b) / (float(a @ a) ** 0.5 * float(b @ b) ** 0.5)

    expected = sorted((other for other in range(12) if other not in (4, 0, 7)), key=far)
    found = nearest(vectors, 4, 20, distance, [0, 7])
    assert [token for token, _ in found] == expected
    assert [value for _, value in found] == pytest.approx([far(token) for token in expected], abs=1e-5)
    assert nearest(vectors, 4, 2, distance, [0, 7]) == found[:2]


def test_neighbours_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = make(embedding=EmbeddingConfig(char_orders=[2]))
    module.embeddings[0].set_pieces(DATA.tokenizer)
    folder = left_by_a_test(tmp_path, module, Neighbours(words=["who", "zebra", "long way"], count=3))
    printed = capsys.readouterr().out
    assert "neighbours of 'zebra': it is no token of its own" in printed
    assert "neighbours of 'long way': it is no token of its own" in printed
    rows = rows_of(folder / "neighbours.csv")
    assert [(row["word"], row["place"]) for row in rows] == [("who", "1"), ("who", "2"), ("who", "3")]
    token = DATA.tokenizer.encode("who")[0]
    vectors = module.token_vectors()
    first = (vectors - vectors[token]).norm(dim=1)
    first[[token, 0, 1, 2, 3]] = torch.inf
    assert rows[0]["token"] == DATA.tokenizer.pieces([int(first.argmin())])[0]
    assert float(rows[0]["distance"]) == pytest.approx(first.min().item(), abs=1e-3)
    assert not {"[PAD]", "[UNK]", "who"} & {row["token"] for row in rows}


@pytest.mark.parametrize(
    ("make_one", "named"),
    [
        (lambda: ConfusionMatrix(numbers=-1), "numbers"),
        (lambda: TextAttention(texts=0), "texts"),
        (lambda: TextAttention(max_tokens=1), "max_tokens"),
        (lambda: Neighbours(count=0), "count"),
    ],
)
def test_refuses(make_one: Any, named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        make_one()
