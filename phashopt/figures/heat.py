"""Deep networks as a map: a row a layer, a column a trial or an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from phashopt.figures.palette import NEUTRAL_INK
from phashopt.figures.plotting import plain_figure

DEEP = 16  # layers, beyond which panels of their own would be too many to compare
ROW = 7  # pixels of a layer
HEIGHTS = (320, 1100)


def layer_heat(
    title: str, layers: Sequence[str], columns: Sequence[int], axis: str, values: object, *, share: bool = True
) -> go.Figure:
    """`values` (layers, columns), NaN or None where unknown; shares in [0, 1] are shown in whole percents."""
    figure = plain_figure(title)
    table = np.array(values, dtype=np.float32).reshape(len(layers), len(columns))
    figure.add_heatmap(
        z=_whole(100 * table if share else table),
        x=list(columns),
        y=list(range(1, len(layers) + 1)),
        colorscale="Viridis",
        zmin=0,
        zmax=100 if share else None,
        colorbar={"title": {"text": "%" if share else "kernels"}, "thickness": 12, "outlinewidth": 0,
                  "tickcolor": NEUTRAL_INK},
        hovertemplate=f"{axis} %{{x}}, layer %{{y}}: %{{z}}{' %' if share else ' kernels'}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text=axis, tickformat="d")
    figure.update_yaxes(title_text="layer", autorange="reversed", tickformat="d")
    low, high = HEIGHTS
    return figure.update_layout(height=min(max(low, 160 + ROW * len(layers)), high))


def _whole(table: NDArray[np.float32]) -> list[list[int | None]]:
    """Whole numbers, None where unknown: a page of a thousand trials stays light."""
    return [[round(float(value)) if np.isfinite(value) else None for value in row] for row in table]
