"""Your own Optuna script with phashopt's sampler and pruner: a tiny network for scikit-learn's digits, seconds to run.

The lines marked (1) to (5) are all that phashopt adds.
"""

from __future__ import annotations

import optuna
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

import phashopt

digits = load_digits()
pixels = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
train_x, valid_x, train_y, valid_y = train_test_split(
    pixels, torch.tensor(digits.target), test_size=0.2, stratify=digits.target, random_state=0
)
probe = phashopt.Probe(train_x[:16], widths={"0": "width_00", "3": "width_01"})  # (1)


def objective(trial: optuna.Trial) -> float:
    first = trial.suggest_int("width_00", 4, 32, step=4)
    second = trial.suggest_int("width_01", 4, 32, step=4)
    epochs = trial.suggest_int("epochs", 2, 8)
    rate = trial.suggest_float("learning_rate", 0.01, 0.5, log=True)
    torch.manual_seed(trial.number)
    model = nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4 * second, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(train_x)).split(64):
            loss = F.cross_entropy(model(train_x[batch]), train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(valid_x).argmax(1) == valid_y).float().mean().item()
        probe.read(model, trial, epoch, accuracy=accuracy, loss=loss.item(), learning_rate=rate)  # (2)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def macs(widths: dict[str, int]) -> float:
    return 9 * 64 * widths["width_00"] + 9 * 16 * widths["width_00"] * widths["width_01"]


def main(trials: int = 10) -> optuna.Study:
    sampler = phashopt.PHashSampler(seed=0, widths=["width_00", "width_01"], limits={"macs": (macs, 60_000)})  # (3)
    pruner = phashopt.PHashPruner()  # (4)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=trials)
    for trial in study.trials:
        print(f"trial {trial.number}: {trial.system_attrs['decision']}")  # (5)
    print(f"best: {study.best_value:.3f} with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
