"""``python cli.py`` is ``seqlight``, for a checkout that is not installed."""

from seqlight.main import main

if __name__ == "__main__":
    main()
