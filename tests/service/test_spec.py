from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import ValidationError

from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.service.spec import Spec, StudyTable, load_spec, parse_spec
from phashopt.service.storage import study_folder

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


def test_the_baseline_takes_the_longest_of_listed_lengths(spec_of: SpecOf) -> None:
    assert spec_of("training.epochs={choices=[1,4,2]}").baseline["epochs"] == 4


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
    again = parse_spec(json.loads(spec.model_dump_json()), "itself")
    assert again == spec
    assert again.hash == spec.hash


def test_the_hash_tells_specs_apart(spec_of: SpecOf) -> None:
    assert spec_of().hash != spec_of("study.seed=1").hash


def test_how_patient_workers_are_makes_no_other_study(spec_of: SpecOf) -> None:
    assert spec_of().hash == spec_of("study.max_attempts=9", "study.max_failures=9").hash


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    (table, key)
    for table, model in Spec.model_fields.items()
    if table != "network"
    for key in [*model.annotation.model_fields, "unknown"]
] + [("network", key) for key in ("family", "widths", "baseline", "kernel_size", "pools", "batch_norm", "unknown")]


def spec_or_line(document: dict[str, object]) -> Spec | str:
    try:
        return parse_spec(document, "tiny.toml")
    except UserError as error:
        return str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(place=("training", "epochs"), value={"\n": None})
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_value_anywhere_is_a_sound_spec_or_one_line(tiny_spec: str, place: tuple[str, str], value: object) -> None:
    document = tomllib.loads(tiny_spec)
    document.setdefault(place[0], {})[place[1]] = value
    match spec_or_line(document):
        case str() as line:
            assert line.startswith("tiny.toml: ")
            assert "\n" not in line
        case spec:
            assert parse_spec(json.loads(spec.model_dump_json()), "itself") == spec


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30))
def test_any_override_is_taken_or_refused_in_one_line(spec_of: SpecOf, text: str) -> None:
    with suppress(UserError):
        spec_of(text)


@given(name=st.text(max_size=120) | st.sampled_from(["..", ".", "a/b", "uploads", "-x", "a\n", "CON", "a b"]))
def test_a_name_that_is_allowed_is_one_folder_below_the_root(name: str) -> None:
    with suppress(ValidationError):
        StudyTable(name=name, trials=1)
        folder = study_folder(Path("/root"), name)
        assert folder.parent == Path("/root")
        assert folder.name == name


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.widht=3", "there is no network.widht; did you mean 'widths'?"),
        ("trainig.epochs=3", "there is no trainig; did you mean 'training'?"),
        ("training.augmentation.shif=3", "did you mean 'shift'?"),
        ("training.epochs={low=1,hihg=3}", "did you mean 'high'?"),
        ("training.learning_rate={low=0.1,high=0.2,step=0.05}", "learning_rate.step; known are low, high, log"),
        ("training.epochs={low=1,high=3,lo=2}", "training.epochs.lo; did you mean 'low'?"),
        ("network.widths={low=4,high=64,values=[4]}", "there is no network.widths.low; known are values"),
        ("training.learning_rate={choices=[]}", "training.learning_rate.choices: list at least 2"),
        ("network.widths={values=[]}", "network.widths.values: list at least 1"),
        ("network.baseline=[]", "network.baseline: list at least 1"),
        ("training.optimizer={low=1,high=2}", 'training.optimizer: write "sgd", "adamw" or { choices ='),
        ("limits.latency=3", "there is no limits.latency; known are macs, params"),
        ("training.epochs='many'", "training.epochs: input should be a valid integer"),
        ("training.epochs=true", "training.epochs: input should be a valid integer, not True"),
        ("training.epochs='12'", "training.epochs: input should be a valid integer, not '12'"),
        ("training.batch_size={choices=[true,64]}", "training.batch_size.choices: choices are words or numbers"),
        ("training.epochs={choices=['2','16']}", "training: epochs: input should be a valid integer, not '2'"),
        ("training.momentum={choices=['0.5',0.9]}", "momentum: input should be a valid number, not '0.5'"),
        ("training.learning_rate={low=0.01,high=true}", "training.learning_rate.high: input should be a valid number"),
        ("network.baseline=[true,6]", "network.baseline.0: input should be a valid integer, not True"),
        ("search.inherit=1", "search.inherit: input should be a valid boolean, not 1"),
        ("study.seed=1979-05-27", "study.seed: input should be a valid integer, not '1979-05-27'"),
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
        (f"study.name='{'x' * 101}'", "at most 100 letters a to z, digits, dots, dashes and underscores"),
        (f"study.name='{'x' * 101}'", f", not '{'x' * 39}..."),
        ("study.name='größe'", "letters a to z"),
        ("study=3", "study"),
        ("study.name='uploads'", "choose another name"),
        ("study.trials=0", "study.trials"),
        ("study.max_attempts=0", "study.max_attempts"),
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
