from __future__ import annotations

import json
import math

from phashopt.figures.heat import layer_heat


def test_shares_are_whole_percents_and_what_is_unknown_is_left_out() -> None:
    figure = layer_heat("title", ["a", "b"], [3, 7], "trial", [[0.254, math.nan], [1.0, 0.0]])
    (cells,) = figure.data
    assert [list(row) for row in cells.z] == [[25, None], [100, 0]]
    assert (list(cells.x), list(cells.y)) == ([3, 7], [1, 2])
    assert "NaN" not in json.dumps(json.loads(figure.to_json()))


def test_counts_stay_counts() -> None:
    figure = layer_heat("title", ["a"], [0], "trial", [[48]], share=False)
    assert figure.data[0].z[0][0] == 48
