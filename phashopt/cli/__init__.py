"""Words to calls: `python -m phashopt`."""

from phashopt.cli.app import main

__all__ = ["main"]
