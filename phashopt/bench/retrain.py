"""One network trained with a seed of its own, in as many sittings as it takes, and scored at the end."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from phashopt.bench.confirm import FRESH
from phashopt.networks import build
from phashopt.plans import Cost
from phashopt.service.images import load_data
from phashopt.service.objective import trial_seed
from phashopt.service.spec import Spec, parse_spec
from phashopt.trace import Trace
from phashopt.training.checkpoint import Clock, load_checkpoint, save_checkpoint
from phashopt.training.data import DataSet
from phashopt.training.files import save_bytes
from phashopt.training.loop import Diverged, Interrupted, Trainer, evaluate, top_accuracy

Use = Literal["choose", "judge"]
FIRST_SEED = {"judge": FRESH, "choose": 2 * FRESH}  # those that choose are never those that judge
SAVE_SECONDS = 10.0
TOP = 5

Scores = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A network and how it is trained: true kernel counts, and the numbers of its recipe."""

    widths: tuple[int, ...]
    numbers: Mapping[str, Any]

    def changed(self, **numbers: Any) -> Variant:
        """The same network, trained otherwise."""
        return Variant(self.widths, {**self.numbers, **numbers})

    def cost(self, data: DataSet, spec: Spec) -> Cost:
        """MACs and parameters."""
        return spec.blueprint(self.widths, data.shape, len(data.classes)).cost


@dataclass(frozen=True)
class Job:
    """Training number `index` of a variant: one that is to `choose` is scored on validation, a `judge` on test images.

    `folder` keeps its scores, and before these what an unfinished training needs; `deadline` is as of `time.time()`.
    """

    spec: Spec
    variant: Variant
    use: Use
    index: int
    data_dir: Path
    folder: Path
    deadline: float

    @property
    def key(self) -> str:
        """The same for the same result."""
        told = json.dumps([self.use, self.index, asdict(self.variant), self._trained_on()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def kept(self) -> Path:
        """Where its scores are once it is over."""
        return self.folder / f"{self.key}.json"

    def _trained_on(self) -> dict[str, Any]:
        """What of the spec a training depends on."""
        return {"seed": self.spec.study.seed} | self.spec.model_dump(
            mode="json", include={"data", "network", "training"}
        )


def is_over(deadline: float) -> bool:
    """Whether a sitting's time is up, or whoever began it is gone."""
    parent = multiprocessing.parent_process()
    return time.time() >= deadline or (parent is not None and not parent.is_alive())


def retrain(job: Job) -> None:
    """Train, score and keep the scores; at the deadline leave off: the next call goes on from the last epoch saved.

    What diverges is as good as guessing, and says so.
    """
    if is_over(job.deadline):
        return
    data = load(job.spec, job.data_dir)
    seed = trial_seed(job.spec.study.seed, FIRST_SEED[job.use] + job.index)
    blueprint = job.spec.blueprint(job.variant.widths, data.shape, len(data.classes))
    recipe = job.spec.recipe(job.variant.numbers, data.mirrored)
    trainer = Trainer(build(blueprint, seed), recipe, data.train, seed)
    path = job.folder / f"{job.key}.safetensors"
    trace, clock = load_checkpoint(path, trainer) if path.exists() else (Trace(), Clock())
    try:
        _train(trainer, trace, clock, path, job.deadline)
        scores = _chosen_by(trainer, data) if job.use == "choose" else _judged(trainer, data)
    except Interrupted:
        return
    except Diverged:
        scores = _guessed(job.use, len(data.classes))
    told = {**scores, "seed": seed, "seconds": round(clock.train_seconds, 1)}
    save_bytes(job.kept, json.dumps(told).encode())
    path.unlink(missing_ok=True)


def load(spec: Spec, data_dir: Path) -> DataSet:
    """The spec's images on the GPU, or where there is none on the CPU; kept for the next call."""
    return _load(spec.model_dump_json(), data_dir)


@lru_cache(maxsize=2)  # what choices are made on, and what is judged
def _load(spec: str, data_dir: Path) -> DataSet:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_data(parse_spec(json.loads(spec), "the spec"), data_dir, device)


def _train(trainer: Trainer, trace: Trace, clock: Clock, path: Path, deadline: float) -> None:
    """To the end, saved to `path` now and then and at the end; raises `Interrupted` at the deadline, and `Diverged`."""
    saved = time.monotonic()
    while not trainer.finished:
        started = time.monotonic()
        trainer.train_epoch(lambda: is_over(deadline))
        clock.train_seconds += time.monotonic() - started
        if time.monotonic() - saved >= SAVE_SECONDS or trainer.finished:
            save_checkpoint(path, trainer, trace, clock)
            saved = time.monotonic()


def _chosen_by(trainer: Trainer, data: DataSet) -> Scores:
    return {"validation": evaluate(trainer.network, data.validation).accuracy}


def _guessed(use: Use, classes: int) -> Scores:
    names = ("validation",) if use == "choose" else ("test", "training")
    top = {} if use == "choose" else {f"top{TOP}": min(TOP / classes, 1.0)}
    return {**dict.fromkeys(names, 1 / classes), **top, "diverged": True}


def _judged(trainer: Trainer, data: DataSet) -> Scores:
    """On the test split, which no choice sees; and on the training images, to see what was learnt."""
    return {
        "test": evaluate(trainer.network, data.test).accuracy,
        f"top{TOP}": top_accuracy(trainer.network, data.test, TOP),
        "training": evaluate(trainer.network, data.train).accuracy,
    }
