"""``python -m conference_async``: the command line, without its script."""

from conference_async.cli import main

if __name__ == "__main__":  # pragma: no branch -- tests import it too
    main()
