"""One small training of each system, and the command that uses its checkpoint again."""

from dataclasses import dataclass

QUIET = (
    "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu", "--trainer.callbacks=[]",
    "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1", "--trainer.num_sanity_val_steps=0",
    "--trainer.enable_progress_bar=false", "--trainer.limit_test_batches=1", "--trainer.limit_predict_batches=1",
)  # fmt: skip
TEXT = (
    "--data.batch_size=4", "--data.windows.epoch_size=8", "--data.windows.eval_size=4", "--data.seq_len=16",
    "--data.path=book.txt",
)  # fmt: skip
PAIRS = ("--data.batch_size=8", "--data.train_size=16", "--data.val_size=8", "--data.test_size=8")


@dataclass(frozen=True)
class System:
    """A small training.

    Attributes:
        recipe: Its config.
        words: What makes it small.
        use: Words of `predict` that give it something to predict.
    """

    recipe: str
    words: tuple[str, ...]
    use: tuple[str, ...] = ()


SYSTEMS = {
    "parity": System(
        "parity/lstm_last",
        ("--data.train_size=64", "--data.val_size=32", "--data.test_size=32", "--model.net.hidden_size=4"),
        ('--data.bits=["0110"]',),
    ),
    "formal": System(
        "formal/even_pairs",
        ("--data.train_size=64", "--data.val_size=32", "--data.test_size=32", "--model.net.rnn.hidden_size=4"),
    ),
    "mlp": System("mlp/moons", ("--data.points.size=60", "--model.net.hidden_sizes=[4]")),
    "GPT": System(
        "text/gpt_char",
        (*TEXT, "--model.net.d_model=16", "--model.net.num_layers=1", "--model.net.num_heads=2",
         "--model.net.max_seq_len=16"),
        ("--decoding.max_new_tokens=3",),
    ),
    "RNN LM": System(
        "text/lstm_char",
        (*TEXT, "--model.net.d_model=8", "--model.net.rnn.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "classifier": System(
        "questions/rnn",
        ("--data.batch_size=8", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8"),
        ('--data.texts=["Who is it?"]',),
    ),
    "music events": System(
        "music/lstm",
        ("--data.source.num_etudes=12", "--data.windows.epoch_size=8", "--data.batch_size=4", "--data.seq_len=16",
         "--model.net.rnn.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "music frames": System(
        "music/jsb_lstm",
        ("--data.samples=1", "--model.frames.d_frame=8", "--model.net.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "translation": System(
        "translation/strings",
        (*PAIRS, "--model.net.d_model=8", "--model.net.rnn.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "forecast": System(
        "forecast/gru",
        ("--data.generated.num_rows=200", "--data.lookback=24", "--data.horizon=4", "--data.batch_size=8"),
    ),
    "tagger": System("tagging/ewt_lstm", ("--data.batch_size=8",)),
}  # fmt: skip
