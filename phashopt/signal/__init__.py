"""What a network says of itself: reconstructions, perceptual hashes, and how redundant each layer is."""

from phashopt.signal.baseline import baseline
from phashopt.signal.phash import perceptual_hash
from phashopt.signal.probe import (
    ROUTINE_CHANNELS,
    ROUTINE_PROBES,
    Probe,
    Report,
    content_hash,
    measure,
    reconstruct,
)
from phashopt.signal.redundancy import LayerReport

__all__ = [
    "ROUTINE_CHANNELS",
    "ROUTINE_PROBES",
    "LayerReport",
    "Probe",
    "Report",
    "baseline",
    "content_hash",
    "measure",
    "perceptual_hash",
    "reconstruct",
]
