from __future__ import annotations

import pytest

from phashopt.cli.tables import foretold
from phashopt.search import Prediction


@pytest.mark.parametrize(("survives", "risk"), [(1.0, ""), (0.96, ""), (0.7, "; 30% come to nothing")])
def test_a_prediction_warns_of_trainings_that_come_to_nothing(survives: float, risk: str) -> None:
    words = foretold(Prediction({"width_00": 8}, 2.3, 0.9, 0.85, 0.95, survives))
    assert words == f"predicted 0.9 (90% of trainings: 0.85 to 0.95{risk})"
