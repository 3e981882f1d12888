"""A user's mistake."""


class UserError(ValueError):
    """Something the user can put right: shown as one line, without a traceback, with exit code 2.

    A ValueError, so that who calls a constructor from Python catches what Python programs catch.
    """
