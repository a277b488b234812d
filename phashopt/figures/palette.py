"""One colour-blind-safe palette (Okabe and Ito 2008) for every picture: a role has the same colour everywhere."""

from __future__ import annotations

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"

TRIAL = BLUE
BEST = VERMILION
BASELINE = GREEN

REDUNDANCY = BLUE
DUPLICATES = ORANGE
DEAD = PURPLE

# The palette's yellow is left out: it cannot be seen on white paper.
GROUPS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)

# Plots stand on light and on dark pages, so their ink is the grey that contrasts equally with white and near-black.
NEUTRAL_INK = "#808080"
NEUTRAL_RULE = "rgba(128, 128, 128, 0.22)"

# Pictures bring their own white paper.
INK = "#22262b"
FAINT_INK = "#8a9099"
PAPER = "#ffffff"
NO_DATA = "#d6d9dd"
