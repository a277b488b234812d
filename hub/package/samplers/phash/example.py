"""Two layers of kernels under a cap, with readings as a network would leave them; no network is trained."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import optunahub

REGISTRY = Path(__file__).parents[2]  # optunahub.load_module("samplers/phash") once it is registered
module = optunahub.load_local_module("samplers/phash", registry_root=str(REGISTRY))


def macs(widths: dict[str, int]) -> float:
    return widths["width_00"] * (9 + widths["width_01"])


def objective(trial: optuna.Trial) -> float:
    first = trial.suggest_int("width_00", 4, 64, step=4)
    second = trial.suggest_int("width_01", 4, 64, step=4)
    for name, needed, given in (("width_00", 12, first), ("width_01", 32, second)):
        trial.set_user_attr(f"redundancy.{name}", max(0.0, 1 - needed / given))
    return 1 - 0.2 * math.exp(-first / 12) - 0.3 * math.exp(-second / 32)


def main(trials: int = 12) -> optuna.Study:
    sampler = module.PHashSampler(seed=0, widths=["width_00", "width_01"], limits={"macs": (macs, 600)})
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=module.PHashPruner())
    study.optimize(objective, n_trials=trials)
    print(f"best: {study.best_value:.3f} with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
