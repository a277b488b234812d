"""Names and numbers as people read them: layers count from 1, kernels from 0 as in the weight tensor."""

from __future__ import annotations

import math
import re
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

TIMES = " \N{MULTIPLICATION SIGN} "
UNITS = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}


def layer_label(width: str) -> str:
    """`width_00` is "Layer 1 (width_00)"; a name without a number stands for itself."""
    match = re.fullmatch(r"width_(\d+)", width)
    return f"Layer {int(match[1]) + 1} ({width})" if match else width


def percent(share: float | None) -> str:
    """`97.2%`, or a dash when unknown."""
    return f"{share:.1%}" if share is not None and math.isfinite(share) else "-"


def amount(number: float | None) -> str:
    """Three digits and a thousands' letter: 950, 12.3 k, 1.00 M; a dash when unknown."""
    if number is None or not math.isfinite(number):
        return "-"
    for unit, letter in UNITS.items():
        if abs(number) >= 0.9995 * unit:
            digits = max(2 - int(math.log10(abs(number) / unit * 1.0005)), 0)
            return f"{number / unit:.{digits}f} {letter}"
    return f"{number:.4g}"


def group_letter(rank: int) -> str:
    """A for 0, ..., Z for 25, AA for 26: the columns of a spreadsheet."""
    quotient, remainder = divmod(rank, len(ascii_uppercase))
    return (group_letter(quotient - 1) if quotient else "") + ascii_uppercase[remainder]


def group_ranks(groups: NDArray[np.integer]) -> dict[int, int]:
    """Clusters of two kernels or more, the largest first (rank 0); ties in the order of their first kernel.

    `groups` is (K,), the cluster of each kernel, negative for a dead one.
    """
    clusters, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    shared = [index for index in range(len(clusters)) if clusters[index] >= 0 and sizes[index] >= 2]
    shared.sort(key=lambda index: (-sizes[index], first[index]))
    return {int(clusters[index]): rank for rank, index in enumerate(shared)}
