"""A training step's kernels recorded once as a CUDA graph and replayed: small networks wait for Python otherwise."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Generator, Tensor

Step = Callable[[Tensor], Tensor]

EAGER_STEPS = 3  # before recording: the libraries choose their kernels, the optimizer makes its state


class Replay:
    """The steps of one training, on batches of one size; random numbers come from `generator`.

    `rate` is the learning rate as a step must read it. The first steps are taken one kernel at a time, on a stream of
    their own as recording wants it; then the kernels of a step are recorded with the memory they use, and from there
    on replayed.
    """

    def __init__(self, generator: Generator, optimizer: torch.optim.Optimizer) -> None:
        self.rate = torch.zeros((), device=generator.device)
        self._generator = generator
        self._stream = torch.cuda.Stream(generator.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._eager_left = EAGER_STEPS
        self._indices = self._loss = torch.empty(0)
        optimizer.register_load_state_dict_post_hook(lambda _: self._forget())

    def run(self, step: Step, indices: Tensor) -> Tensor:
        """`step` of a batch's indices (batch,): its loss, which the next call overwrites.

        It must be the same in every call, and depend on nothing that changes but the indices, random numbers and what
        tensors hold: the learning rate has to be one.
        """
        if self._eager_left:
            self._eager_left -= 1
            return self._aside(step, indices)
        if self._graph is None:
            self._graph = self._record(step, indices)
        self._indices.copy_(indices)
        self._graph.replay()
        return self._loss

    def _aside(self, step: Step, indices: Tensor) -> Tensor:
        here = torch.cuda.current_stream(self._generator.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            loss = step(indices)
        here.wait_stream(self._stream)
        return loss

    def _record(self, step: Step, indices: Tensor) -> torch.cuda.CUDAGraph:
        """Nothing is computed yet."""
        gc.collect()  # a graph of autograd's that is still alive ties the weights to the stream it was made on
        self._indices = indices.clone()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._loss = step(self._indices)
        return graph

    def _forget(self) -> None:
        """Record anew: the tensors that a step writes to have been replaced."""
        self._graph = None
        self._eager_left = EAGER_STEPS
