from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest

from phashopt.report.exhibit import Exhibit
from phashopt.report.files import write_tables
from phashopt.service.summary import StudySummary, summarize

TABLES = {"trials", "front", "before_after", "spending", "layers", "epochs"}


def test_layers_and_epochs_are_whole(tmp_path: Path, summary: StudySummary, exhibits: list[Exhibit]) -> None:
    write_tables(summary, exhibits, None, tmp_path)
    layers, epochs = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("layers", "epochs"))
    assert len(layers) == len(summary.trials) * len(summary.width_names)
    trial = summary.trials[3]
    row = layers[(layers["number"] == 3) & (layers["layer"] == "width_01")].iloc[0]
    assert (row["kernels"], row["redundancy"]) == (trial.params["width_01"], trial.attrs["redundancy.width_01"])
    assert epochs.groupby("role")["epoch"].apply(list).to_dict() == {"baseline": [1, 2, 3, 4], "best": [1, 2, 3, 4]}


@pytest.mark.parametrize("trials", [0, 1])
def test_a_study_that_has_just_begun_has_its_tables(
    tmp_path: Path, write_study: Callable[..., optuna.Study], trials: int
) -> None:
    write_tables(summarize(write_study(trials)), [], None, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.csv")} == TABLES
