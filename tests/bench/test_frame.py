from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phashopt.bench.frame import read_frame
from phashopt.bench.table import read_table
from phashopt.errors import UserError

from .test_table import foreign


def changed(path: Path, **columns: object) -> Path:
    """A foreign table whose first configuration has other values; what is callable makes a column of the frame."""
    frame = pd.read_parquet(foreign(path))
    first = frame["config"] == 0
    for name, value in columns.items():
        if name not in frame:
            frame[name] = 1.0
        frame[name] = value(frame) if callable(value) else frame[name].astype(object).where(~first, value)
    frame.to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("config", np.nan, "config is missing in some rows"),
        ("macs", lambda frame: frame["macs"] + frame["epoch"], "configuration 0 has rows with different macs"),
        ("width_00", lambda frame: frame["epoch"], "configuration 0 has rows with different width_00"),
        ("train_macs", lambda frame: frame["macs"], "train_macs must grow from epoch to epoch"),
        ("redundancy.width_01", 5.0, "redundancy.width_01 must be shares in .0, 1."),
        ("redundancy.width_01", np.inf, "redundancy.width_01 must be shares in .0, 1."),
        ("learning_rate", 0.0, "learning_rate must be more than 0"),
        ("macs", np.nan, "macs must be finite and more than 0"),
        ("macs", 0.0, "macs must be finite and more than 0"),
        ("train_macs", np.inf, "train_macs must be finite and more than 0"),
        ("reading.macs", -1.0, "reading.macs must be finite and not below 0"),
        ("width_00", np.nan, "width_00 must be whole numbers"),
        ("width_00", 2.5, "width_00 must be whole numbers"),
        ("width_00", 0.0, "width_00 must be finite and more than 0"),
        ("seed", 0.5, "seed must be whole numbers"),
        ("epoch", 1.25, "epoch must be whole numbers"),
        ("val_accuracy", 93.0, "shares in .0, 1., not percent"),
        ("momentum", np.nan, "momentum is missing or infinite in some rows"),
        ("momentum", np.inf, "momentum is missing or infinite in some rows"),
        ("learning_rate", np.nan, "learning_rate is missing or infinite in some rows"),
    ],
)
def test_numbers_that_make_no_sense_are_named(tmp_path: Path, column: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_table(changed(tmp_path / "table.parquet", **{column: value}))


@pytest.mark.parametrize("column", ["width_01", "val_accuracy", "learning_rate", "macs"])
def test_words_are_no_numbers(tmp_path: Path, column: str) -> None:
    with pytest.raises(UserError, match=f"{column} must be numbers"):
        read_table(changed(tmp_path / "table.parquet", **{column: lambda frame: frame[column].map(lambda _: "high")}))


def test_a_category_that_some_lack_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="optimizer is missing"):
        read_table(changed(tmp_path / "table.parquet", optimizer=None))


@pytest.mark.parametrize("column", ["redundancy.width_01", "train_loss", "val_accuracy", "momentum"])
def test_what_nobody_recorded_is_unknown(tmp_path: Path, column: str) -> None:
    frame, _ = read_frame(changed(tmp_path / "table.parquet", **{column: lambda frame: pd.Series([None] * len(frame))}))
    assert frame[column].isna().all()
    assert len(read_table(tmp_path / "table.parquet").configs) == 18


def test_lists_are_no_numbers_of_configurations(tmp_path: Path) -> None:
    path = changed(tmp_path / "table.parquet", config=lambda frame: pd.Series([[0]] * len(frame)))
    with pytest.raises(UserError, match="number the configurations"):
        read_table(path)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    pd.read_parquet(foreign(tmp_path / "table.parquet")).head(0).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(UserError, match="has no rows"):
        read_table(tmp_path / "empty.parquet")


def test_lists_are_no_parameters(tmp_path: Path) -> None:
    path = changed(tmp_path / "table.parquet", betas=lambda frame: pd.Series([[0.9, 0.99]] * len(frame)))
    assert "betas" not in read_table(path).configs[0]


def test_one_name_may_stand_for_a_network_of_several_lengths(tmp_path: Path) -> None:
    path = foreign(tmp_path / "table.parquet")
    every = read_table(path)
    frame = pd.read_parquet(path).assign(optimizer="sgd", learning_rate=0.1)
    frame.to_parquet(path)
    apart = read_table(path)
    frame.assign(config=frame["config"] // 2).to_parquet(path)
    assert read_table(path) == apart
    assert len(apart.configs) == len(every.configs)


def test_the_same_row_twice_is_refused(tmp_path: Path) -> None:
    frame = pd.read_parquet(foreign(tmp_path / "table.parquet"))
    pd.concat([frame, frame.tail(1)]).to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(UserError, match="two rows of one configuration"):
        read_table(tmp_path / "twice.parquet")


def test_layers_are_in_numeric_order(tmp_path: Path) -> None:
    frame = pd.read_parquet(foreign(tmp_path / "table.parquet")).drop(columns="redundancy.width_01")
    names = {"width_00": "width_2", "width_01": "width_10"}
    frame.rename(columns=names).to_parquet(tmp_path / "unpadded.parquet")
    assert read_table(tmp_path / "unpadded.parquet").widths == ["width_2", "width_10"]
