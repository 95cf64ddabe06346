"""The inner loops as Numba compiles them, and how they become a file of machine code.

A block that stays in the first cache is gone over twice: extremes by integer comparisons of the
bits; then buckets and, in the same loop, sums of powers about the mean of the block before. Where
that mean turns out to be too far off, the sums are taken again about the right one.

Run as a module it writes the machine code to the path that it is given. Only then is Numba
imported: the code needs no Numba, see `kernel_compiled`.
"""

# mypy: disallow-untyped-calls = False
from __future__ import annotations

import re
import sys
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined]

from ckptviewer.analysis import moments
from ckptviewer.analysis.bucket_source import count_16_bits, count_buckets, powers_and_buckets
from ckptviewer.analysis.chunks import SEGMENT_ELEMENTS
from ckptviewer.analysis.crc_source import crc_of_words
from ckptviewer.analysis.kernel_compiled import BLOCK, HAS_CRC, Compiled, store

FAR = 16.0
"""Sums about a pivot more than so many variances from the mean (squared) have lost digits."""

# Sums may be taken in any order, which is what lets the processor add eight at a time; NaN and
# infinities keep their meaning.
_ANY_ORDER = {"reassoc", "nsz", "contract"}
_plain = njit(error_model="numpy")
_vector = njit(error_model="numpy", fastmath=_ANY_ORDER)

two_product = _plain(moments.two_product)
two_sum = _plain(moments.two_sum)


def _linked(function: Any) -> Any:
    """A function of `moments`, compiled so that it calls the compiled ones."""
    names = {"two_product": two_product, "two_sum": two_sum}
    return _plain(type(function)(function.__code__, {**function.__globals__, **names}))


_piece = _linked(moments.piece)
_combine = _linked(moments.combine)


@_plain
def _scan(bits, mask):  # type: ignore[no-untyped-def]
    """Of float bits: least and greatest value, least and greatest magnitude, all as bits.

    As integers with a sign, the bits of positive floats are in order; so are those of negative
    ones, from zero downwards, once the sign's bit is turned.
    """
    narrow = bits.dtype.type  # integers would be made 64 bits wide
    turn = narrow(~mask)
    positive = bits[0]
    negative = narrow(positive ^ turn)
    small = narrow(positive & mask)
    for i in range(bits.size):
        b = bits[i]
        positive = max(positive, b)
        negative = max(negative, narrow(b ^ turn))
        small = min(small, narrow(b & mask))
    negative = negative ^ turn  # the greatest magnitude below zero, if anything is there
    high = positive if positive >= 0 else small | turn
    low = negative if negative < 0 else small
    return low, high, small, max(low & mask, high & mask)


@_plain
def _ordered(bits, mask, sign):  # type: ignore[no-untyped-def]
    """The bits of a float as an integer that compares as the float does."""
    return bits ^ ((bits >> sign) & mask)


@_plain
def _count_below(bits, mask, limit):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(bits.size):
        count += (bits[i] & mask) < limit
    return count


@_vector
def _powers(values, pivot):  # type: ignore[no-untyped-def]
    absolute = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    s4 = 0.0
    for i in range(values.size):
        x = np.float64(values[i])
        absolute += abs(x)
        d = x - pivot
        square = d * d
        s1 += d
        s2 += square
        s3 += square * d
        s4 += square * square
    return s1, s2, s3, s4, absolute


@_plain
def _keep_finite(values, bits, mask, infinity, facts, kept):  # type: ignore[no-untyped-def]
    """Copy the finite values to `kept`, count the others; how many were copied."""
    count = 0
    for i in range(values.size):
        magnitude = bits[i] & mask
        if magnitude < infinity:
            kept[count] = values[i]
            count += 1
        elif magnitude > infinity:
            facts[0] += 1
        elif bits[i] > 0:
            facts[1] += 1
        else:
            facts[2] += 1
    return count


_powers_and_buckets = powers_and_buckets(with_crc=False)
_powers_buckets_and_crc = powers_and_buckets(with_crc=True)


@_plain
def _count_block(values, patterns, together, pivot, table, crc):  # type: ignore[no-untyped-def]
    """Count the buckets of a block, and sum up its powers: together, if it is whole and finite."""
    if not together:
        count_buckets(patterns, table, False)
        return _powers(values, pivot)
    if crc is None:
        s1, s2, s3, s4, absolute, _ = _powers_and_buckets(values, patterns, pivot, table, None)
    else:
        s1, s2, s3, s4, absolute, crc[0] = _powers_buckets_and_crc(
            values, patterns, pivot, table, crc[0]
        )
    return s1, s2, s3, s4, absolute


@_plain
def _accumulate(  # type: ignore[no-untyped-def]
    values, bits, patterns, kept, kept_bits, kept_patterns, limits, table, facts, extremes,
    state, crc,
):  # fmt: skip
    """Add all of `values` to table, facts, extremes (in the order of the bits) and state.

    bits, patterns: the same memory as signed and as unsigned integers; `kept` likewise is room
    for a block. limits: mask of the magnitude, infinity, least normal, shift of the sign. crc: the
    crc32c of their bytes goes on there, as the processor keeps it; or None.
    """
    mask, infinity, normal, sign = limits[0], limits[1], limits[2], limits[3]
    done = (
        state[0], state[1], state[2], state[3], state[4], state[5], state[6],
    )  # fmt: skip
    pivot = 0.0
    fresh = True
    for start in range(0, values.size, BLOCK):
        fresh = fresh or start % SEGMENT_ELEMENTS == 0
        x = values[start : start + BLOCK]
        b = bits[start : start + BLOCK]
        p = patterns[start : start + BLOCK]
        low, high, small, large = _scan(b, mask)
        together = x.size == BLOCK and large < infinity and low != high
        if crc is not None:  # noqa: SIM102 (Numba leaves it out where crc is always None)
            if not together:
                crc[0] = crc_of_words(p, crc[0])
        if large >= infinity:
            count = _keep_finite(x, b, mask, infinity, facts, kept)
            if count == 0:
                continue
            x = kept[:count]
            b = kept_bits[:count]
            p = kept_patterns[:count]
            low, high, small, large = _scan(b, mask)
        if small < normal:
            zeros = _count_below(b, mask, limits[4])
            facts[3] += zeros
            facts[4] += _count_below(b, mask, normal) - zeros
        extremes[0] = min(extremes[0], _ordered(low, mask, sign))
        extremes[1] = max(extremes[1], _ordered(high, mask, sign))
        n = np.float64(x.size)
        if fresh:
            pivot = np.float64(x[0])
            fresh = False
        if low == high:
            count_buckets(p, table, True)
            pivot = np.float64(x[0])
            product, error = two_product(n, pivot)
            block = (n, product, error, 0.0, 0.0, 0.0, n * abs(pivot))
        else:
            s1, s2, s3, s4, absolute = _count_block(x, p, together, pivot, table, crc)
            off = s1 / n
            if n * off * off > FAR * (s2 - n * off * off):
                pivot += off
                s1, s2, s3, s4, absolute = _powers(x, pivot)
                off = s1 / n
            block = _piece(n, pivot, s1, s2, s3, s4, absolute)
            pivot += off
        done = _combine(done, block)
    for i in range(7):
        state[i] = done[i]


def _checking_entry() -> Any:
    """`_accumulate` for float32 with the crc32c of the bytes, as a C function."""

    def entry(  # type: ignore[no-untyped-def]
        values, bits, patterns, n, kept, kept_bits, kept_patterns, limits, table, buckets,
        facts, extremes, state, crc,
    ):  # fmt: skip
        _accumulate(
            carray(values, n), carray(bits, n), carray(patterns, n), carray(kept, BLOCK),
            carray(kept_bits, BLOCK), carray(kept_patterns, BLOCK), carray(limits, 5),
            carray(table, buckets), carray(facts, 5), carray(extremes, 2), carray(state, 7),
            carray(crc, 1),
        )  # fmt: skip

    to, real, signed, unsigned = types.CPointer, types.float32, types.int32, types.uint32
    return cfunc(
        types.void(
            to(real), to(signed), to(unsigned), types.intp, to(real), to(signed), to(unsigned),
            to(signed), to(types.uint32), types.intp, to(types.int64), to(signed),
            to(types.float64), to(types.uint64),
        ),
        error_model="numpy",
    )(entry)  # fmt: skip


def _accumulate_entry(real: Any, signed: Any, unsigned: Any) -> Any:
    """`_accumulate` for one width, as a C function of pointers and lengths."""

    def entry(  # type: ignore[no-untyped-def]
        values, bits, patterns, n, kept, kept_bits, kept_patterns, limits, table, buckets,
        facts, extremes, state,
    ):  # fmt: skip
        _accumulate(
            carray(values, n), carray(bits, n), carray(patterns, n), carray(kept, BLOCK),
            carray(kept_bits, BLOCK), carray(kept_patterns, BLOCK), carray(limits, 5),
            carray(table, buckets), carray(facts, 5), carray(extremes, 2), carray(state, 7), None,
        )  # fmt: skip

    to = types.CPointer
    return cfunc(
        types.void(
            to(real), to(signed), to(unsigned), types.intp, to(real), to(signed), to(unsigned),
            to(signed), to(types.uint32), types.intp, to(types.int64), to(signed),
            to(types.float64),
        ),
        error_model="numpy",
    )(entry)  # fmt: skip


def _count_entry() -> Any:
    def entry(words, n, table):  # type: ignore[no-untyped-def]
        count_16_bits(carray(words, n), carray(table, 1 << 16))

    to = types.CPointer
    return cfunc(
        types.void(to(types.uint64), types.intp, to(types.uint32)), error_model="numpy"
    )(entry)  # fmt: skip


def build(entries: dict[str, Any] | None = None) -> tuple[dict[str, str], bytes]:
    """The names of the entry points in the machine code for this processor, and the code.

    entries: other C functions by their short names, for loops that are not of statistics.
    """
    names, module = _module(entries)
    machine = llvm.Target.from_triple(module.triple).create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="default",
        codemodel="jitdefault",
        jit=True,
    )
    return names, machine.emit_object(module)


def build_for(processor: str, prefix: str, entries: dict[str, Any] | None = None) -> bytes:
    """An object file for a kind of processor ("x86-64-v3"), to be linked as a shared library.

    Its entry points bear the names of `build`, after `prefix`; entries: as there. NUMBA_CPU_NAME
    must name the kind, too, since before this module was imported.
    """
    names, module = _module(entries)
    for name, long_name in names.items():
        module.get_function(long_name).name = prefix + name
    machine = llvm.Target.from_triple(module.triple).create_target_machine(
        cpu=processor, opt=3, reloc="pic", codemodel="small"
    )
    code: bytes = machine.emit_object(module)
    return code


def _module(entries: dict[str, Any] | None = None) -> tuple[dict[str, str], Any]:
    """The names of the entry points in LLVM's form of the loops, and that."""
    if not entries:
        entries = {
            "float32": _accumulate_entry(types.float32, types.int32, types.uint32),
            "float64": _accumulate_entry(types.float64, types.int64, types.uint64),
            "count": _count_entry(),
        }
        if HAS_CRC:
            entries["checking"] = _checking_entry()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module: Any = None
    for entry in entries.values():
        part = llvm.parse_assembly(_self_contained(entry.inspect_llvm()))
        part.verify()
        if module is None:
            module = part
        else:
            module.link_in(part)
    _require_self_contained(module)
    return {name: entry.native_name for name, entry in entries.items()}, module


_DECLARATION = re.compile(r"^declare (.*?)@([\w.]+)\((.*?)\)[^\n]*$", re.MULTILINE)
_PYTHONS_OBJECT = re.compile(r"^(@_?Py\w+) = external (?:global|constant) i8\b.*$", re.MULTILINE)
_ADDRESS = re.compile(r"inttoptr \(i64 -?\d+ to ")


def _self_contained(code: str) -> str:
    """LLVM's text without calls into Python or Numba's runtime, and without Python's objects.

    They stand on paths that these loops never take (raising, reference counts of arrays that own
    nothing); each call becomes one of a function that stops the program, so that none is taken
    unnoticed, and each object, of which only the address is handed to such calls, a byte.
    """

    def trapped(match: re.Match[str]) -> str:
        result, name, arguments = match.groups()
        if not name.startswith(("numba_", "NRT_", "Py", "_Py")):
            return match[0]
        body = "call void @llvm.trap()\n  unreachable"
        return f"define internal {result}@{name}({arguments}) {{\n  {body}\n}}"

    code = _DECLARATION.sub(trapped, code)
    code = _PYTHONS_OBJECT.sub(r"\1 = internal global i8 0", code)
    return code if "declare void @llvm.trap" in code else f"{code}\ndeclare void @llvm.trap()\n"


def _require_self_contained(module: Any) -> None:
    """Raise ValueError where the code needs what only this process has.

    A name that LLVM's loader cannot find ends the program that loads it, so a Numba that writes
    other names than those known here must be noticed now, while it is made.
    """
    outside = [
        each.name
        for each in (*module.functions, *module.global_variables)
        if each.is_declaration and not each.name.startswith("llvm.")
    ]
    if outside or _ADDRESS.search(str(module)):
        raise ValueError(f"the loops are not self-contained: {', '.join(outside) or 'addresses'}")


if __name__ == "__main__":
    store(sys.argv[1], *build(), Compiled)
