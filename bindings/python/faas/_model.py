# SPDX-License-Identifier: MIT
"""Models as functions: arrays in, arrays out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from . import _faas
from ._errors import WrongType
from ._faas import Future
from ._registered import Registered

if TYPE_CHECKING:
    from ._app import App, Function

_ITEM_BYTES = {
    "f32": 4, "u8": 1, "i8": 1, "u16": 2, "i16": 2, "i32": 4, "i64": 8, "bool": 1,
    "f16": 2, "f64": 8, "u32": 4, "u64": 8, "bf16": 2,
}  # fmt: skip
_FORMATS = {
    "f32": "f", "u8": "B", "i8": "b", "u16": "H", "i16": "h", "i32": "i", "i64": "q",
    "bool": "?", "f64": "d", "u32": "I", "u64": "Q",
}  # fmt: skip


def _as_array(tensor: Any, dtype: str, shape: tuple[int, ...] | None) -> Any:
    """An array of NumPy where that is installed, else a memoryview; no copy."""
    try:
        import numpy
    except ImportError:
        if shape is None or dtype not in _FORMATS:
            return memoryview(tensor)
        return memoryview(tensor).cast("B").cast(cast(Any, _FORMATS[dtype]), shape)
    if shape is None:
        return numpy.asarray(tensor)
    names = {"f": "float", "i": "int", "u": "uint", "b": "bool"}
    bits = dtype[1:] if dtype != "bool" else ""
    kind = numpy.dtype("uint16" if dtype == "bf16" else names[dtype[0]] + bits)
    return numpy.frombuffer(tensor, kind).reshape(shape)


class Model(Registered[..., Any], _faas.Model):
    """An ONNX model as a function; made by ``app.model()``.

    The first call loads it, the cache keeps it, and eviction gives its memory back. Calling
    it is invoking it: on this thread, without the interpreter's lock. With NumPy installed
    the answers are arrays, read-only, and without a copy the memory that the engine wrote.
    """

    _sides: tuple[list[dict[str, Any]], list[dict[str, Any]]] | None = None
    _submitted: Function[..., Any] | None = None

    def describe(self) -> dict[str, Any]:
        """What it takes and gives: ``inputs`` and ``outputs``, each with name, type, shape
        (None is any size) and batch_axis. Loads it, if it is not loaded."""
        return cast("dict[str, Any]", json.loads(self._ports()))

    def _known(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if self._sides is None:
            sides = self.describe()
            self._sides = (sides["inputs"], sides["outputs"])
        return self._sides

    def invoke(self, *args: Any, **named: Any) -> Any:
        """Runs it: ``model(array)``, ``model({"input": a, "state": b})`` or
        ``model(input=a, state=b)``. Inputs are NumPy arrays, or any buffers in rows.

        Returns the output, or a dict of outputs by name if there are several.

        Raises WrongType for a name, type or shape that is not the model's: it did not run;
        HandlerError with the engine's words if that failed; InitError if it cannot be
        loaded.
        """
        if len(args) > 1 or (args and named):
            raise TypeError(f"{self.name} takes one array, or inputs by name")
        if args and not isinstance(args[0], Mapping):
            return self._one(args[0])
        given = dict(args[0]) if args else named
        answers = self._run([(name, _input(x)) for name, x in given.items()], True)
        outputs = {n: _as_array(t, t.dtype, None) for n, t in answers.items()}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def __call__(self, *args: Any, **named: Any) -> Any:
        """As invoke()."""
        return self.invoke(*args, **named)

    def _one(self, array: Any) -> Any:
        first = self._sides is None
        if not first:
            inputs, outputs = self._known()
        if first or len(inputs) != 1 or len(outputs) != 1:
            answers = self._run([(None, array)], True)
            if first: # now that it is loaded, asking what it takes is nothing
                self._known()
            named = {n: _as_array(t, t.dtype, None) for n, t in answers.items()}
            return next(iter(named.values())) if len(named) == 1 else named
        rows = self._check(inputs[0], array)
        answer = self._run([(None, array)], False)
        port = outputs[0]
        shape = [rows if d is None else d for d in port["shape"]]
        open_at = [i for i, d in enumerate(port["shape"]) if d is None]
        count = memoryview(answer).nbytes // _ITEM_BYTES[port["type"]]
        if len(open_at) == 1: # whatever it is, the bytes tell
            rest = math.prod(d for i, d in enumerate(shape) if i != open_at[0])
            shape[open_at[0]] = count // rest if rest else 0
        if math.prod(shape) != count:
            shape = [count]
        return _as_array(answer, port["type"], tuple(shape))

    def _check(self, port: dict[str, Any], array: Any) -> int:
        """That an array is of the port's type and shape: bytes alone do not say it. Returns
        how many items there are."""
        view = memoryview(array)
        wanted = _FORMATS.get(port["type"])
        got = view.format.lstrip("<=@")
        got = {"l": "q", "L": "Q"}.get(got, got)
        shape = port["shape"]
        sizes = view.shape or ()
        fits = len(shape) == len(sizes) and all(
            w is None or w == g for w, g in zip(shape, sizes, strict=True)
        )
        if (wanted is not None and got != wanted) or not fits:
            text = ",".join("?" if d is None else str(d) for d in shape)
            raise WrongType(
                f"input \"{port['name']}\": expected {port['type']}[{text}], got "
                f"{view.format}{list(sizes)}"
            )
        free = [g for w, g in zip(shape, sizes, strict=True) if w is None]
        return free[0] if free else 1

    def submit(self, *args: Any, **named: Any) -> Future[Any]:
        """Runs it on a worker of the app; returns a Future. A call with its limits inside
        a call: the worker's is metered under ``<name>.submit``."""
        return self._on_worker().submit(*args, **named)

    def submit_with(self, *args: Any, **options: Any) -> Future[Any]:
        """As submit(), with the options of Function.submit_with()."""
        return self._on_worker().submit_with(*args, **options)

    def unregister(self) -> None:
        """As Function.unregister()."""
        super().unregister()
        if self._submitted is not None:
            self._submitted.unregister()
            self._submitted = None

    def _on_worker(self) -> Function[..., Any]:
        if self._submitted is None:
            app = cast("App", self.app)
            self._submitted = app.function(name=self.name + ".submit")(self.invoke)
        return self._submitted

    def __repr__(self) -> str:
        return f"<faas.Model {self.name}>"


def _input(value: Any) -> Any:
    """What is no array has no type of elements: it is refused, saying how to make one."""
    if isinstance(value, bool | int | float):
        raise TypeError(
            f"an input is an array, not {value!r}: numpy.array({value!r}, dtype=...) is one"
        )
    return value

