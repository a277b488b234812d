"""Record a forward pass as a graph of operations that a deconvnet can walk backwards.

Every torch function is seen as it is called, whether a module, a functional or an operator called it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from phashopt.signal.operations import Operation, Treatment
from phashopt.signal.rules import Call, interpret, name_of


@dataclass(frozen=True, eq=False)
class Node:
    """One result of the forward pass; `parents` are the results it follows from, none for the images themselves."""

    name: str
    number: int
    parents: tuple[Node, ...]
    shape: torch.Size
    edge: GradientEdge
    operation: Operation

    def lineage(self) -> list[Node]:
        """This node and all it follows from, last first."""
        found = {self}
        waiting = [self]
        while waiting:
            fresh = set(waiting.pop().parents) - found
            found |= fresh
            waiting += fresh
        return sorted(found, key=lambda node: -node.number)


class Tape(TorchFunctionMode):
    """Records while entered: feed `entry`, a copy of the images, to the network. `on_record` sees every result."""

    def __init__(self, images: Tensor, on_record: Callable[[Node, Tensor], None]) -> None:
        super().__init__()
        self._on_record = on_record
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.nodes: list[Node] = []
        self.is_tangled = False
        self.leaf = images.detach().clone().requires_grad_()
        self.entry = self.leaf.clone()
        self._record("input", (), self.entry, Operation())

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        # Whoever is told holds the tape: such a ring would keep autograd's graph alive until it is collected.
        self._on_record = _tell_nobody

    def node_of(self, tensor: Tensor) -> Node | None:
        """The node of which `tensor` is the value; None if it does not follow from the images."""
        known = self._known.get(tensor)
        if known is None:
            return self._found_by_gradient(tensor)
        node, version = known
        if tensor._version == version:
            found: Node = node
            return found
        # Written through a view of it: from here on only autograd knows the whole story.
        self.is_tangled = True
        return self._record("view", (node,), tensor, Operation())

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        operands = _tensors([*args, *(kwargs or {}).values()])
        parents = {id(operand): node for operand in operands if (node := self.node_of(operand)) is not None}
        if not parents:
            return func(*args, **(kwargs or {}))
        versions = [operand._version for operand in operands]
        call = _call(func, args, kwargs or {}, operands, parents)
        # A frozen trunk under no_grad still leads from the images to the layers behind it.
        with torch.enable_grad():
            outcome = interpret(call)
        followed = tuple(parents[id(source)] for source in outcome.sources)
        written = [operand for operand, version in zip(operands, versions, strict=True) if operand._version != version]
        for result in {id(tensor): tensor for tensor in [*written, *_tensors([outcome.output])]}.values():
            if result.requires_grad:
                self._record(call.name, followed, result, outcome.operation)
        return outcome.output

    def _found_by_gradient(self, tensor: Tensor) -> Node | None:
        """A node for what was computed unseen, by scripted code for one, if autograd leads from it to known results."""
        if tensor.grad_fn is None:
            return None
        known = {node.edge.node: node for node in self.nodes}
        parents: set[Node] = set()
        seen, waiting = {tensor.grad_fn}, [tensor.grad_fn]
        while waiting:
            function = waiting.pop()
            if function in known:
                parents.add(known[function])
            else:
                fresh = {before for before, _ in function.next_functions if before is not None} - seen
                seen |= fresh
                waiting += fresh
        operation = Operation(Treatment.FALLBACK)
        return self._record(tensor.grad_fn.name(), tuple(parents), tensor, operation) if parents else None

    def _record(self, name: str, parents: tuple[Node, ...], value: Tensor, operation: Operation) -> Node:
        node = Node(name, len(self.nodes), parents, value.shape, get_gradient_edge(value), operation)
        self.nodes.append(node)
        self._known[value] = (node, value._version)
        self._on_record(node, value)
        return node


def _tell_nobody(_node: Node, _value: Tensor) -> None:
    pass


def _call(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    operands: list[Tensor],
    parents: dict[int, Node],
) -> Call:
    leading = tuple(kwargs[key] for key in ("input", "other") if key in kwargs)
    rest = {key: value for key, value in kwargs.items() if key not in ("input", "other")}
    data = tuple(operand for operand in operands if id(operand) in parents)
    makers = tuple(parents[id(operand)].name for operand in data)
    return Call(name_of(func), func, (*args, *leading), rest, data, makers)


def _tensors(values: list[Any]) -> list[Tensor]:
    """The tensors among arguments or results, also those in lists and tuples."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors([*value])
        elif isinstance(value, dict):
            found += _tensors([*value.values()])
    return found
