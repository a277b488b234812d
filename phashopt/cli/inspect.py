"""`inspect`: any trained network through any images."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phashopt.cli.options import DataDir, Json
from phashopt.cli.output import LEAST_WIDTH, console, messages, plain_errors, print_json
from phashopt.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from phashopt.inspection import Child, Inspection, Layer, Shrinking
    from phashopt.training.data import Standardisation

SHRUNK = "shrunk"
CHILDREN_SHOWN = 8
FOLDER_SIDE = 64  # pixels a side of a folder's images, where nothing else is known


def run(
    model: Annotated[
        str, typer.Argument(help="A trial's folder, torchvision:NAME or module:factory.", show_default=False)
    ],
    data: Annotated[str, typer.Option(help="A data set's name, or folder:PATH.", show_default=False)],
    weights: Annotated[
        Path | None, typer.Option(help="Safetensors, or a saved state dict.", show_default=False)
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=4, max=1024, help="Pixels a side to resize images to.", show_default=False)
    ] = None,
    probes: Annotated[int, typer.Option(min=3, help="How many images; 8 to 16 are advised.")] = 16,
    layers: Annotated[
        str | None, typer.Option(help="Only these, as in conv1,layer4.1.conv2", show_default=False)
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="The training pixels' in [0, 1], as in 0.485,0.456,0.406", show_default=False)
    ] = None,
    std: Annotated[str | None, typer.Option(help="Theirs, beside --mean.", show_default=False)] = None,
    cap: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Shrink it to this share of its MACs, and say to which widths.", show_default=False
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write to.  [default: inspections/MODEL]")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show how redundant each layer is, what its kernels see, and where the classes find support."""
    with plain_errors():
        import torch

        from phashopt.inspection import Shrinking, draw, inspect_network, load_subject, worth_drawing
        from phashopt.training.data import load_raw
        from phashopt.training.datasets import default_data_dir

        subject = load_subject(model, weights)
        subject.network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        side = size or (max(subject.image[1:]) if subject.image else FOLDER_SIDE)
        names = [name.strip() for name in layers.split(",")] if layers else None
        given = _standardisation(mean, std)
        raw = load_raw(data, data_dir or default_data_dir(), size=side)
        shrinking = None if cap is None else Shrinking(subject, raw, cap)
        with messages.status("Reading every layer ..."):
            inspection = inspect_network(
                subject,
                raw,
                probes=probes,
                size=(size, size) if size else None,
                layers=names,
                standardisation=given,
            )
        if not json:
            console.print(_table(inspection))
            console.print(_suggestions(inspection))
            console.print()
        for note in inspection.notes:
            messages.print(note, markup=False, soft_wrap=True)
        folder = out or Path("inspections") / re.sub(r"[^\w.-]+", "-", model).strip("-.")
        chosen = inspection.layers if names else worth_drawing(inspection.layers)
        files = []
        for drawn in draw(inspection, folder, chosen):
            files.append({"path": str(drawn.path), "shows": drawn.words})
            if not json:
                console.print(f"{drawn.path}  {drawn.words}", markup=False, soft_wrap=True)
        shrunk = {} if shrinking is None else _shrunk(shrinking, folder / SHRUNK, quiet=json)
        if json:
            print_json({**inspection.to_json(), "data": data, "files": files, **shrunk})


def _shrunk(shrinking: Shrinking, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Try many widths, write the best child to `folder`, and tell of them."""
    with messages.status("Merging kernels ..."):
        parent = shrinking.parent()
        children = sorted(shrinking.children(), key=lambda child: -child.accuracy)
    try:
        shrinking.save(children[0], folder)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
    if not quiet:
        console.print(_children(parent, children))
        console.print(f"{folder}  the first of them, to be trained on in a loop of yours", markup=False, soft_wrap=True)
    return {
        "shrunk": {
            "parent": parent.to_json(),
            "children": [child.to_json() for child in children],
            "folder": str(folder),
        }
    }


def _children(parent: Child, children: Sequence[Child]) -> Table:
    from rich import box
    from rich.table import Table

    from phashopt.figures.labels import amount, percent

    title = f"Merged to at most {max(child.macs for child in children) / parent.macs:.0%} of the MACs, not trained yet"
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = f"of {len(children)} width tuples; accuracy on images that the network may have been trained on"
    for column in ("kernels", "accuracy", "MACs", "params"):
        table.add_column(column, justify="left" if column == "kernels" else "right")
    for child in (parent, *children[:CHILDREN_SHOWN]):
        kernels = "-".join(map(str, child.widths)) + (" (as it is)" if child is parent else "")
        table.add_row(kernels, percent(child.accuracy), amount(child.macs), amount(child.params))
    return table


def _standardisation(mean: str | None, std: str | None) -> Standardisation | None:
    from phashopt.training.data import Standardisation

    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UserError("--mean and --std belong together: give both")
    deviations = _numbers("--std", std)
    if min(deviations) <= 0:
        raise UserError(f"--std {std}: standard deviations are positive")
    return Standardisation(_numbers("--mean", mean), deviations)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"{option} {text}: write one number a channel, as in 0.485,0.456,0.406") from error


def _table(inspection: Inspection) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from phashopt.figures.labels import amount, percent

    shape = "x".join(map(str, inspection.probes.pixels.shape[1:]))
    title = (
        f"{inspection.subject.name}: {amount(inspection.macs)} MACs, {amount(inspection.params)} parameters, "
        f"seen through {len(inspection.probes)} images of {shape}"
    )
    table = Table(
        title=Text(title),
        caption="redund.: 1 - distinct / alive, with its 90% interval; dupl.: share with a near-copy image by image;\n"
        "mean S: similarity of two maps, in brackets with weights drawn anew: what the images make alike",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in ("layer", "channels", "alive", "dead", "distinct", "redund.", "dupl.", "mean S", "MACs"):
        if column == "layer":
            table.add_column(column, overflow="fold", min_width=LEAST_WIDTH)
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for layer in inspection.layers:
        report = layer.report
        low, high = report.interval
        table.add_row(
            Text(layer.name),
            str(report.width),
            str(report.alive),
            f"{report.dead:.0%}",
            str(report.distinct),
            f"{report.redundancy:.0%} ({100 * low:.0f}-{high:.0%})" if report.alive else "-",
            f"{report.duplicate_rate:.0%}" if report.alive else "-",
            _similarity(layer),
            percent(layer.share),
        )
    return table


def _similarity(layer: Layer) -> str:
    trained, random = layer.report.mean_similarity, layer.random_similarity
    said = f"{trained:.2f}" if math.isfinite(trained) else "-"
    return f"{said} ({random:.2f})" if math.isfinite(random) else said


def _suggestions(inspection: Inspection) -> Text:
    """Each suggestion with the layers it is for, then what such words are worth."""
    from rich.text import Text

    from phashopt.inspection.advice import CAUTION

    layers: dict[str, list[str]] = {}
    for layer in inspection.layers:
        layers.setdefault(layer.suggestion, []).append(layer.name)
    lines = [f"{', '.join(names)}: {words}" for words, names in layers.items()]
    return Text("\n".join([*lines, *([CAUTION] if inspection.subject.is_trained else [])]))
