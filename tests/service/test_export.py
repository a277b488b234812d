from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from optuna.trial import create_trial

from phashopt.errors import UserError
from phashopt.search import ADOPTED_KEY
from phashopt.service.export import export_study
from phashopt.service.study import open_study


@pytest.mark.parametrize(
    ("number", "attrs", "why"),
    [
        (1, {"images_seen": 9}, "it is the best, but .*trial-00001.*is gone; take another with --trial N"),
        (2, {"images_seen": 9}, "`study gc` keeps those of the best only"),
        (1, {}, "no worker of phashopt's trained it"),
        (1, {ADOPTED_KEY: "old:0"}, "another study trained it"),
        (0, {}, "it is WAITING"),
    ],
)
def test_why_a_trial_has_no_weights_is_said(
    url: str, study: str, tmp_path: Path, *, number: int, attrs: Mapping[str, object], why: str
) -> None:
    opened, spec = open_study(url, study)
    for value in (0.9, 0.8):
        opened.add_trial(
            create_trial(value=value, params=spec.baseline, distributions=spec.space, user_attrs=dict(attrs))
        )
    with pytest.raises(UserError, match=f"trial {number} has left no weights: {why}"):
        list(export_study(url, study, tmp_path / "out", number))
    assert not (tmp_path / "out").exists()
