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
STREAM = (
    "--data.tokenizer=byte", "--data.seq_len=16", "--data.batch_size=4", "--data.stream.epoch_size=8",
    "--data.stream.shuffle_buffer=8", "--data.held_out.windows=4",
)  # fmt: skip
NET = ("--model.net.d_model=16", "--model.net.num_layers=1", "--model.net.num_heads=2")
NOTES = ("--data.source.num_etudes=12", "--data.windows.epoch_size=8", "--data.batch_size=4", "--data.seq_len=16")
PAIRS = ("--data.batch_size=8", "--data.train_size=16", "--data.val_size=8", "--data.test_size=8")
SERIES = ("--data.generated.num_rows=200", "--data.lookback=24", "--data.horizon=4", "--data.batch_size=8")
LABELLED = ("--data.batch_size=8", "--data.tokens.max_seq_len=24")
BERT = (
    '--model.net.encoder_config={"model_type":"bert","vocab_size":8000,"hidden_size":8,"num_hidden_layers":1,'
    '"num_attention_heads":2,"intermediate_size":8}',
    "--model.net.pretrained=null", "--data.tokenizer_path=null",
)  # fmt: skip


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
        "text/gpt_char", (*TEXT, *NET, "--model.net.max_seq_len=16"), ("--decoding.max_new_tokens=3",)
    ),
    "streamed GPT": System(
        "text/stream", (*STREAM, *NET, "--model.net.max_seq_len=16"), ("--decoding.max_new_tokens=3",)
    ),
    "RNN LM": System(
        "text/lstm_char",
        (*TEXT, "--model.net.d_model=8", "--model.net.rnn.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "classifier": System(
        "questions/rnn",
        ("--data.batch_size=8", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8"),
        ('--data.predict.texts=["Who is it?"]',),
    ),
    "linear classifier": System("reviews/ngrams", LABELLED, ('--data.predict.texts=["A film."]',)),
    "pretrained classifier": System("questions/bert", (*LABELLED, *BERT), ('--data.predict.texts=["Who is it?"]',)),
    "music events": System(
        "music/lstm", (*NOTES, "--model.net.rnn.hidden_size=8"), ("--decoding.max_new_tokens=3",)
    ),
    "music Transformer": System("music/transformer", (*NOTES, *NET), ("--decoding.max_new_tokens=3",)),
    "music frames": System(
        "music/jsb_lstm",
        ("--data.samples=1", "--model.frames.d_frame=8", "--model.net.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "frame Transformer": System(
        "music/jsb_transformer",
        ("--data.samples=1", "--model.frames.d_frame=8", *NET),
        ("--decoding.max_new_tokens=3",),
    ),
    "translation": System(
        "translation/strings",
        (*PAIRS, "--model.net.d_model=8", "--model.net.rnn.hidden_size=8"),
        ("--decoding.max_new_tokens=3",),
    ),
    "translation Transformer": System(
        "translation/dates_transformer",
        (*PAIRS, "--model.net.d_model=16", "--model.net.encoder_layers=1", "--model.net.decoder_layers=1",
         "--model.net.d_ff=16"),
        ("--decoding.max_new_tokens=3",),
    ),
    "forecast": System("forecast/gru", SERIES),
    "forecast Transformer": System(
        "forecast/patch_transformer",
        (*SERIES, "--model.net.patches.length=8", "--model.net.patches.d_model=8",
         "--model.net.transformer.num_layers=1"),
    ),
    "tagger": System("tagging/ewt_lstm", ("--data.batch_size=8",)),
    "CRF tagger": System("tagging/phrases_crf", ("--data.batch_size=8",)),
}  # fmt: skip
