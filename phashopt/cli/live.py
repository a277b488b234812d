"""What a worker shows while it works: one line a slot under the study's progress, or plain lines off a terminal."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any

from optuna import Study
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from phashopt.figures.labels import amount, percent
from phashopt.service.cluster import Placed, Unplaced
from phashopt.service.events import Closed, Ended, Idle, Progress
from phashopt.service.patience import StorageAwayError
from phashopt.service.study import is_deleted
from phashopt.service.summary import FINISHED, StudySummary, summarize

PLAIN_SECONDS = 15.0  # between two lines about the same slot's epochs


class Display:
    """Shows events as they are heard; `failed` and `users_error` say how it all ended."""

    def __init__(self, console: Console, study: Study, total: int, slots: int) -> None:
        self._console = console
        self._study = study
        self._total = total
        self._lines = ["starting"] * slots
        self._spoke_at = [0.0] * slots
        self._summary = summarize(study)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
        self.failed = False
        self.users_error = False

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        if self._looked():
            self._console.print(self._headline())

    def show(self, slot: int, event: Any) -> None:
        """Take in one event of `Supervisor.listen`."""
        match event:
            case Progress():
                self._lines[slot] = _progress(event)
                self._say_now_and_then(slot)
            case Ended():
                self._looked()
                self._say(f"slot {slot}: {_ended(event)}")
            case Idle():
                self._lines[slot] = "waiting for the trials of other workers"
            case Placed():
                self._say(f"slot {slot}: on {event.host}")
            case Unplaced():
                self._lines[slot] = "waiting for a node with room"
                self._say_now_and_then(slot)
            case Closed():
                self._close(slot, event)
            case _:
                pass

    def _looked(self) -> bool:
        """Whether the study is there to be seen: not if somebody has deleted it, or the database is away for good."""
        with suppress(StorageAwayError):
            if not is_deleted(self._study):
                self._summary = summarize(self._study)
                return True
        return False

    def _close(self, slot: int, event: Closed) -> None:
        self._lines[slot] = "done"
        if event.error is not None:
            self.failed = True
            self.users_error = self.users_error or event.users_error
            self._lines[slot] = event.error
            self._say(f"phashopt: slot {slot}: {event.error}")

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _say_now_and_then(self, slot: int) -> None:
        if not self._console.is_terminal and time.monotonic() - self._spoke_at[slot] >= PLAIN_SECONDS:
            self._spoke_at[slot] = time.monotonic()
            self._say(f"slot {slot}: {self._lines[slot]}")

    def _render(self) -> RenderableType:
        rows = Table.grid(padding=(0, 1))
        for slot, line in enumerate(self._lines):
            rows.add_row(f"slot {slot}", Text(line, overflow="ellipsis", no_wrap=True))
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(self._total, _finished(self._summary), width=20), self._headline())
        return Group(head, rows)

    def _headline(self) -> Text:
        best = self._summary.best
        found = f"; best so far {percent(best.value or math.nan)} (trial {best.number})" if best else ""
        return Text(f"{self._summary.name}: {_finished(self._summary)} of {self._total} trials finished{found}")


def _finished(summary: StudySummary) -> int:
    return sum(trial.state in FINISHED for trial in summary.own)


def _progress(event: Progress) -> str:
    """Fits a terminal of 80 columns."""
    read = "" if math.isnan(event.redundancy) else f", redund. {event.redundancy:.2f}"
    left = timedelta(seconds=round(event.seconds_left))
    return (
        f"trial {event.trial}: epoch {event.epoch}/{event.epochs}, {percent(event.accuracy)}{read}, "
        f"{amount(round(event.images_per_second))} images/s, {str(left).removeprefix('0:')} left"
    )


def _ended(event: Ended) -> str:
    accuracy = "" if event.accuracy is None else f" at {percent(event.accuracy)}"
    return f"trial {event.trial} {event.state.lower()}{accuracy} ({event.message})"
