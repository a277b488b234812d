"""Where a network's widths are: every convolution with the width parameter that it reads and the one that it writes."""

from __future__ import annotations

from dataclasses import dataclass

from phashopt.plans.blueprint import Block, Blueprint, Conv


@dataclass(frozen=True)
class Site:
    """A convolution's sequence of modules, named `name`; it reads the image where `reads` is None."""

    name: str
    conv: Conv
    reads: str | None
    writes: str


def sites(blueprint: Blueprint) -> list[Site]:
    """All of them, in the order they run; a block's shortcut after its second convolution."""
    found, stream = [], None
    for name, part in blueprint.parts.items():
        match part:
            case Conv():
                writes = blueprint.readouts.get(f"{name}.conv") or _path(blueprint, name)
                found.append(Site(name, part, stream, writes))
                stream = writes
            case Block():
                inner, path = blueprint.readouts[f"{name}.first.conv"], _path(blueprint, name)
                found += [
                    Site(f"{name}.first", part.first, stream, inner),
                    Site(f"{name}.second", part.second, inner, path),
                ]
                if part.shortcut is not None:
                    found.append(Site(f"{name}.shortcut", part.shortcut, stream, path))
                stream = path
            case _:
                pass
    return found


def head_reads(blueprint: Blueprint) -> str:
    """The width parameter that the last linear layer reads."""
    return next(site for site in reversed(sites(blueprint)) if not site.name.endswith(".shortcut")).writes


def _path(blueprint: Blueprint, name: str) -> str:
    """The width of the residual path that a part writes to: it is read on the last block of the stage."""
    later = list(blueprint.parts)[list(blueprint.parts).index(name) :]
    return next(blueprint.readouts[f"{part}.relu"] for part in later if f"{part}.relu" in blueprint.readouts)
