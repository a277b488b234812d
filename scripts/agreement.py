"""Whether a device reads a network as the CPU does: `python scripts/agreement.py cuda`, exit status 1 if not.

Compared are the hashes of every map of every layer; two bits of 63 may differ, for the last bits of sums do.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from phashopt.networks import build
from phashopt.plans import Blueprint, ImageShape, Plain, ResNet, Vgg
from phashopt.signal import measure

MOST_BITS = 2
PROBES = 8
IMAGE = ImageShape(3, 32, 32)
NETWORKS = {
    "plain": Plain().plan((8, 12), IMAGE, 10),
    "vgg": Vgg().plan((8, 8, 8, 8, 12, 12), IMAGE, 10),
    "resnet": ResNet(blocks=(1, 1, 1)).plan((8, 8, 8, 8, 12, 12), IMAGE, 10),
}


def disagreement(plan: Blueprint, device: torch.device) -> dict[str, Any]:
    """The most bits in which any map's hash differs from the CPU's, their mean, and maps valid on one of the two."""
    generator = torch.Generator().manual_seed(0)
    images = interpolate(torch.randn(PROBES, *IMAGE, generator=generator)[:, :, ::4, ::4], IMAGE[1:], mode="bicubic")
    network = build(plan, 0).eval()
    layers = list(plan.readouts)
    here = measure(network, images, layers=layers)
    there = measure(network.to(device), images.to(device), layers=layers)
    flipped, either = [], 0
    for layer in layers:
        one, two = here[layer].fingerprints, there[layer].fingerprints
        both = one.valid & two.valid
        flipped.append((one.bits != two.bits).sum(-1)[both])
        either += int((one.valid != two.valid).sum())
    bits = np.concatenate(flipped)
    return {"most bits": int(bits.max()), "mean bits": round(float(bits.mean()), 4), "validity": either}


def main() -> None:
    """All networks, one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", choices=["cuda", "cpu"])
    device = torch.device(parser.parse_args().device)
    found = {name: disagreement(plan, device) for name, plan in NETWORKS.items()}
    print(json.dumps(found))
    raise SystemExit(any(each["most bits"] > MOST_BITS or each["validity"] for each in found.values()))


if __name__ == "__main__":
    main()
