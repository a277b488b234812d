"""A study spec: one TOML file that says everything a worker needs, checked before anything is written."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from optuna.distributions import BaseDistribution
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from phashopt.errors import UserError, meant
from phashopt.plans import FAMILIES, Blueprint, Cost, ImageShape, Plain, ResNet, Vgg, width_name
from phashopt.service.ranges import Choices, FloatRange, IntRange, WidthRange, WidthValues, distribution, ends, middle
from phashopt.service.storage import UPLOADS
from phashopt.training.datasets import SOURCES
from phashopt.training.recipe import Augmentation, Recipe

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"  # a study's name is also a folder's


T = TypeVar("T")


def _kind(entry: Any) -> str:
    """Which alternative of an open entry is meant; the brackets mark it as no key in an error's location."""
    if isinstance(entry, list | tuple):
        return "<list>"
    keys = type(entry).model_fields if isinstance(entry, BaseModel) else entry
    if not isinstance(keys, Mapping):
        return "<value>"
    return next((f"<{key}>" for key in ("choices", "values") if key in keys), "<range>")


def _family(table: Any) -> str:
    family = table.get("family", "plain") if isinstance(table, Mapping) else getattr(table, "family", "plain")
    return f"<{family}>"


Listed = Annotated[Choices, Tag("<choices>")]
OpenInt = Annotated[Annotated[T, Tag("<value>")] | Annotated[IntRange, Tag("<range>")] | Listed, Discriminator(_kind)]
OpenFloat = Annotated[
    Annotated[T, Tag("<value>")] | Annotated[FloatRange, Tag("<range>")] | Listed, Discriminator(_kind)
]
WidthGrid = WidthRange | WidthValues
Widths = Annotated[
    Annotated[WidthRange, Tag("<range>")] | Annotated[WidthValues, Tag("<values>")], Discriminator(_kind)
]
Positive = Annotated[int, Field(ge=1)]


class Table(BaseModel):
    """A table of a spec: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StudyTable(Table):
    """Name and global budget, all workers together; the first limit reached ends the study."""

    name: str = Field(pattern=NAME_PATTERN)
    trials: int = Field(ge=1)
    max_compute: float | None = Field(default=None, gt=0)  # MACs
    max_hours: float | None = Field(default=None, gt=0, le=1e6)  # since the study was created
    seed: int = Field(default=0, ge=0)
    max_attempts: int = Field(default=3, ge=1)  # workers that may vanish under a trial before it fails
    max_failures: int = Field(default=3, ge=1)  # trials that may fail in a row before a worker gives up

    @field_validator("name")
    @classmethod
    def _check_folder(cls, name: str) -> str:
        if name == UPLOADS:
            raise ValueError(f"{name!r} is the folder of all studies' pictures; choose another name")
        return name


class DataTable(Table):
    """Which images; shares are of the training images. `held_out` is never scored by the search."""

    dataset: str
    validation: float = Field(default=0.2, gt=0, lt=1)
    held_out: float = Field(default=0.0, ge=0, lt=1)
    limit: int | None = Field(default=None, ge=10)
    size: int = Field(default=64, ge=4, le=1024)  # pixels a side: of a folder's images, at most of any others

    @model_validator(mode="after")
    def _check(self) -> DataTable:
        if self.dataset not in SOURCES and not self.dataset.startswith("folder:"):
            raise ValueError(f"there is no data set {self.dataset!r}{meant(self.dataset, SOURCES)}")
        if self.validation + self.held_out >= 1:
            raise ValueError("validation and held_out leave no image to train on; lower one")
        return self


class _SearchedWidths(BaseModel):
    widths: Annotated[
        Annotated[WidthRange, Tag("<range>")]
        | Annotated[WidthValues, Tag("<values>")]
        | Annotated[tuple[Widths, ...], Tag("<list>")],
        Discriminator(_kind),
    ]
    baseline: Annotated[tuple[Positive, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _baseline_on_grid(self) -> _SearchedWidths:
        grids = self.grids()
        if len(grids) != len(self.baseline):
            raise ValueError(f"widths has {len(grids)} tables, baseline {len(self.baseline)} layers; give one a layer")
        for index, (grid, kernels) in enumerate(zip(grids, self.baseline, strict=True)):
            if kernels not in grid:
                raise ValueError(
                    f"baseline: {kernels} is not on the grid of {width_name(index)}; the nearest is "
                    f"{grid.nearest(kernels)}"
                )
        return self

    def grids(self) -> tuple[WidthGrid, ...]:
        """One grid a layer."""
        return self.widths if isinstance(self.widths, tuple) else (self.widths,) * len(self.baseline)


class PlainTable(_SearchedWidths, Plain):
    """A plain network whose depth is the baseline's."""


class VggTable(_SearchedWidths, Vgg):
    """A VGG-like network."""


class ResNetTable(_SearchedWidths, ResNet):
    """A residual network."""


class AugmentationTable(Table):
    """As `training.recipe.Augmentation`; `mirror` follows the data set unless given."""

    shift: int = Field(default=2, ge=0)
    mirror: bool | None = None
    cutout: int = Field(default=0, ge=0)


class TrainingTable(Table):
    """Every number of a `Recipe`, fixed or left open."""

    epochs: OpenInt[Positive]
    learning_rate: OpenFloat[float]
    batch_size: OpenInt[Positive] = 64
    weight_decay: OpenFloat[float] = 5e-4
    label_smoothing: OpenFloat[float] = 0.0
    momentum: OpenFloat[float] = 0.9
    optimizer: Annotated[Annotated[str, Tag("<value>")] | Listed, Discriminator(_kind)] = "sgd"
    augmentation: AugmentationTable = AugmentationTable()

    @model_validator(mode="after")
    def _every_end_is_a_recipe(self) -> TrainingTable:
        for name, entry in self.numbers.items():
            for end in ends(entry):
                try:
                    Recipe.model_validate({"epochs": 1, "learning_rate": 1.0, name: end}, strict=True)
                except ValidationError as error:
                    first = error.errors()[0]
                    raise ValueError(f"{first['loc'][0]}: {_lower(first['msg'])}, not {first['input']!r}") from error
        return self

    @property
    def numbers(self) -> dict[str, Any]:
        """All entries but the augmentation."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "augmentation"}


class LimitsTable(Table):
    """Caps on the network that may be chosen; at most this much is feasible."""

    macs: float | None = Field(default=None, gt=0)
    params: float | None = Field(default=None, gt=0)

    @property
    def caps(self) -> dict[str, float]:
        """Those that are set."""
        return {name: cap for name, cap in self.model_dump().items() if cap is not None}


class SignalTable(Table):
    """How many probe images, and every how many epochs a reading is taken (small sets: 1, 2, 4, 8, ...).

    The end is always read; nothing else where `every` is no less than the training is long.
    """

    probes: int = Field(default=16, ge=8)
    every: int = Field(default=1, ge=1)


PHASH = "phash"  # our sampler and our pruner


class SearchTable(Table):
    """`phash`, a class of `optuna.samplers` / `optuna.pruners`, or `module:Class`.

    `strategy` is that of `phash`, which under `model` lets trials begin with kernels of finished ones unless `inherit`
    is off.
    """

    sampler: str = PHASH
    strategy: Literal["model", "paper"] = "model"
    inherit: bool = True
    pruner: str = PHASH


class Spec(Table):
    """The whole file."""

    study: StudyTable
    data: DataTable
    network: Annotated[
        Annotated[PlainTable, Tag("<plain>")]
        | Annotated[VggTable, Tag("<vgg>")]
        | Annotated[ResNetTable, Tag("<resnet>")],
        Discriminator(_family),
    ]
    training: TrainingTable
    limits: LimitsTable = LimitsTable()
    signal: SignalTable = SignalTable()
    search: SearchTable = SearchTable()

    @property
    def grids(self) -> dict[str, WidthGrid]:
        """The kernel counts allowed, by width parameter."""
        return {width_name(index): grid for index, grid in enumerate(self.network.grids())}

    @property
    def listed(self) -> dict[str, list[int]]:
        """The kernel counts of the widths that are suggested as indices."""
        return {name: grid.grid for name, grid in self.grids.items() if grid.grid}

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """Every open parameter's distribution; fixed numbers are no parameters."""
        widths = {name: grid.distribution for name, grid in self.grids.items()}
        numbers = {name: distribution(entry) for name, entry in self.training.numbers.items()}
        return {**widths, **{name: entry for name, entry in numbers.items() if entry is not None}}

    @property
    def inherits(self) -> bool:
        """Whether a trial may be the child of another: by our model alone, which there is under a cap only."""
        search = self.search
        return search.inherit and (search.sampler, search.strategy) == (PHASH, "model") and bool(self.limits.caps)

    @property
    def baseline(self) -> dict[str, Any]:
        """The parameters of the network before adjustment (Table I): full length, the middle of every other range."""
        widths = {
            name: grid.encode(kernels)
            for (name, grid), kernels in zip(self.grids.items(), self.network.baseline, strict=True)
        }
        numbers = {name: middle(entry) for name, entry in self.training.numbers.items()}
        numbers["epochs"] = max(ends(self.training.epochs))
        return {name: value for name, value in {**widths, **numbers}.items() if name in self.space}

    def widths(self, params: Mapping[str, Any]) -> list[int]:
        """True kernel counts, first layer first, from a trial's parameters."""
        return [grid.decode(params[name]) for name, grid in self.grids.items()]

    def blueprint(self, widths: Sequence[int], image: ImageShape, classes: int) -> Blueprint:
        """The network with these widths; `UserError` if they do not fit."""
        return self.network.plan(widths, image, classes)

    def cost(self, params: Mapping[str, int], image: ImageShape, classes: int) -> Cost:
        """Cost from true kernel counts by width parameter, as the sampler's limits are asked."""
        return self.blueprint([params[name] for name in self.grids], image, classes).cost

    def recipe(self, params: Mapping[str, Any], mirrored: bool) -> Recipe:
        """The training of a trial; `mirrored` says whether the data set's classes survive a mirror."""
        table = self.training.augmentation
        mirror = mirrored if table.mirror is None else table.mirror
        augmentation = Augmentation(shift=table.shift, mirror=mirror, cutout=table.cutout)
        numbers = {name: params.get(name, entry) for name, entry in self.training.numbers.items()}
        return Recipe(**numbers, augmentation=augmentation)

    @property
    def hash(self) -> str:
        """Short content hash: workers refuse a study whose spec they read differently.

        How patient workers are changes no trial.
        """
        told = self.model_dump_json(exclude={"study": {"max_attempts", "max_failures"}})
        return hashlib.sha256(told.encode()).hexdigest()[:16]


AnySpec = TypeVar("AnySpec", bound=Spec)


def load_spec(path: Path, overrides: Sequence[str] = ()) -> Spec:
    """Read and check a TOML file, with `section.key=value` overrides; `UserError` is one line naming key and mend."""
    return load_as(Spec, path, overrides)


def load_as(kind: type[AnySpec], path: Path, overrides: Sequence[str] = ()) -> AnySpec:
    """`load_spec` of a spec with further tables."""
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"there is no spec {path}; give the path of a TOML file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} is no readable TOML file: {error}") from error
    for override in overrides:
        _override(document, override)
    return _parse(kind, document, str(path))


def parse_spec(document: Mapping[str, Any], source: str) -> Spec:
    """Check a spec read from `source`; raises `UserError`."""
    return _parse(Spec, document, source)


def _parse(kind: type[AnySpec], document: Mapping[str, Any], source: str) -> AnySpec:
    try:  # strict, or "12" and true were numbers; as JSON, or a list were no tuple
        return kind.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        raise UserError(f"{source}: {_explain(error, document, kind)}") from error


def _override(document: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    *tables, key = path.strip().split(".")
    if not separator or not key:
        raise UserError(f"--set {override}: write --set section.key=value")
    for table in tables:
        document = document.setdefault(table, {})
        if not isinstance(document, dict):
            raise UserError(f"--set {override}: {table} is a value, not a table")
    document[key] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


INSTEAD = {
    "model_type": "write a table",
    "string_pattern_mismatch": "write at most 100 letters a to z, digits, dots, dashes and underscores, beginning with "
    "a letter or digit",
}
ECHOED = 40  # characters of what was given


def _explain(error: ValidationError, document: Mapping[str, Any], kind: type[Spec]) -> str:
    """The first error as one line: where, what, and the nearest right spelling of an unknown key."""
    errors = error.errors(include_url=False)
    first = next((entry for entry in errors if entry["type"] == "extra_forbidden"), errors[0])
    keys = [str(part) for part in first["loc"] if not str(part).startswith("<")]
    place = ".".join(keys) or "the file"
    if first["type"] == "extra_forbidden":
        return f"there is no {place}{meant(keys[-1], _known_keys(first['loc'][:-1], document, kind))}"
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "union_tag_invalid":
        return f"{place}: {_mismatch(keys, first['input'])}"
    if first["type"] == "too_short":
        return f"{place}: list at least {first['ctx']['min_length']}"
    message = INSTEAD.get(first["type"], first["msg"].removeprefix("Value error, "))
    given = first["input"]
    shown = "" if isinstance(given, dict | list) or first["type"] == "value_error" else f", not {_echo(given)}"
    return f"{place}: {_lower(message)}{shown}"


def _echo(given: Any) -> str:
    return repr(given) if len(repr(given)) <= ECHOED else f"{repr(given)[:ECHOED]}..."


def _lower(message: str) -> str:
    return message[0].lower() + message[1:]


def _mismatch(keys: Sequence[str], given: Any) -> str:
    if list(keys) == ["network"]:
        family = given.get("family", "plain")
        return f"there is no family {family!r}{meant(str(family), list(FAMILIES))}"
    if keys[-1] == "optimizer":
        return 'write "sgd", "adamw" or { choices = ["sgd", "adamw"] }'
    table = "a table such as { low = 1, high = 8 }"
    return f"write {table}, or a list of them" if keys[-1] == "widths" else f"write a number, or {table}"


def _known_keys(path: Sequence[str | int], document: Mapping[str, Any], kind: type[Spec]) -> list[str]:
    """The keys that the table at `path`, an error's location, may have."""
    match [str(part) for part in path if not str(part).startswith("<")]:
        case []:
            return list(kind.model_fields)
        case ["network"]:
            family = document["network"].get("family", "plain")
            tables: dict[str, type[BaseModel]] = {"plain": PlainTable, "vgg": VggTable, "resnet": ResNetTable}
            return list(tables[family].model_fields)
        case ["training", "augmentation"]:
            return list(AugmentationTable.model_fields)
        case [table]:
            model = kind.model_fields[table].annotation
            assert isinstance(model, type)
            assert issubclass(model, BaseModel)
            return list(model.model_fields)
        case [*_, name]:
            whole = "widths" in path or name in ("epochs", "batch_size")
            ranges = {"<choices>": Choices, "<values>": WidthValues, "<range>": IntRange if whole else FloatRange}
            return list(ranges[str(next(part for part in reversed(path) if part in ranges))].model_fields)
    raise AssertionError(path)
