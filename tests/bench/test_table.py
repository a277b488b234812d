from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phashopt.bench.recorded import RecordedWorld
from phashopt.bench.table import key, read_table
from phashopt.errors import UserError
from phashopt.search.curve import nats
from phashopt.search.space import LENGTH
from phashopt.trace import Epoch

from .conftest import Table

WIDTHS = (2, 4, 8)


def foreign(path: Path, **columns: object) -> Path:
    """A table that somebody else recorded: two layers, two lengths, two seeds, a category, no metadata."""
    rows = []
    shapes = [(first, second, length) for first in WIDTHS for second in WIDTHS for length in (2, 4)]
    for config, (first, second, length) in enumerate(shapes):
        for seed in (3, 5):
            for epoch in range(1, length + 1):
                anneals = epoch > 1 and length == 2
                accuracy = 0.5 + 0.01 * (first + second) + 0.02 * epoch + 0.1 * anneals + 0.001 * seed
                cost = 9 * first + 81 * first * second + 7 * second
                row = {"config": config, "seed": seed, "epoch": epoch, "length": length, "macs": cost, "params": 1}
                row |= {"width_00": first, "width_01": second, "optimizer": "sgd" if config % 2 else "adamw"}
                row |= {"learning_rate": 0.001 * (config + 1), "train_loss": 1 - accuracy, "val_accuracy": accuracy}
                row |= {"train_macs": 3 * cost * 10 * epoch, "redundancy.width_01": 0.1, "rank.width_01": 0.2}
                rows.append(row | columns)
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture
def world(tmp_path: Path) -> RecordedWorld:
    return RecordedWorld(read_table(foreign(tmp_path / "foreign.parquet")), 0.3, 3)


def test_parameters_are_what_is_constant_in_a_configuration(tmp_path: Path) -> None:
    table = read_table(foreign(tmp_path / "foreign.parquet"))
    assert table.configs[0].keys() == {"width_00", "width_01", "optimizer", "learning_rate", LENGTH}
    assert (table.seeds, table.held_out) == ([3], 5)
    assert table.trainings[0, 3].trace.epochs[-1].readings["width_01"].redundancy == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["float64", "string"])
def test_numbers_may_be_stored_as_anything_that_reads_as_one(tmp_path: Path, kind: str) -> None:
    path = foreign(tmp_path / "foreign.parquet")
    frame = pd.read_parquet(path)
    frame.astype({"epoch": kind, "seed": kind}).to_parquet(tmp_path / "other.parquet")
    assert read_table(tmp_path / "other.parquet") == read_table(path)


def test_a_table_without_a_whole_configuration_is_refused(tmp_path: Path) -> None:
    frame = pd.read_parquet(foreign(tmp_path / "foreign.parquet"))
    frame[frame["config"] % 2 == (frame["seed"] == 3)].to_parquet(tmp_path / "halves.parquet")
    with pytest.raises(UserError, match="no configuration that was trained to its end with every seed"):
        read_table(tmp_path / "halves.parquet")


def test_what_did_not_come_to_its_end_is_left_out(tmp_path: Path) -> None:
    frame = pd.read_parquet(foreign(tmp_path / "foreign.parquet"))
    last = frame["epoch"] == frame["length"]
    cut, diverged = (last & (frame["config"] == config) & (frame["seed"] == 3) for config in (1, 2))
    frame.loc[diverged, "val_accuracy"] = math.nan
    frame[~cut].to_parquet(tmp_path / "cut.parquet")
    table = read_table(tmp_path / "cut.parquet")
    assert (len(table.configs), table.left_out) == (17, 1)
    assert "1 left out" in RecordedWorld(table, 0.3, 3).in_words


def test_one_network_under_two_numbers_is_refused(tmp_path: Path) -> None:
    frame = pd.read_parquet(foreign(tmp_path / "foreign.parquet"))
    again = frame[frame["config"] == 4].assign(config=99, val_accuracy=0.1)
    pd.concat([frame, again]).to_parquet(tmp_path / "twice.parquet")
    with pytest.raises(UserError, match="one configuration under two numbers: width_00 2, width_01 8"):
        read_table(tmp_path / "twice.parquet")


def test_what_the_task_did_not_search_is_no_parameter(table: Table, tmp_path: Path) -> None:
    file = pq.read_table(table.path)
    config = file["config"].to_numpy()
    told = file.append_column("seconds", pa.array(config * 1.5))
    for name, metadata in (("ours", file.schema.metadata), ("foreign", None)):
        pq.write_table(told.replace_schema_metadata(metadata), tmp_path / name)
    ours, foreign = (read_table(tmp_path / name).configs[0].keys() for name in ("ours", "foreign"))
    assert ours == read_table(table.path).configs[0].keys()
    assert "seconds" in foreign - ours


def test_what_the_task_searched_does_not_vary_within_a_configuration(table: Table, tmp_path: Path) -> None:
    file = pq.read_table(table.path)
    rates = file["learning_rate"].to_numpy() + 1e-9 * file["seed"].to_numpy()
    place = file.column_names.index("learning_rate")
    numbered = file.set_column(0, "config", pa.array(file["config"].to_numpy() + 100))  # as the file counts them
    pq.write_table(numbered.set_column(place, "learning_rate", pa.array(rates)), tmp_path / "jitter")
    with pytest.raises(UserError, match="configuration 100 has rows with different learning_rate"):
        read_table(tmp_path / "jitter")


def test_ours_is_read_with_the_seed_that_its_task_holds_out(table: Table) -> None:
    read = read_table(table.path)
    assert (read.seeds, read.held_out) == ([0], 2)
    assert len(read.configs) == table.frame["config"].nunique()


def test_a_shorter_training_shares_its_stable_phase_with_a_longer_one(table: Table) -> None:
    read = read_table(table.path)
    short = next(place for place, params in enumerate(read.configs) if params[LENGTH] == 2)
    longer = read.places[key({**read.configs[short], LENGTH: 3})]
    assert read.shared_epochs(short, longer, 0) == 1


def test_costs_of_the_whole_grid_follow_from_the_recorded_ones(world: RecordedWorld) -> None:
    cost, cap = world.space.limits["macs"]
    for first in WIDTHS:
        for second in WIDTHS:
            exact = 9 * first + 81 * first * second + 7 * second
            assert cost({"width_00": first, "width_01": second}) == pytest.approx(exact)
    assert cap == pytest.approx(0.3 * (9 * 8 + 81 * 64 + 7 * 8))


def test_a_proposal_is_trained_where_it_is_recorded_or_next_to_it(world: RecordedWorld) -> None:
    recorded = world.nearest(
        {"width_00": 2, "width_01": 8, "optimizer": "sgd", "learning_rate": 0.006, LENGTH: 4}, set()
    )
    assert recorded == {"width_00": 2, "width_01": 8, "optimizer": "sgd", "learning_rate": 0.006, LENGTH: 4}
    near = world.nearest(recorded, {world.key(recorded)})
    assert near != recorded
    assert world.space.feasible(near)
    wide = world.nearest({**recorded, "width_00": 8}, set())
    assert world.space.feasible(wide)


def test_the_judge_is_another_seed(world: RecordedWorld) -> None:
    params = world.nearest({"width_00": 4, "width_01": 4, "optimizer": "sgd", "learning_rate": 0.01, LENGTH: 4}, set())
    accuracy = 0.5 + 0.08 + 0.08 + 0.005
    assert world.worth(params) == pytest.approx(nats(Epoch(0, accuracy=accuracy)), abs=1e-4)
    assert world.train(params, 0).trace.epochs[-1].accuracy == pytest.approx(accuracy - 0.002)


def test_the_best_is_under_the_cap_and_a_target_of_its_own(world: RecordedWorld) -> None:
    every = [world.nearest({**world.nearest(each, set())}, set()) for each in world.ordered(lambda params: 0.0)]
    assert world.best >= max(world.worth(params) for params in every)
    assert world.usual <= world.best
    assert 1 <= world.targets(1.0) <= world.targets(0.9) <= len(world.feasible)


def test_what_needs_no_search_goes_by_its_own_order(world: RecordedWorld) -> None:
    costs = [world.macs(params) for params in world.ordered(world.macs)]
    assert costs == sorted(costs, reverse=True)
    assert len(costs) == len(world.longest)


def test_a_table_of_one_seed_proves_nothing(tmp_path: Path) -> None:
    frame = pd.read_parquet(foreign(tmp_path / "foreign.parquet"))
    frame[frame["seed"] == 3].to_parquet(tmp_path / "one.parquet")
    with pytest.raises(UserError, match="one seed"):
        read_table(tmp_path / "one.parquet")


def test_a_cap_that_nothing_keeps_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="configurations"):
        RecordedWorld(read_table(foreign(tmp_path / "foreign.parquet", width_00=1)), 0.001, 3)


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no table"):
        read_table(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(UserError, match="no Parquet"):
        read_table(tmp_path / "text.parquet")
    pd.DataFrame({"config": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(UserError, match="no column"):
        read_table(tmp_path / "other.parquet")


def test_a_run_that_diverged_is_worth_nothing(tmp_path: Path) -> None:
    path = foreign(tmp_path / "foreign.parquet")
    frame = pd.read_parquet(path)
    frame.loc[(frame["config"] == 0) & (frame["epoch"] == 2), "val_accuracy"] = math.nan
    frame.to_parquet(path)
    table = read_table(path)
    assert RecordedWorld(table, 1.0, 3).worth(table.configs[0]) == 0


def test_where_all_is_alike_there_is_no_search(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="better than usual"):
        RecordedWorld(read_table(foreign(tmp_path / "foreign.parquet", val_accuracy=0.5)), 1.0, 3)


def test_a_network_whose_judge_guesses_came_to_nothing(tmp_path: Path) -> None:
    path = foreign(tmp_path / "foreign.parquet")
    frame = pd.read_parquet(path)
    guesses = (frame.config == 3) & (frame.seed == 5)
    frame.loc[guesses, ["val_accuracy", "train_loss"]] = (0.1, 2.3)
    frame.to_parquet(path)
    world = RecordedWorld(read_table(path), 1.0, 3)
    assert [world.ended(params) for params in world.points] == [place != 3 for place in range(len(world.points))]
