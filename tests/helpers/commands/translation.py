"""Small trainings of translation as commands: the recipes with little data and narrow nets."""

SHORT = "--decoding.max_new_tokens=6"  # a checkpoint does not keep it
COMMON = (
    "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
    "--data.cache_dir=cache", SHORT,
)  # fmt: skip
TRANSFORMER = (
    "--config=translation/multi30k_transformer", "--model.net.d_model=16", "--model.net.encoder_layers=1",
    "--model.net.decoder_layers=1", "--model.net.d_ff=16", "--trainer.precision=32-true", *COMMON,
)  # fmt: skip
# For comparisons of weights. Muon enlarges differences of rounding; so does AdamW where a gradient is 0 up to rounding,
# as that of the keys' biases is, but little at this rate.
SMALL_STEPS = (
    "--model.optim.optimizer=adamw", "--model.optim.learning_rate=0.001", "--model.optim.warmup_steps=1000",
)  # fmt: skip
# Batches of so many tokens; of the 36 built-in sentences, 10 with room for 300.
TOKENS = 300
DATES = (
    "--config=translation/dates", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8",
    "--model.net.attention_size=8", "--data.train_size=40", "--data.val_size=12", "--data.test_size=11",
    *COMMON[:3], SHORT,
)  # fmt: skip
