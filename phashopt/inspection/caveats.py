"""What of a reading is approximated or unknown, in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from phashopt.signal import Report


def caveats(report: Report) -> list[str]:
    """One sentence for each kind of inexactness; none for a network whose way back is exact throughout."""
    layers = report.values()
    fallback = _joined(name for layer in layers for name in layer.fallback_ops)
    approximate = _joined(name for layer in layers for name in layer.approximate_ops)
    strided = sum(layer.no_switches for layer in layers)
    sentences = {
        f"Not read, as nothing seen leads to them from the images: {', '.join(report.unread)}.": report.unread,
        f"Reversed by their plain gradient, for want of a rule: {fallback} (--json: below which layers).": fallback,
        f"Reversed as if they were ReLU: {approximate}.": approximate,
        f"Strided convolutions keep no record of what mattered: {strided} of {len(layers)} layers see through some.": (
            strided
        ),
    }
    return [sentence for sentence, applies in sentences.items() if applies]


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
