from __future__ import annotations

import json
from dataclasses import replace

import optuna
import pandas as pd
import pytest
from optuna_dashboard import save_plotly_graph_object
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

from phashopt.figures.heat import DEEP
from phashopt.figures.study import dashboard_plots, study_plots
from phashopt.figures.view import StudyView

from .conftest import make_view


def test_the_dashboard_takes_every_plot_and_overwrites_it(view: StudyView) -> None:
    study = optuna.create_study()
    plots = dashboard_plots(view)
    for _ in range(2):
        saved = [save_plotly_graph_object(study, plot, graph_object_id=name) for name, plot in plots.items()]
    assert set(get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id))) == set(saved)


@pytest.mark.parametrize("layers", [0, 1, 3, 4, 13])
def test_every_layer_is_in_one_box_of_each_kind_and_no_box_overflows(view: StudyView, layers: int) -> None:
    view = replace(view, widths=[f"width_{index:02d}" for index in range(layers)])
    plots = dashboard_plots(view)
    assert {plot.layout.height for plot in plots.values()} == {450}
    for kind in ("widths", "redundancy", "learning-curves"):
        titles = [note.text for name, plot in plots.items() if kind in name for note in plot.layout.annotations]
        assert [title for title in titles if "(" in title] == [f"Layer {n + 1} (width_{n:02d})" for n in range(layers)]


def test_deep_networks_have_one_box_of_each_kind(view: StudyView) -> None:
    view = replace(view, widths=[f"width_{index:02d}" for index in range(DEEP + 1)])
    assert len(dashboard_plots(view)) == 5


def test_plots_of_a_thousand_trials_are_light_enough_for_the_dashboards_database(trials: pd.DataFrame) -> None:
    many = pd.concat([trials] * 200, ignore_index=True).assign(number=range(1400), decision="why " * 100)
    plots = dashboard_plots(make_view(many))
    writes = {name: len(plot.to_json()) / 2045 for name, plot in plots.items()}
    assert max(writes.values()) < 100


def test_plots_are_plain_json_without_nan(view: StudyView, empty_view: StudyView) -> None:
    for plots in (study_plots(view), study_plots(empty_view)):
        for plot in plots.values():
            json.loads(plot.to_json(), parse_constant=pytest.fail)
