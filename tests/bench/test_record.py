from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from phashopt.bench.record import Recording
from phashopt.bench.task import RecordTask
from phashopt.errors import UserError

from .conftest import Table


def test_there_is_a_row_for_every_configuration_seed_and_epoch(table: Table) -> None:
    frame = table.frame
    assert list(frame.columns[:4]) == ["config", "seed", "length", "epoch"]
    assert not frame.duplicated(["config", "seed", "epoch"]).any()
    lengths = frame.groupby(["config", "seed"]).agg(length=("length", "first"), epochs=("epoch", "max"))
    assert (lengths["length"] == lengths["epochs"]).all()
    assert len(lengths) == 2 * 2 * 2


def test_a_shorter_training_is_the_longer_one_until_it_decays(table: Table) -> None:
    frame = table.frame
    pairs = frame.merge(frame, on=["seed", "width_00", "width_01", "learning_rate", "epoch"], suffixes=("", "_long"))
    pairs = pairs[(pairs["length"] == 2) & (pairs["length_long"] == 3)]
    first = pairs["epoch"] == 1
    assert (pairs[first]["train_loss"] == pairs[first]["train_loss_long"]).all()
    assert (pairs[~first]["train_loss"] != pairs[~first]["train_loss_long"]).all()


def test_every_epoch_is_read_and_paid(table: Table) -> None:
    frame = table.frame
    for signal in ("duplicates", "dead", "rank", "chip", "cosine", "silent"):
        assert frame[f"{signal}.width_01"].notna().all()
    images = frame["train_macs"] / (3 * frame["macs"] * frame["epoch"])
    assert images.nunique() == 1


def test_a_table_that_was_interrupted_ends_as_if_it_had_not_been(table: Table, tmp_path: Path) -> None:
    again = tmp_path / "again.parquet"
    half = Recording(table.task, again, tmp_path).record(1)
    next(half)
    half.close()
    part = tmp_path / "again.parquet.part"
    header, first = part.read_bytes().splitlines(keepends=True)
    damaged = (b"\0" * 40, b"\xff\xfe\x1c", b"[1]", b'{"job": [1, 0]}')  # as a power cut leaves what was written last
    part.write_bytes(header + first + b"\n".join(damaged) + b'\n{"job": [1, ')
    assert len(list(Recording(table.task, again, tmp_path).record(1))) == 3
    pd.testing.assert_frame_equal(pd.read_parquet(again), table.frame)
    assert not part.exists()


def test_two_processes_do_not_record_one_table(table: Table, tmp_path: Path) -> None:
    out = tmp_path / "again.parquet"
    running, other = (Recording(table.task, out, tmp_path) for _ in range(2))
    half = running.record(1)
    next(half)
    with pytest.raises(UserError, match=r"another process records .*again.parquet"):
        next(other.record(1))
    assert len(list(half)) == 3
    assert list(other.record(1)) == []
    pd.testing.assert_frame_equal(pd.read_parquet(out), table.frame)


def test_what_is_damaged_where_it_says_what_it_is_of_is_not_gone_on_with(table: Table, tmp_path: Path) -> None:
    (tmp_path / "again.parquet.part").write_bytes(b"\0\0\n{}\n")
    with pytest.raises(UserError, match="damaged"):
        Recording(table.task, tmp_path / "again.parquet", tmp_path)


def test_a_table_is_no_folder(table: Table, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; name a file in it"):
        Recording(table.task, tmp_path, tmp_path)


def test_another_tasks_table_is_not_gone_on_with(table: Table) -> None:
    other = table.task.model_copy(update={"record": table.task.record.model_copy(update={"held_out": 7})})
    with pytest.raises(UserError, match="another task"):
        Recording(other, table.path, table.path.parent)
    assert list(Recording(table.task, table.path, table.path.parent).record(1)) == []


def test_the_file_says_what_it_is_of(table: Table) -> None:
    metadata = pq.read_schema(table.path).metadata
    assert RecordTask.model_validate_json(metadata[b"spec"]) == table.task
    assert metadata.keys() >= {b"data_hash", b"versions", b"device", b"image", b"classes"}


def test_a_training_that_diverges_ends_in_an_empty_row(table: Table, tmp_path: Path) -> None:
    spec = table.task.model_dump(mode="json")
    spec["training"]["learning_rate"] = 1e9
    out = tmp_path / "wild.parquet"
    list(Recording(RecordTask.model_validate(spec), out, tmp_path).record(1))
    last = pd.read_parquet(out).groupby(["config", "seed"]).nth(-1)
    assert last["val_accuracy"].isna().all()
    assert (last["train_macs"] > 0).all()
