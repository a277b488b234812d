from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from phashopt.errors import UserError
from phashopt.networks import ImageShape
from phashopt.service.spec import Spec, load_spec, parse_spec

SpecOf = Callable[..., Spec]


def test_open_entries_are_the_space_and_fixed_ones_are_not(spec_of: SpecOf) -> None:
    assert spec_of("training.learning_rate=0.05").space == {
        "width_00": IntDistribution(2, 8, step=2),
        "width_01": IntDistribution(2, 8, step=2),
        "epochs": IntDistribution(1, 2),
    }
    assert spec_of().space["learning_rate"] == FloatDistribution(0.01, 0.1, log=True)


def test_the_baseline_is_the_given_widths_at_full_length_and_middle_rate(spec_of: SpecOf) -> None:
    assert spec_of().baseline == {"width_00": 4, "width_01": 6, "epochs": 2, "learning_rate": 0.032}


def test_listed_widths_are_stored_as_an_ordered_index(spec_of: SpecOf) -> None:
    spec = spec_of("network.widths={values=[2,4,6,32]}")
    assert spec.space["width_01"] == IntDistribution(0, 3)
    assert spec.baseline["width_01"] == 2
    assert spec.widths({"width_00": 1, "width_01": 3}) == [4, 32]


def test_one_table_a_layer(spec_of: SpecOf) -> None:
    spec = spec_of("network.widths=[{low=4,high=4},{low=2,high=64,log=true}]")
    assert spec.space["width_01"] == IntDistribution(2, 64, log=True)


def test_cost_is_asked_with_true_kernel_counts(spec_of: SpecOf) -> None:
    cost = spec_of().cost({"width_00": 4, "width_01": 6}, ImageShape(1, 8, 8), 10)
    assert cost.macs == 4 * 9 * 64 + 6 * 4 * 9 * 16 + 6 * 4 * 10


@pytest.mark.parametrize(
    ("given", "mirrored", "expected"), [("", True, True), ("", False, False), ("true", False, True)]
)
def test_mirroring_follows_the_data_set_unless_given(
    spec_of: SpecOf, given: str, mirrored: bool, expected: bool
) -> None:
    spec = spec_of(*([f"training.augmentation.mirror={given}"] if given else []))
    assert spec.recipe({"epochs": 2, "learning_rate": 0.1}, mirrored).augmentation.mirror is expected


def test_a_spec_survives_its_own_json(spec_of: SpecOf) -> None:
    spec = spec_of("network.widths={values=[4,6]}", 'training.optimizer={choices=["sgd","adamw"]}')
    again = parse_spec(__import__("json").loads(spec.model_dump_json()), "itself")
    assert again == spec
    assert again.hash == spec.hash


def test_the_hash_tells_specs_apart(spec_of: SpecOf) -> None:
    assert spec_of().hash != spec_of("study.seed=1").hash


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.widht=3", "there is no network.widht; did you mean 'widths'?"),
        ("trainig.epochs=3", "there is no trainig; did you mean 'training'?"),
        ("training.augmentation.shif=3", "did you mean 'shift'?"),
        ("training.epochs={low=1,hihg=3}", "did you mean 'high'?"),
        ("limits.latency=3", "there is no limits.latency; known are macs, params"),
        ("training.epochs='many'", "training.epochs: input should be a valid integer"),
        ("training.epochs=0", "training.epochs: input should be greater than or equal to 1, not 0"),
        ("training.epochs={low=3}", "training.epochs.high is missing"),
        ("training.epochs={low=3,high=1}", "training.epochs: low = 3 is above high = 1; swap them"),
        ("training.epochs=[1]", "write a number, or a table"),
        ("training.learning_rate={low=0,high=1,log=true}", "a log scale needs low > 0"),
        ("training.learning_rate={low=-1,high=1}", "learning_rate: input should be greater than 0, not -1.0"),
        ("training.optimizer='sdg'", "optimizer: input should be 'sgd' or 'adamw', not 'sdg'"),
        ("training.optimizer={choices=['sgd','lion']}", "'sgd' or 'adamw', not 'lion'"),
        ("network.family='vg'", "there is no family 'vg'; did you mean 'vgg'?"),
        ("network.widths={low=4,high=66,step=8}", "steps of 8 from 4 miss high = 66; make it 60"),
        ("network.widths={values=[4,2]}", "values must be increasing"),
        ("network.baseline=[5,6]", "5 is not on the grid of width_00; the nearest is"),
        ("network.widths=[{low=4,high=8}]", "widths has 1 tables, baseline 2 layers"),
        ("data.dataset='mnits'", "there is no data set 'mnits'; did you mean 'mnist'?"),
        ("data.validation=1.5", "data.validation: input should be less than 1"),
        ("data.held_out=0.9", "leave no image to train on"),
        ("study.name='a/b'", "study.name"),
        ("study=3", "study"),
        ("study.trials=0", "study.trials"),
        ("nonsense", "write --set section.key=value"),
        ("study.name.first=1", "name is a value, not a table"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(spec_of: SpecOf, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        spec_of(override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["study", "data", "network", "training"])
def test_a_missing_section_is_named(tmp_path: Path, spec_file: Path, section: str) -> None:
    lines = spec_file.read_text().replace(f"[{section}]", f"[{section}x]")
    path = tmp_path / "broken.toml"
    path.write_text(lines)
    with pytest.raises(UserError, match=section):
        load_spec(path)


@pytest.mark.parametrize("content", [b"[study", b"\xff\xfe", None])
def test_a_file_that_is_no_spec_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.toml"):
        load_spec(path)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "studies").glob("*.toml")), ids=lambda path: path.stem
)
def test_the_specs_we_ship_are_sound(path: Path) -> None:
    assert load_spec(path).study.name == path.stem
