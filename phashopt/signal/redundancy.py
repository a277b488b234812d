"""What hashes say of a layer: similarity, copies, clusters (docs/signal.md, sections 4 and 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from phashopt.errors import UserError
from phashopt.signal.fingerprint import Fingerprints
from phashopt.trace import Reading

MIN_PROBES = 3
SAME = 0.90
NEAR = 0.80
RESAMPLES = 200
AT_ONCE = 8  # resamples weighed in one product
CONFIDENCE = 0.90
# Averages of bit counts over bits miss a threshold they equal by an ulp.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class LayerReport:
    """One layer's reading over K measured channels; every number is in [0, 1] unless it counts or is NaN.

    `width` is the layer's kernel count and `indices` (K,) say which of them were measured. What lies below the layer
    and is not reversed exactly: `fallback_ops`, functions without a rule, by their plain gradient; `approximate_ops`,
    activations, as if they were ReLU; `no_switches`, strided convolutions, which leave no record of what mattered.
    """

    width: int
    indices: NDArray[np.int64]
    fingerprints: Fingerprints
    fallback_ops: tuple[str, ...] = ()
    approximate_ops: tuple[str, ...] = ()
    no_switches: bool = False

    @property
    def channels(self) -> int:
        """K, the channels measured."""
        return len(self.indices)

    @property
    def alive(self) -> int:
        """The channels that show something on at least 3 probes."""
        return int(self._is_alive.sum())

    @property
    def dead(self) -> float:
        """1 - alive / K."""
        return 1 - self.alive / self.channels

    @property
    def energy(self) -> NDArray[np.float64]:
        """(K,), each channel's mean sum of squared pixels."""
        energy: NDArray[np.float64] = self.fingerprints.energy.mean(0)
        return energy

    @cached_property
    def similarity(self) -> NDArray[np.float64]:
        """(K, K): the share of equal bits over the probes where both are valid; NaN with fewer than 3 such probes."""
        return similarity(self.fingerprints.bits, self.fingerprints.valid)

    @property
    def mean_similarity(self) -> float:
        """The paper's number: the mean off the diagonal; NaN with fewer than two channels alive."""
        pairs = self.similarity[np.triu_indices(self.channels, 1)]
        pairs = pairs[~np.isnan(pairs)]
        return float(pairs.mean()) if pairs.size else np.nan

    @cached_property
    def duplicate_rate(self) -> float:
        """The share of live channels whose nearest neighbour, image by image, has S >= 0.80; NaN if all are dead."""
        return duplicate_rate(self.fingerprints.bits, self.fingerprints.valid & self._is_alive)

    @property
    def distinct(self) -> int:
        """The number of clusters at S = 0.90."""
        return int(self.groups.max(initial=-1)) + 1

    @property
    def redundancy(self) -> float:
        """rho = 1 - distinct / alive; NaN if all channels are dead."""
        return 1 - self.distinct / self.alive if self.alive else np.nan

    @cached_property
    def groups(self) -> NDArray[np.int32]:
        """(K,): the cluster of each channel, numbered by first appearance; -1 for a dead one."""
        return self._spread(cut_at_similarity(self._tree, SAME))

    def groups_at(self, count: int) -> NDArray[np.int32]:
        """(K,): the same dendrogram cut into `count` clusters, or `alive` where that is fewer; `UserError` below 1."""
        if count < 1:
            raise UserError(f"a layer cannot be cut into {count} groups: ask for at least 1")
        return self._spread(cut_into(self._tree, count))

    @property
    def vendi(self) -> float:
        """The effective number of live channels, between 1 and `alive`; NaN if all are dead."""
        return vendi(self.similarity[np.ix_(self._is_alive, self._is_alive)])

    @cached_property
    def interval(self) -> tuple[float, float]:
        """A 90% bootstrap interval of `redundancy` over the probes; NaN if all channels are dead."""
        return bootstrap(self.fingerprints.bits, self.fingerprints.valid)

    @property
    def reading(self) -> Reading:
        """The three numbers that go into a trial's trace."""
        return Reading(self.redundancy, self.duplicate_rate, self.dead)

    @cached_property
    def _is_alive(self) -> NDArray[np.bool_]:
        return is_alive(self.fingerprints.valid)

    @cached_property
    def _tree(self) -> NDArray[np.float64]:
        alive = self._is_alive
        return dendrogram(self.similarity[np.ix_(alive, alive)], self.fingerprints.bits[:, alive])

    def _spread(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        groups = np.full(self.channels, -1, np.int32)
        groups[self._is_alive] = labels[: self.alive]
        return groups


def is_alive(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, K) to (K,): valid on at least 3 probes."""
    alive: NDArray[np.bool_] = valid.sum(0) >= MIN_PROBES
    return alive


def similarity(bits: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 - Hamming / bits, averaged over common probes: bits (N, K, B) and valid (N, K) to (K, K), NaN below 3 probes.

    Invalid hashes are zero vectors, so that one product of +-1 signs sums over probes and bits at once.
    """
    signs = _signs(bits) * valid[..., None]
    stacked = signs.transpose(1, 0, 2).reshape(signs.shape[1], -1)
    presence = valid.astype(np.float32)
    return _mean_agreement(stacked @ stacked.T, presence.T @ presence, bits.shape[2])


def duplicate_rate(bits: NDArray[np.bool_], valid: NDArray[np.bool_]) -> float:
    """The share of valid (probe, channel) pairs with another channel at S >= 0.80 on that probe; NaN without any."""
    found = 0
    for probe_bits, probe_valid in zip(bits, valid, strict=True):
        signs = _signs(probe_bits[probe_valid])
        agreement = signs @ signs.T
        np.fill_diagonal(agreement, -np.inf)
        nearest = (1 + agreement.max(1, initial=-np.inf) / bits.shape[2]) / 2
        found += int((nearest >= NEAR - ROUNDING).sum())
    return found / int(valid.sum()) if valid.any() else np.nan


def dendrogram(similar: NDArray[np.float64], bits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average linkage of 1 - S over K live channels: scipy's (K - 1, 4) tree; an unknown S counts as 0.

    Distances tie often, as they count bits. Channels enter sorted by their hashes `bits` (N, K, B), so that the
    groups do not depend on the channels' order. The leaves are then renamed to the order given.
    """
    count = len(similar)
    if count < 2:
        return np.empty((0, 4))
    order = _hash_order(bits)
    distance = 1 - np.nan_to_num(similar[np.ix_(order, order)])
    np.fill_diagonal(distance, 0)
    tree: NDArray[np.float64] = linkage(squareform(distance, checks=False), "average")
    leaves = tree[:, :2] < count
    tree[:, :2][leaves] = order[tree[:, :2][leaves].astype(np.int64)]
    return tree


def cut_at_similarity(tree: NDArray[np.float64], level: float) -> NDArray[np.int32]:
    """(K,): clusters whose average similarity is at least `level`, numbered by first appearance."""
    return _flat_clusters(tree, tree[:, 2], 1 - level + ROUNDING)


def groups_alike(similar: NDArray[np.floating], alive: NDArray[np.bool_], level: float = NEAR) -> NDArray[np.int32]:
    """(K,): clusters of living channels by average linkage at `level`, from S (K, K) alone; -1 for a dead one."""
    groups = np.full(len(alive), -1, np.int32)
    if alive.any():
        known = similar[np.ix_(alive, alive)].astype(np.float64)
        groups[alive] = cut_at_similarity(dendrogram(known, np.zeros((1, len(known), 1), np.bool_)), level)
    return groups


def cut_into(tree: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """(K,): exactly min(count, K) clusters, by undoing the last merges."""
    merges = np.arange(1.0, len(tree) + 1)
    return _flat_clusters(tree, merges, max(len(tree) + 1 - count, 0))


def _flat_clusters(tree: NDArray[np.float64], height: NDArray[np.float64], level: float) -> NDArray[np.int32]:
    if not len(tree):
        return np.zeros(1, np.int32)
    labels = fcluster(np.column_stack([tree[:, :2], height, tree[:, 3]]), level, "distance")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int32)


def vendi(similar: NDArray[np.float64]) -> float:
    """exp(entropy of the eigenvalues of (2 S - 1) / K), the Vendi score of the sign kernel; NaN for no channels.

    2 S - 1 is the mean product of two channels' +-1 signs, so its diagonal is 1 and the eigenvalues sum to one. Pairs
    with unknown S count as unrelated, which may push an eigenvalue below zero: it is left out.
    """
    if not len(similar):
        return np.nan
    kernel = np.nan_to_num(2 * similar - 1)
    spectrum = np.linalg.eigvalsh(kernel).clip(0)
    share = spectrum[spectrum > 0] / spectrum.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def bootstrap(bits: NDArray[np.bool_], valid: NDArray[np.bool_]) -> tuple[float, float]:
    """The percentile interval of rho over probes drawn with replacement; the same draws every time.

    Each probe's agreement is counted once; a draw only weighs the probes.
    """
    order = _hash_order(bits)
    bits, valid = bits[:, order], valid[:, order]
    first, second = np.triu_indices(len(order), 1)
    agreement = np.stack([_products(*probe)[first, second] for probe in zip(bits, valid, strict=True)])
    common = (valid[:, first] & valid[:, second]).astype(np.float32)
    draws = np.random.default_rng(0).integers(len(bits), size=(RESAMPLES, len(bits)))
    weights = np.stack([np.bincount(draw, minlength=len(bits)) for draw in draws]).astype(np.float32)
    values = []
    for part in np.split(weights, RESAMPLES // AT_ONCE):
        for live, agreed, met in zip(part @ valid >= MIN_PROBES, part @ agreement, part @ common, strict=True):
            count = int(live.sum())
            if count:
                similar = _mean_agreement(agreed, met, bits.shape[2])
                among = similar if live.all() else similar[live[first] & live[second]]
                values.append(1 - _count_clusters(among, count) / count)
    if not values:
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _count_clusters(similar: NDArray[np.float64], count: int) -> int:
    """The clusters at S = 0.90 of `count` channels whose pairs' S come in scipy's condensed order."""
    distance, level = 1 - np.nan_to_num(similar), 1 - SAME + ROUNDING
    # No average over pairs comes nearer than the nearest of them.
    if distance.min(initial=1) > level:
        return count
    return 1 + int((linkage(distance, "average")[:, 2] > level).sum())


def _products(bits: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(K, B) and (K,) to (K, K): equal bits less unequal ones, 0 where either is invalid."""
    signs = _signs(bits) * valid[:, None]
    products: NDArray[np.float32] = signs @ signs.T
    return products


def _mean_agreement(agreement: NDArray[Any], common: NDArray[Any], bits: int) -> NDArray[np.float64]:
    """S of sums of products over as many `common` probes; NaN below 3."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (1 + agreement.astype(np.float64) / (common.astype(np.float64) * bits)) / 2
    return np.where(common >= MIN_PROBES, mean, np.nan)


def _hash_order(bits: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(N, K, B) to (K,): channels sorted by their hashes."""
    packed = np.packbits(bits.transpose(1, 0, 2).reshape(bits.shape[1], -1), axis=1)
    return np.lexsort(packed.T)


def _signs(bits: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(bits, np.float32(1), np.float32(-1))
