"""What holds for the whole suite."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a deadline would be a timed assertion
settings.load_profile("suite")
