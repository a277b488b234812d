"""Real Optuna studies that carry what phashopt leaves in the database, and snapshots of their trials."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from phashopt.figures.belief import Belief, Curve
from phashopt.report import Scene, write_report
from phashopt.report.exhibit import Exhibit
from phashopt.service.creation import create_study
from phashopt.service.images import load_data
from phashopt.service.spec import load_spec
from phashopt.service.study import read_artifact_root
from phashopt.service.summary import StudySummary, roles, summarize
from phashopt.service.worker import Worker
from phashopt.trace import Epoch, Reading, Trace, write_trace
from phashopt.training.data import DataSet, load_raw, prepare
from phashopt.training.snapshot import LayerSnapshot, Snapshot

SPEC = {
    "study": {"name": "digits", "trials": 24, "seed": 0},
    "data": {"dataset": "digits", "validation": 0.2},
    "network": {"family": "plain", "widths": {"low": 4, "high": 64, "step": 4}, "baseline": [32, 64]},
    "limits": {"macs": 1_000_000},
    "signal": {"probes": 16},
}
MACS_PER_KERNEL = 18_000
TINY_SPEC = """
[study]
name = "tiny"
trials = 3
[data]
dataset = "digits"
limit = 300
[network]
kernel_size = 3
widths = { low = 4, high = 12, step = 4 }
baseline = [8, 8]
[training]
epochs = { low = 1, high = 3 }
learning_rate = { low = 0.01, high = 0.1, log = true }
[signal]
probes = 8
"""


def _write_study(
    trials: int = 8,
    layers: int = 2,
    *,
    name: str = "digits",
    spec: dict[str, Any] | None = None,
    state: Callable[[int], TrialState] = lambda _: TrialState.COMPLETE,
    reading: Callable[[int], float] = lambda number: 0.9 / (1 + number),
    baseline: int | None = 0,
    cap: float = 1_000_000,
    width: str = "width_{:02d}",
    decision: str = "Layer 1 is much redundant (0.41): 32 to 28 kernels. Without the reading: 36 kernels.",
) -> optuna.Study:
    """A study in memory whose trial `n` has the accuracy 0.9 + 0.01 sin(n) and costs 18,000 MACs a kernel."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=name, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.set_user_attr("spec", json.dumps(SPEC if spec is None else spec))
    study.set_user_attr("versions", {"phashopt": "0.1.0", "optuna": optuna.__version__})
    study.set_user_attr("data_hash", "5f1d0a")
    for number in range(trials):
        role = "baseline" if number == baseline else None
        names = [width.format(index) for index in range(layers)]
        _run(study, names, state=state(number), rho=reading(number), cap=cap, role=role, decision=decision)
    return study


def _make_snapshot(widths: list[int], channels: int = 1, side: int = 8, dead: int = 1, seed: int = 0) -> Snapshot:
    """A network whose kernels come in pairs of near-copies, the last `dead` of each layer dead."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (channels, side, side)).astype(np.uint8)
    layers = {f"width_{index:02d}": _layer(generator, width, image, dead) for index, width in enumerate(widths)}
    return Snapshot(image, layers)


@pytest.fixture(scope="session")
def write_study() -> Callable[..., optuna.Study]:
    """The writer of studies above."""
    return _write_study


@pytest.fixture(scope="session")
def make_snapshot() -> Callable[..., Snapshot]:
    """The maker of snapshots above."""
    return _make_snapshot


@pytest.fixture(scope="session")
def summary() -> StudySummary:
    """Eight finished trials of two layers, the first of them the baseline."""
    return summarize(_write_study(8))


@pytest.fixture(scope="session")
def exhibits(summary: StudySummary) -> list[Exhibit]:
    """What baseline and best left, but for their networks."""
    snapshots = {"baseline": _make_snapshot([32, 64]), "best": _make_snapshot([24, 40], seed=1)}
    return [Exhibit(role, trial, snapshot=snapshots[role]) for role, trial in roles(summary).items()]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, summary: StudySummary, exhibits: list[Exhibit]) -> Path:
    """The page of the eight trials, with a belief, and with a layer too wide for one sheet."""
    curve = Curve([24, 32], [1.0, 0.8], [1.1, 0.9], [1.2, 1.0])
    belief = Belief(1, {"width_00": curve, "width_01": curve}, {1: 0.5})
    wide = replace(exhibits[-1], snapshot=_make_snapshot([130, 40], side=4))
    scene = Scene([*exhibits[:-1], wide], belief=belief)
    return write_report(summary, scene, tmp_path_factory.mktemp("written"), command="python -m phashopt report digits")


@pytest.fixture(scope="session")
def digits() -> DataSet:
    """A few of the real scans."""
    raw = load_raw("digits", Path())
    return prepare(raw, validation=0.25, limit=300, seed=0, device=torch.device("cpu"))


@dataclass(frozen=True)
class Real:
    """A study that was really run, its images, and the folder of its artifacts."""

    summary: StudySummary
    data: DataSet
    root: Path


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """The tiny study, finished: three trials on real scans."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "tiny.toml").write_text(TINY_SPEC)
    url = f"sqlite:///{folder / 'tiny.db'}"
    spec = load_spec(folder / "tiny.toml")
    study = create_study(url, spec, folder)
    Worker(url, "tiny", folder, label="test").work()
    return Real(summarize(study), load_data(spec, folder, torch.device("cpu")), read_artifact_root(study, url))


def _run(
    study: optuna.Study, names: list[str], *, state: TrialState, rho: float, cap: float, role: str | None, decision: str
) -> None:
    trial = study.ask()
    kernels = [trial.suggest_int(name, 4, 64, step=4) for name in names]
    rate = trial.suggest_float("learning_rate", 1e-3, 0.3, log=True)
    accuracy = 0.9 + 0.01 * math.sin(trial.number)
    macs = sum(kernels) * MACS_PER_KERNEL
    readings = {name: Reading(rho, rho / 2, 0.0) for name in names}
    write_trace(trial, Trace([Epoch(n, 1 / n, accuracy - 0.1 / n, rate, readings) for n in range(1, 5)]))
    attrs: dict[str, Any] = {
        **{f"redundancy.{name}": reading.redundancy for name, reading in readings.items()},
        **{f"duplicates.{name}": reading.duplicates for name, reading in readings.items()},
        **{f"dead.{name}": reading.dead for name, reading in readings.items()},
        "redundancy.mean": rho,
        "macs": macs,
        "params": sum(kernels) * 90,
        "images_seen": 5748,
        "epochs_used": 4,
        "train_seconds": 2.5,
        "decision": decision,
        "parent": -1,
        **({"role": role} if role else {}),
        **({"error.type": "Diverged", "error.message": "the loss is NaN"} if state is TrialState.FAIL else {}),
    }
    for key, value in attrs.items():
        trial.set_user_attr(key, value)
    trial.set_constraint("macs", macs - cap)
    if state is TrialState.PRUNED:
        trial.report(accuracy, 1)
    if state.is_finished():
        study.tell(trial, accuracy if state is TrialState.COMPLETE else None, state=state)


def _layer(generator: np.random.Generator, kernels: int, image: np.ndarray, dead: int) -> LayerSnapshot:
    groups = np.arange(kernels, dtype=np.int32) // 2
    prototypes = generator.normal(size=(kernels, *image.shape))
    maps = prototypes[groups] + 0.1 * generator.normal(size=prototypes.shape)
    similarity = generator.beta(8, 5, (kernels, kernels))
    similarity = np.where(groups[:, None] == groups, 0.95, (similarity + similarity.T) / 2)
    np.fill_diagonal(similarity, 1.0)
    similarity[kernels - dead :] = similarity[:, kernels - dead :] = np.nan
    groups[kernels - dead :] = -1
    return LayerSnapshot(similarity.astype(np.float32), groups, maps.astype(np.float16))
