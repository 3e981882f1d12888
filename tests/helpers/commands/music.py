"""Small settings of commands on music."""

SMALL = (
    "--model.net.d_model=16", "--data.source.num_etudes=12", "--data.windows.epoch_size=16", "--data.batch_size=4",
    "--data.seq_len=32", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
    "--trainer.callbacks=[]",
)  # fmt: skip
SIZES = {
    "lstm": ("--model.net.rnn.hidden_size=16",),
    "transformer": ("--model.net.num_layers=1", "--model.net.num_heads=2", "--model.net.max_seq_len=32"),
}
# Each net and each reading once; tests/seq_modules/systems/test_music_decoder.py trains and samples all four.
NETS_AND_VOICES = [("lstm", "top"), ("transformer", "all")]
