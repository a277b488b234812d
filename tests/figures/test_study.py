from __future__ import annotations

import json

import optuna
from optuna_dashboard import save_plotly_graph_object
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

from phashopt.figures import StudyView, study_plots


def test_the_dashboard_takes_every_plot_and_overwrites_it(view: StudyView) -> None:
    study = optuna.create_study()
    for _ in range(2):
        saved = [
            save_plotly_graph_object(study, plot, graph_object_id=name) for name, plot in study_plots(view).items()
        ]
    assert saved == list(study_plots(view))
    assert set(get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id))) == set(saved)


def test_plots_are_plain_json_without_nan(view: StudyView, empty_view: StudyView) -> None:
    for plots in (study_plots(view), study_plots(empty_view)):
        for plot in plots.values():
            json.loads(plot.to_json(), parse_constant=lambda constant: 1 / 0)
