"""Eight numbers in float64 at a time, for loops that Numba compiles and LLVM would not vectorise.

A loop that counts in a table cannot be vectorised, so sums that are to be taken in it, while it
waits for its stores, are written with these. Any processor: LLVM splits what is too wide for it.
"""

# mypy: disallow-untyped-calls = False, disallow-untyped-decorators = False
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, register_model
from numba.np.arrayobj import make_array

intrinsic: Any = extending.intrinsic  # typed, it would ask its callers for what Numba gives it

EIGHT = 8
_VECTOR = ir.VectorType(ir.DoubleType(), EIGHT)
_INDEX = ir.IntType(32)


class _Eight(types.Type):
    def __init__(self) -> None:
        super().__init__("eight numbers in float64")


_eight = _Eight()


@register_model(_Eight)
class _EightModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _place(context: Any, builder: Any, array: Any, value: Any, start: Any, kind: Any) -> Any:
    """The pointer to an element of a contiguous array, as one to a `kind`."""
    data = make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [start]), kind.as_pointer())


def _loaded(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """Memory from an element of an array on as `kind`, aligned as the element is and no more."""
    array = signature.args[0]
    place = _place(context, builder, array, arguments[0], arguments[1], kind)
    return builder.load(place, align=array.dtype.bitwidth // 8)


@intrinsic
def eight(_typing: Any, values: Any, _start: Any) -> Any:
    """Eight of a contiguous array of float32 or float64, from the place `start` on."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(context.get_data_type(values.dtype), EIGHT)
        loaded = _loaded(context, builder, signature, arguments, kind)
        return loaded if kind == _VECTOR else builder.fpext(loaded, _VECTOR)

    return _eight(values, types.intp), make


@intrinsic
def put_eight(_typing: Any, target: Any, source: Any, _start: Any) -> Any:
    """Eight of one array, from `start` on, put into another of its dtype as they are."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(context.get_data_type(source.dtype), EIGHT)
        align = source.dtype.bitwidth // 8
        to, of = (
            _place(context, builder, array, value, arguments[2], kind)
            for array, value in zip(signature.args, arguments[:2], strict=False)
        )
        builder.store(builder.load(of, align=align), to, align=align)
        return context.get_dummy_value()

    return types.void(target, source, types.intp), make


@intrinsic
def word(_typing: Any, patterns: Any, _start: Any) -> Any:
    """Two 32-bit patterns of a contiguous array, the first in the lower half (little endian)."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _loaded(context, builder, signature, arguments, ir.IntType(64))

    return types.uint64(patterns, types.intp), make


@intrinsic
def all_eight(_typing: Any, _number: Any) -> Any:
    """One number eight times."""

    def make(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        empty = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(empty, arguments[0], ir.Constant(_INDEX, 0))
        places = ir.Constant(ir.VectorType(_INDEX, EIGHT), [0] * EIGHT)
        return builder.shuffle_vector(first, empty, places)

    return _eight(types.float64), make


def _operation(name: str) -> Any:
    """What LLVM's builder does under this name with two vectors."""

    @intrinsic
    def operation(_typing: Any, _a: Any, _b: Any) -> Any:
        def make(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return _eight(_eight, _eight), make

    return operation


def _called(name: str) -> Any:
    """Calls LLVM's own function of this name."""

    def make(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        of = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
        declared = cgutils.get_or_insert_function(builder.module, of, f"{name}.v{EIGHT}f64")
        return builder.call(declared, arguments)

    return make


plus = _operation("fadd")
minus = _operation("fsub")
times = _operation("fmul")


@intrinsic
def times_plus(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """The sum of c and a times b, in one step where the processor has one."""
    return _eight(_eight, _eight, _eight), _called("llvm.fmuladd")


@intrinsic
def magnitude(_typing: Any, _numbers: Any) -> Any:
    return _eight(_eight), _called("llvm.fabs")


@intrinsic
def total(_typing: Any, _numbers: Any) -> Any:
    """The sum of the eight."""

    def make(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left = [
            builder.extract_element(arguments[0], ir.Constant(_INDEX, place))
            for place in range(EIGHT)
        ]
        while len(left) > 1:
            left = [builder.fadd(a, b) for a, b in zip(left[::2], left[1::2], strict=True)]
        return left[0]

    return types.float64(_eight), make


def at_address(kind: Any) -> Any:
    """What makes a pointer to a `kind` of an address."""

    @intrinsic
    def pointer(_typing: Any, _address: Any) -> Any:
        to = types.CPointer(kind)

        def make(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(to))

        return to(types.intp), make

    return pointer


@intrinsic
def read_at(
    _typing: Any, _function: Any, _descriptor: Any, _place: Any, _count: Any, _offset: Any
) -> Any:
    """Calls a function by its address that does as the system's `pread`."""

    def make(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        function, descriptor, place, count, offset = arguments
        word, narrow = ir.IntType(64), ir.IntType(32)
        kind = ir.FunctionType(word, [narrow, ir.IntType(8).as_pointer(), word, word])
        return builder.call(
            builder.inttoptr(function, kind.as_pointer()),
            [
                builder.trunc(descriptor, narrow),
                builder.inttoptr(place, kind.args[1]),
                count,
                offset,
            ],
        )

    return types.intp(*[types.intp] * 5), make
