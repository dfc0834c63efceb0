"""``python -m plait.jobs``: the command line, where the ``plait`` program is not on the path."""

from plait.jobs.cli import main

if __name__ == "__main__":
    main()
