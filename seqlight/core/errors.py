"""A user's mistake, and a stop that was asked for."""


class UserError(ValueError):
    """Something the user can put right: shown as one line, without a traceback, with exit code 2.

    A ValueError, so that who calls a constructor from Python catches what Python programs catch.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever heeds Ctrl-C heeds it as well, with another exit code."""
