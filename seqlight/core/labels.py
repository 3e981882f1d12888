"""Labels that have a meaning of their own."""

IGNORED = -100  # a label that no loss and no metric counts: padding, context
