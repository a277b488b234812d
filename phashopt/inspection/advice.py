"""What a layer's reading suggests, in words, and no more than it can tell (docs/signal.md, section 6)."""

from __future__ import annotations

from phashopt.signal import LayerReport

# Of the kernels alive; a decision needs the whole interval on one side.
LITTLE, MUCH = 0.1, 0.5
MANY_DEAD, MOST_DEAD, MANY_COPIES = 0.25, 0.75, 0.1

UNTRAINED = "random weights: nothing to suggest"
CAUTION = (
    "Suggestions follow the paper's section IV. A reading tells how a training went; how many kernels a layer needs it "
    "tells poorly, so try before you trust."
)


def suggest(layer: LayerReport) -> str:
    """One phrase for a trained layer."""
    low, high = layer.interval
    dead = layer.channels - layer.alive
    if layer.dead >= MOST_DEAD:
        return f"{dead} of {layer.channels} dead: collapsed; train anew at a lower rate"
    if layer.dead >= MANY_DEAD and layer.duplicate_rate >= MANY_COPIES:
        return "dead maps and copies: the rate may have been too high"
    if layer.dead >= MANY_DEAD:
        return f"{dead} dead on these images: too high a rate, or to spare"
    if low >= MUCH:
        return f"many copies: train longer; if trained out, {layer.distinct} kernels"
    if high <= LITTLE:
        return "no kernel copies another: room for more"
    return "no clear sign"
