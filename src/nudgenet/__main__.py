"""The entry point: `nudge`, and `python -m nudgenet`."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line. A Ctrl-C while it is still being loaded ends it at once, without a traceback."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from nudgenet.cli import run_command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
