"""Data sets that are known by name, and where they are kept."""

from __future__ import annotations

import os
from pathlib import Path

SOURCES = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn")


def default_data_dir() -> Path:
    """`PHASHOPT_DATA`, else the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PHASHOPT_DATA") or cache / "phashopt" / "data")
