"""A recorded table's file, checked (docs/study.md): what is misread in silence would be judged in earnest."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from phashopt.errors import UserError
from phashopt.search.space import LENGTH, RATE, numbered
from phashopt.trace import READING_FIELDS

READING_MACS = "reading.macs"
WIDTH_PREFIX = "width_"
ROW = ("config", "length", "seed", "epoch")  # what tells one row from any other
NUMBER = "config.number"  # a configuration's in the file, where it may stand for several lengths
COLUMNS = frozenset({*ROW, "train_loss", "val_accuracy", "macs", "train_macs"})
NO_PARAMETERS = COLUMNS | {"params", LENGTH}


def read_frame(path: Path) -> tuple[pd.DataFrame, Mapping[bytes, bytes]]:
    """Its rows in order, a `config` to each configuration and length, and the file's metadata; raises `UserError`."""
    try:
        frame = pd.read_parquet(path)
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError as error:
        raise UserError(f"there is no table {path}; record one with 'bench record'") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from error
    if missing := sorted(COLUMNS - set(frame.columns)):
        raise UserError(
            f"{path} has no column {missing[0]!r}; a table has one row an epoch of each configuration and seed"
        )
    if frame.empty:
        raise UserError(f"{path} has no rows; record it anew")
    if frame["config"].isna().any() or not _is_plain(frame["config"]):
        raise UserError(f"{path}: config is missing in some rows, or a list; number the configurations")
    frame = frame.assign(**_checked(frame, path)).sort_values(list(ROW), kind="stable")
    if frame.duplicated(list(ROW)).any():
        raise UserError(f"{path} has two rows of one configuration, length, seed and epoch: leave one of them out")
    frame = frame.assign(**{NUMBER: frame["config"]})
    _constant(frame, [*widths_of([str(name) for name in frame.columns]), "macs"], path)
    known = frame[frame["val_accuracy"].notna()]  # the row of a training that diverged may repeat the one before it
    if (known.groupby([*ROW[:3]], sort=False)["train_macs"].diff() <= 0).any():
        raise UserError(f"{path}: train_macs must grow from epoch to epoch: they are those of all epochs so far")
    return frame.assign(config=frame.groupby(["config", "length"], sort=False).ngroup()), metadata


def widths_of(names: Sequence[str]) -> list[str]:
    """The width parameters among `names`, first layer first."""
    return sorted((name for name in names if name.startswith(WIDTH_PREFIX)), key=numbered)


def parameters_of(frame: pd.DataFrame, searched: Collection[str] | None, path: Path) -> list[str]:
    """Widths and what else was `searched`; where nobody says, columns without a dot that no configuration varies.

    Signals have a dot, or move. Raises `UserError` for one that some configurations lack, for one that was searched and
    varies within a configuration, and where there are no widths.
    """
    names = [str(name) for name in frame.columns if "." not in str(name) and name not in NO_PARAMETERS]
    names = [name for name in names if frame[name].notna().any() and _is_plain(frame[name])]
    if searched is not None:
        parameters = [name for name in names if name in searched]
        _constant(frame, parameters, path)
    else:
        counts = frame.groupby("config")[names].nunique(dropna=False).max()
        parameters = [name for name in names if counts[name] == 1]
    if not widths_of(parameters):
        raise UserError(f"{path} has no widths: columns width_00, width_01, ...")
    for name in parameters:
        if frame[name].isna().any() or frame[name].isin([np.inf, -np.inf]).any():
            raise UserError(f"{path}: {name} is missing or infinite in some rows; write it everywhere, or leave it out")
    return parameters


def _constant(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Raise `UserError` for one of `names` that some configuration has two values of."""
    counts = frame.groupby(NUMBER)[list(names)].nunique(dropna=False)
    for name in names:
        if (varied := counts.index[counts[name] > 1]).size:
            raise UserError(f"{path}: configuration {varied[0]} has rows with different {name}; number these apart")


def _checked(frame: pd.DataFrame, path: Path) -> dict[str, pd.Series]:
    """The columns whose numbers have a meaning, as numbers."""
    widths = widths_of([str(name) for name in frame.columns])
    optional = [name for name in (READING_MACS, RATE) if name in frame]
    read = [str(name) for name in frame.columns if str(name).partition(".")[0] in READING_FIELDS]
    names = ("seed", "epoch", "length", *widths, "macs", "train_macs", "val_accuracy", "train_loss", *optional, *read)
    numbers = {name: _numbers(frame[name], path) for name in names}
    for name in ("seed", "epoch", "length", *widths):
        if not (np.isfinite(numbers[name]) & (numbers[name] % 1 == 0)).all():
            raise UserError(f"{path}: {name} must be whole numbers")
        numbers[name] = numbers[name].astype("int64")
    for name in ("epoch", "length", *widths, "macs", "train_macs"):
        if not (np.isfinite(numbers[name]) & (numbers[name] > 0)).all():
            raise UserError(f"{path}: {name} must be finite and more than 0")
    if READING_MACS in numbers and not (np.isfinite(numbers[READING_MACS]) & (numbers[READING_MACS] >= 0)).all():
        raise UserError(f"{path}: {READING_MACS} must be finite and not below 0")
    if not numbers["val_accuracy"].dropna().between(0, 1).all():
        raise UserError(f"{path}: val_accuracy must be shares in [0, 1], not percent; NaN where a training diverged")
    for name in read:
        if not numbers[name].dropna().between(0, 1).all():
            raise UserError(f"{path}: {name} must be shares in [0, 1]; NaN where nothing was read")
    if RATE in numbers and (numbers[RATE] <= 0).any():
        raise UserError(f"{path}: {RATE} must be more than 0")
    return numbers


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    """NaN where there is none."""
    try:
        return pd.to_numeric(column).astype("float64")
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {column.name} must be numbers ({error})") from error


def _is_plain(column: pd.Series) -> bool:
    """Whether its values can be a parameter's, which no list can."""
    return column.dtype != object or all(isinstance(value, Hashable) for value in column)
