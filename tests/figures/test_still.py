from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phashopt.figures.export import png_bytes
from phashopt.figures.heat import DEEP
from phashopt.figures.still import still
from phashopt.figures.study import study_plots
from phashopt.figures.view import StudyView


@pytest.mark.parametrize("layers", [0, 1, 5, DEEP + 1])
def test_every_plot_of_a_study_can_stand_still(view: StudyView, empty_view: StudyView, layers: int) -> None:
    widths = [f"width_{index:02d}" for index in range(layers)]
    for plots in (study_plots(replace(view, widths=widths)), study_plots(empty_view)):
        for plot in plots.values():
            assert png_bytes(still(plot)).startswith(b"\x89PNG")


def test_points_and_bars_are_those_of_the_plot(view: StudyView) -> None:
    plots = study_plots(view)
    scatter = plots["phashopt-accuracy-against-macs"]
    lines = still(scatter).axes[0].lines
    drawn = [line for line in lines if len(line.get_xdata()) and line.get_label() == "within the caps"]
    (cloud,) = [trace for trace in scatter.data if trace.name == "within the caps"]
    np.testing.assert_array_equal(drawn[0].get_xdata(), cloud.x)
    np.testing.assert_array_equal(drawn[0].get_ydata(), cloud.y)


def test_panels_keep_their_places(view: StudyView) -> None:
    plot = study_plots(view)["phashopt-widths"]
    upper, lower = still(plot).axes
    assert upper.get_position().y0 > lower.get_position().y1
