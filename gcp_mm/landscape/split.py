"""Split a network behind one of its modules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from gcp_mm.errors import UserError


class _ReachedError(Exception):
    """Ends the run of the stem."""


class SplitNetwork:
    """The stem, which runs once, and the tail behind it, which runs again and again.

    In a run of the tail, a module that finished before the split point returns NaNs of the right
    shape instead of computing. If a NaN arrives at the end, an activation of the stem goes round
    the split point (a shortcut, for example); the stem is then computed in every run.

    The split point is the output of the module ``at``, which has to run once in a forward pass and
    return one tensor. ``model(inputs)`` returns the output of the network.
    """

    def __init__(self, model: nn.Module, at: str, inputs: Tensor) -> None:
        self._model, self._at, self._inputs = model, at, inputs
        self._point = model.get_submodule(at)
        # Modules that finished in front of the point, outermost ones, with what they returned.
        self._finished: list[tuple[nn.Module, object]] = []
        self.activation = self._run_stem()
        outputs = tree_flatten([output for _, output in self._finished])[0]
        self._repeat_stem = not all(isinstance(output, Tensor) for output in outputs)

    def _run_stem(self) -> Tensor:
        """Run the network up to the point and note which modules finished before."""
        starts: list[int] = []

        def begin(module: nn.Module, args: tuple) -> None:
            starts.append(len(self._finished))

        def end(module: nn.Module, args: tuple, output: object) -> None:
            # What ran inside of this module is covered by it.
            del self._finished[starts.pop() :]
            if module is self._point:
                raise _ReachedError(output)
            self._finished.append((module, tree_map(_placeholder, output)))

        with ExitStack() as stack:
            for module in self._model.modules():
                stack.callback(module.register_forward_pre_hook(begin).remove)
                stack.callback(module.register_forward_hook(end).remove)
            try:
                with torch.no_grad():
                    self._model(self._inputs)
            except _ReachedError as reached:
                (output,) = reached.args
                if isinstance(output, Tensor) and output.is_floating_point():
                    return output.detach()
                raise UserError(
                    f"{self._at!r} returns a {type(output).__name__}, not one tensor of numbers; "
                    "probe at a module that does"
                ) from None
        raise UserError(f"{self._at!r} does not run in a forward pass; probe at another module")

    def tail(self, activation: Callable[[], Tensor]) -> Tensor:
        """Run the network behind the point."""
        calls = 0

        def once(*_: object) -> Tensor:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise UserError(
                    f"{self._at!r} runs more than once in a forward pass, so its output is not one "
                    "place in the network; probe at another module"
                )
            return activation()

        if not self._repeat_stem:
            output = self._run_tail(once)
            if calls and torch.isfinite(output).all():
                return output
            self._repeat_stem, calls = True, 0
        handle = self._point.register_forward_hook(once)
        try:
            return self._checked(self._model(self._inputs))
        finally:
            handle.remove()

    def _run_tail(self, activation: Callable[[], Tensor]) -> Tensor:
        """Run the network with the finished modules and the point replaced."""
        outputs: dict[nn.Module, list[object]] = {}
        for module, output in self._finished:
            outputs.setdefault(module, []).append(output)
        # One for each module, which may have several parents.
        given = {
            module: _Given(module, (tree_map(torch.clone, output) for output in its_outputs))
            for module, its_outputs in outputs.items()
        }
        given[self._point] = _Given(self._point, (activation() for _ in itertools.repeat(None)))
        with ExitStack() as stack:
            for parent in list(self._model.modules()):
                for name, child in list(parent.named_children()):
                    if child in given:
                        stack.callback(setattr, parent, name, child)
                        setattr(parent, name, given[child])
            return self._checked(self._model(self._inputs))

    def _checked(self, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise UserError(
                f"the {type(self._model).__name__} returns a {type(output).__name__}, not the "
                "logits of a batch"
            )
        return output


def _placeholder(value: object) -> Tensor | None:
    """Stand for a tensor of floating point, in no memory; anything else has no placeholder."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.new_full((), torch.nan).expand(value.shape)
    return None


class _Given(nn.Module):
    """Stands in for a module: the first calls return what is given, later ones compute."""

    _original: nn.Module
    _values: Iterator[object]

    def __init__(self, original: nn.Module, values: Iterator[object]) -> None:
        super().__init__()
        # Past nn.Module, which would make it a child.
        vars(self).update(_original=original, _values=values)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_original"], name)

    def forward(self, *args: object, **kwargs: object) -> object:
        for value in self._values:
            return value
        return self._original(*args, **kwargs)
