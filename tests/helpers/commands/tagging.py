"""Small trainings of taggers as commands, on files of a few generated sentences."""

from pathlib import Path

from datamodules.tagging.grammar import generated_lines

SIZES = {"train": 30, "dev": 9, "test": 9}  # sentences; of batches of 4, the last has one or two
FIT = (
    "--config=tagging/phrases_crf", "--data.path=tags", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8",
    "--model.net.characters.d_model=4", "--model.net.characters.width=4", "--trainer.max_epochs=3",
    "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu", "--trainer.callbacks=[]",
)  # fmt: skip
TO_PREDICT = "# a comment\nthe DET\nbomtion NOUN\nsees VERB\n\nRose PROPN\n\nWill X\nmust X\nplay X\n"


def write_files(folder: Path) -> None:
    """Writes the data's files to ``tags``, and in.conll, to predict."""
    (folder / "tags").mkdir(parents=True)
    for name, count in SIZES.items():
        sentences = "\n".join(generated_lines({"dev": "val"}.get(name, name))).split("\n\n")[:count]
        (folder / "tags" / f"{name}.tsv").write_text("\n\n".join(sentences) + "\n")
    (folder / "in.conll").write_text(TO_PREDICT)
