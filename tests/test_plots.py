from __future__ import annotations

from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure

import phashopt
from phashopt import plots
from phashopt.errors import UserError

WIDTHS = ["width_00", "width_01"]


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    """Anybody's study: six trials of a made-up network, with the sampler of five lines."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    limits = {"macs": (lambda widths: widths["width_00"] * widths["width_01"], 400.0)}
    study = optuna.create_study(
        direction="maximize", sampler=phashopt.PHashSampler(seed=0, widths=WIDTHS, limits=limits)
    )
    for _ in range(6):
        trial = study.ask()
        first, second = (trial.suggest_int(name, 4, 64, step=4) for name in WIDTHS)
        trial.set_user_attr("macs", first * second)
        for name in WIDTHS:
            trial.set_user_attr(f"redundancy.{name}", 0.1)
        trial.report(0.5, 1)
        study.tell(trial, 1 - 1 / first - 2 / second)
    return study


@pytest.mark.parametrize("name", plots.__all__)
def test_every_plot_takes_anybodys_study(study: optuna.Study, name: str) -> None:
    figure = getattr(plots, name)(study)
    assert isinstance(figure, go.Figure | Figure)
    assert len(figure.data if isinstance(figure, go.Figure) else figure.axes) > 0 or "learning" in name


def test_the_front_is_that_of_the_trials(study: optuna.Study) -> None:
    figure = plots.plot_accuracy_against_macs(study)
    (front,) = [trace for trace in figure.data if trace.name == "front"]
    assert study.best_value in front.y


def test_a_study_that_never_had_a_model_says_so() -> None:
    empty = optuna.create_study(direction="maximize")
    with pytest.raises(UserError, match="was not made by phashopt"):
        plots.plot_belief(empty)
    with pytest.raises(UserError, match="neither a baseline nor a best"):
        plots.plot_network(empty)


def test_the_readme_names_every_plot() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert all(name in readme for name in plots.__all__)
