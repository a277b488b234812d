"""The folder as OptunaHub's registry wants it, loaded as OptunaHub loads it."""

from __future__ import annotations

import runpy
from pathlib import Path

import optuna
import optunahub

FOLDER = Path(__file__).parents[1]
module = optunahub.load_local_module("samplers/phash", registry_root=str(FOLDER.parents[1]))


def test_sampler_and_pruner_are_optunas() -> None:
    assert issubclass(module.PHashSampler, optuna.samplers.BaseSampler)
    assert issubclass(module.PHashPruner, optuna.pruners.BasePruner)
    assert module.__all__ == ["PHashPruner", "PHashSampler"]


def test_the_example_keeps_its_cap_and_tells_why() -> None:
    example = runpy.run_path(str(FOLDER / "example.py"))
    study = example["main"](trials=6)
    assert all(example["macs"](trial.params) <= 600 for trial in study.trials)
    assert all(trial.system_attrs["decision"] for trial in study.trials)


def test_the_front_matter_has_what_the_registry_asks_for() -> None:
    _, front, text = (FOLDER / "README.md").read_text().split("---\n", maxsplit=2)
    keys = [line.partition(":")[0] for line in front.splitlines()]
    assert keys == ["author", "title", "description", "tags", "optuna_versions", "license"]
    assert all(f"## {heading}" in text for heading in ("Abstract", "APIs", "Installation", "Example"))
    assert (FOLDER / "LICENSE").exists()
