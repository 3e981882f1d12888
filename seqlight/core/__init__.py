"""What both the LightningModules and the datamodules may import: errors, checks of arguments, labels, plots."""
