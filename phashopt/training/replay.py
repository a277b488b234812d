"""A training step's kernels recorded once as a CUDA graph and replayed: small networks wait for Python otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Generator, Tensor

logger = logging.getLogger("phashopt")

Compute = Callable[[Tensor], Tensor]

EAGER_STEPS = 3  # before recording: the libraries choose their kernels, the optimizer makes its state


class Replay:
    """One training's forward and backward pass, on batches of one size; random numbers come from `generator`.

    The first calls run it as it is, on a stream of their own as recording wants it; then its kernels are recorded, and
    from there on replayed. Where recording fails it is run as it is. The gradients stay where the recording put them:
    nobody may free them between two calls.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._stream = torch.cuda.Stream(generator.device)
        self._eager_left = EAGER_STEPS
        self._refused = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._indices = self._loss = torch.empty(0)

    def run(self, compute: Compute, indices: Tensor) -> Tensor:
        """`compute` of a batch's indices (batch,): its loss, which the next call overwrites, and gradients in place.

        It is to be the same in every call, and to depend on nothing that changes but the indices and random numbers.
        """
        if self._eager_left:
            self._eager_left -= 1
            return self._aside(compute, indices)
        if self._graph is None and not self._refused:
            self._try_to_record(compute, indices)
        if self._graph is None:
            return compute(indices)
        self._indices.copy_(indices)
        self._graph.replay()
        return self._loss

    def _try_to_record(self, compute: Compute, indices: Tensor) -> None:
        try:
            self._graph = self._record(compute, indices)
        except RuntimeError as error:
            logger.warning("Steps are not replayed as a CUDA graph: %s.", str(error).splitlines()[0])
            self._refused = True

    def _aside(self, compute: Compute, indices: Tensor) -> Tensor:
        here = torch.cuda.current_stream(self._generator.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            loss = compute(indices)
        here.wait_stream(self._stream)
        return loss

    def _record(self, compute: Compute, indices: Tensor) -> torch.cuda.CUDAGraph:
        """Nothing is computed yet: the kernels, and the memory they use, are noted down."""
        self._indices = indices.clone()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=self._stream):
            self._loss = compute(self._indices)
        return graph
