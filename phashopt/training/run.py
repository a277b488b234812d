"""One training from first epoch to last: train, score, read, save, ask what to do next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from phashopt.errors import NotFiniteError
from phashopt.networks import Network, build
from phashopt.plans import Blueprint
from phashopt.search import Verdict
from phashopt.signal import ROUTINE_CHANNELS, ROUTINE_PROBES, Probe, Report
from phashopt.trace import Epoch, Trace
from phashopt.training.checkpoint import Clock, load_checkpoint, save_checkpoint
from phashopt.training.data import DataSet
from phashopt.training.files import CHECKPOINT, STABLE
from phashopt.training.film import Camera
from phashopt.training.loop import Diverged, Score, Trainer, evaluate
from phashopt.training.recipe import Recipe

CHECKPOINT_SECONDS = 10.0
SMALL_SET = 10_000  # training images below which a reading costs too large a share of an epoch


@dataclass(frozen=True)
class Outcome:
    """What a training came to: validation accuracy, the last full reading, and what it cost.

    `images_seen` counts those that inherited kernels had seen before, `train_macs` leaves them out, and the epochs of a
    training that this one extends; of it `reading_macs` went into readings;
    `stable_epochs` is None unless it can be extended itself.
    """

    accuracy: float
    trace: Trace
    report: Report
    stopped: bool
    epochs_used: int
    images_seen: int
    train_macs: int
    reading_macs: int
    stable_epochs: int | None
    clock: Clock


@dataclass(frozen=True)
class Origin:
    """From a seed to a network before its first step, the MACs of making one, and the images its kernels have seen."""

    network: Callable[[int], Network]
    macs: int = 0
    images: int = 0


class Run:
    """A training that can be interrupted at any step and taken up again from `folder` with the same result.

    It begins with the network of `origin`, by default one with random weights. `judge` sees the trace after every epoch
    and says how to go on; `interrupted` is asked before every step. `extends` is the stable phase's state of a shorter
    training of the same recipe, from which this one goes on. The judge may let it start again, once, or lengthen it, up
    to `longest` epochs.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        recipe: Recipe,
        data: DataSet,
        probe: Probe,
        *,
        folder: Path,
        seed: int,
        every: int = 1,
        longest: int = 0,
        origin: Origin | None = None,
        extends: Path | None = None,
        judge: Callable[[Trace], Verdict] = lambda _: Verdict.CONTINUE,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.blueprint = blueprint
        self.folder = folder
        self._data = data
        self._probe = probe
        self._recipe = recipe
        self._seed = seed
        self._every = every
        self._longest = longest
        self._origin = origin or Origin(partial(build, blueprint))
        self._extends = extends
        self._judge = judge
        self._interrupted = interrupted
        self._trace = Trace()
        self._clock = Clock()
        self._read_in_full = False
        self._saved_at = time.monotonic()
        self._begin(build(blueprint, seed) if self.saved else self._origin.network(seed), seed)

    def _begin(self, network: Network, seed: int) -> None:
        self.trainer = Trainer(network, self._recipe, self._data.train, seed)
        self._camera = Camera(self.folder, self._data.train, self.blueprint.readouts)

    @property
    def saved(self) -> Path | None:
        """What there is to go on from: the folder's last checkpoint, else the training that is extended."""
        states = (self.folder / CHECKPOINT, self._extends)
        return next((state for state in states if state is not None and state.exists()), None)

    def resume(self) -> None:
        """Go on from what was saved, where anything was: without it such a training must not begin."""
        saved = self.saved
        if saved is not None:
            self._trace, self._clock = load_checkpoint(saved, self.trainer)
        if saved is not None and saved == self._extends:
            self._clock = Clock(inherited_epochs=self.trainer.epoch)
            self._save_stable()  # what goes on from here may itself be gone on with
        if saved is not None and saved != self._extends:
            self._camera.rewind(self.trainer.epoch)

    def train(self) -> Outcome:
        """Train to the end; raises `Interrupted` and `Diverged` as the loop does."""
        report = None
        self._film()
        while not self.trainer.finished and not self._clock.stopped:
            report = self._epoch()
            self._obey(self._judge(self._trace))
            self._film(last=self.trainer.finished or self._clock.stopped)
            self._save()
        if report is None or not self.trainer.finished:
            report = self._read(full=True)
        return self._outcome(report)

    def _obey(self, verdict: Verdict) -> None:
        schedule, epoch = self.trainer.schedule, self.trainer.epoch
        match verdict:
            case Verdict.STOP if not self.trainer.finished:  # after the last epoch there is nothing left to save
                self._clock.stopped = True
            case Verdict.FINISH:
                self.trainer.schedule = schedule.finish_from(epoch)
            case Verdict.EXTEND:
                self.trainer.schedule = schedule.extended_from(epoch, self._longest)
            case Verdict.RESTART if not self._clock.restarts and not self._clock.inherited_epochs:
                self._restart()

    def _restart(self) -> None:
        """From another seed; saved at once, so that whoever resumes need not be told again."""
        seed = int(np.random.SeedSequence([self._seed, self._clock.restarts + 1]).generate_state(1)[0])
        network = self._origin.network(seed)  # before anything is given up, since it may fail
        self._clock.restarts += 1
        self._clock.lost_images += self.trainer.images_seen
        self._clock.lost_readings += sum(bool(row.readings) for row in self._trace.epochs)
        self._trace = Trace()
        self._begin(network, seed)
        self._film()
        save_checkpoint(self.folder / CHECKPOINT, self.trainer, self._trace, self._clock)

    @property
    def trace(self) -> Trace:
        """All epochs so far; the one that diverged is the last and has no numbers."""
        return self._trace

    def _epoch(self) -> Report | None:
        try:
            loss, score = self._train_epoch()
            report = self._read(full=self.trainer.finished) if self._reading_is_due() else None
        except Diverged:
            self._trace.add(Epoch(self.trainer.epoch, learning_rate=self.trainer.learning_rate))
            raise
        readings = report.readings(self.blueprint.readouts) if report else {}
        self._trace.add(Epoch(self.trainer.epoch, loss, score.accuracy, self.trainer.learning_rate, readings))
        return report

    def _train_epoch(self) -> tuple[float, Score]:
        """Loss on the way and score at its end."""
        with self._clock_train():
            loss = self.trainer.train_epoch(self._interrupted)
            score = evaluate(self.trainer.network, self._data.validation)
        if not math.isfinite(score.loss):
            raise Diverged(self.trainer.epoch, self.trainer.recipe.learning_rate)
        return loss, score

    def _reading_is_due(self) -> bool:
        epoch = self.trainer.epoch
        if self.trainer.finished:
            return True
        if self._every >= self.trainer.schedule.epochs:
            return False
        if len(self._data.train) < SMALL_SET:
            return epoch & (epoch - 1) == 0  # 1, 2, 4, 8, ...
        return epoch % self._every == 0

    def _read(self, *, full: bool) -> Report:
        """A network may overflow on its way back to pixels while its loss is still a number: it is as good as lost."""
        start = time.perf_counter()
        try:
            report = self._probe.measure(self.trainer.network, full=full)
        except NotFiniteError as error:
            raise Diverged(self.trainer.epoch, self.trainer.recipe.learning_rate, "a reconstruction") from error
        self._read_in_full |= full
        self._clock.signal_seconds += time.perf_counter() - start
        return report

    def _film(self, *, last: bool = False) -> None:
        start = time.perf_counter()
        self._camera.shoot(self.trainer.network, self.trainer.epoch, last=last)
        self._clock.signal_seconds += time.perf_counter() - start

    def _save(self) -> None:
        self._save_stable()
        over = self.trainer.finished or self._clock.stopped
        if over or time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            save_checkpoint(self.folder / CHECKPOINT, self.trainer, self._trace, self._clock)
            self._saved_at = time.monotonic()

    def _save_stable(self) -> None:
        if self.trainer.epoch == self.trainer.schedule.decay_start:
            save_checkpoint(self.folder / STABLE, self.trainer, self._trace, self._clock)

    @property
    def images_per_second(self) -> float:
        """How fast this training has been so far, validation included."""
        return self._images_paid() / self._clock.train_seconds

    def discard_checkpoint(self) -> None:
        """Remove what only an unfinished training needs; the stable phase's state stays, to be extended from."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _outcome(self, report: Report) -> Outcome:
        return Outcome(
            accuracy=self._trace.epochs[-1].accuracy,
            trace=self._trace,
            report=report,
            stopped=self._clock.stopped,
            epochs_used=self.trainer.epoch,
            images_seen=self._origin.images + self.trainer.images_seen + self._clock.lost_images,
            train_macs=self.train_macs,
            reading_macs=self.reading_macs,
            stable_epochs=self.trainer.schedule.decay_start if (self.folder / STABLE).exists() else None,
            clock=self._clock,
        )

    @property
    def train_macs(self) -> int:
        """What was paid so far, readings included."""
        made = 0 if self._clock.inherited_epochs else self._origin.macs * (1 + self._clock.restarts)
        return made + 3 * self.blueprint.cost.macs * self._images_paid() + self.reading_macs

    def _images_paid(self) -> int:
        """Those of the epochs that were not inherited, and of those before a restart."""
        own = self.trainer.images_seen * (self.trainer.epoch - self._clock.inherited_epochs) // self.trainer.epoch
        return own + self._clock.lost_images

    @property
    def reading_macs(self) -> int:
        """Forward and reverse passes of the routine readings and of the full one, the last epoch's if it finished."""
        own = self._trace.epochs[self._clock.inherited_epochs :]
        full = self._read_in_full
        routine = sum(bool(row.readings) for row in own) + self._clock.lost_readings - (full and self.trainer.finished)
        probes, calibration = len(self._probe), self._probe.calibration_images
        price = partial(self.blueprint.reading_macs, calibration=calibration)
        return routine * price(min(probes, ROUTINE_PROBES), ROUTINE_CHANNELS) + full * price(probes)

    @contextmanager
    def _clock_train(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._clock.train_seconds += time.perf_counter() - start
