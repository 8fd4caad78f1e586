"""``simlab``, and ``python -m simlab``, are the command line."""

import sys


def main() -> int:
    """Run it. Returns the exit code."""
    try:
        from simlab.cli import main as run  # noqa: PLC0415 -- it takes a moment, in which Ctrl-C may come, too

        return run()
    except KeyboardInterrupt:
        print("simlab: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
