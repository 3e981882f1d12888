"""The command line: words, layers of settings, messages, and the run that LightningCLI makes of them."""
