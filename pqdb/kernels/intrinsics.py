"""Words below numba's: loads, stores and prefetch at raw addresses. Addresses are unsigned 64-bit integers.

Codes are scanned straight from LMDB's memory map, so kernels get addresses, not arrays; and an array handed to what
runs once a group is counted by atomic operations that cost more than the group (measured: 3.4 against 1.2 ns a
vector). With NUMBA_DISABLE_JIT=1 the same names read through ctypes, so that the arithmetic of every plain kernel can
be tested, and covered, as plain Python.
"""

import ctypes
import struct
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels import _ir
from pqdb.kernels._cpu import JIT_OFF

_BYTE = ir.IntType(8)


def _load(builder: Any, address: Any, kind: Any) -> Any:
    """Unaligned load: LMDB puts values at page + 16 bytes."""
    load = builder.load(builder.inttoptr(address, kind.as_pointer()))
    load.align = 1
    return load


def _store(context: Any, builder: Any, args: Any, kind: Any) -> Any:
    store = builder.store(args[1], builder.inttoptr(args[0], kind.as_pointer()))
    store.align = 1
    return context.get_dummy_value()


if JIT_OFF:

    def load_u8(address: Any) -> Any:
        """The byte at an address."""
        return ctypes.c_uint8.from_address(int(address)).value

    def load_i8(address: Any) -> Any:
        """The signed byte at an address."""
        return ctypes.c_int8.from_address(int(address)).value

    def load_u16(address: Any) -> Any:
        """The uint16 at an address."""
        return ctypes.c_uint16.from_address(int(address)).value

    def load_u64(address: Any) -> Any:
        """The uint64 at an address."""
        return ctypes.c_uint64.from_address(int(address)).value

    def load_u32(address: Any) -> Any:
        """The uint32 at an address."""
        return ctypes.c_uint32.from_address(int(address)).value

    def load_f32(address: Any) -> Any:
        """The float32 at an address."""
        return ctypes.c_float.from_address(int(address)).value

    def load_f16(address: Any) -> Any:
        """The float16 at an address, as float32."""
        return float(struct.unpack("<e", ctypes.string_at(int(address), 2))[0])

    def store_u32(address: Any, value: Any) -> None:
        """Write a uint32 to an address."""
        ctypes.c_uint32.from_address(int(address)).value = value

    def store_f32(address: Any, value: Any) -> None:
        """Write a float32 to an address."""
        ctypes.c_float.from_address(int(address)).value = value

    def prefetch(address: Any) -> None:
        """Nothing to do in plain Python."""

    def lowest_bit(mask: Any) -> Any:
        """Position of the lowest bit set; mask not 0."""
        return (int(mask) & -int(mask)).bit_length() - 1

else:

    def _load_intrinsic(name: str, kind: Any, result: Any) -> Any:
        """The number of this kind at an address."""

        def load(typingctx: Any, address: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return _load(builder, args[0], kind)

            return result(types.uint64), codegen

        load.__name__ = name
        return intrinsic(load)

    load_u8 = _load_intrinsic("load_u8", _BYTE, types.uint8)
    load_i8 = _load_intrinsic("load_i8", _BYTE, types.int8)
    load_u16 = _load_intrinsic("load_u16", ir.IntType(16), types.uint16)
    load_u32 = _load_intrinsic("load_u32", ir.IntType(32), types.uint32)
    load_u64 = _load_intrinsic("load_u64", ir.IntType(64), types.uint64)
    load_f32 = _load_intrinsic("load_f32", ir.FloatType(), types.float32)

    @intrinsic
    def load_f16(typingctx: Any, address: Any) -> Any:
        """The float16 at an address, as float32."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return half_to_float(builder, _load(builder, args[0], ir.IntType(16)))

        return types.float32(types.uint64), codegen

    @intrinsic
    def store_u32(typingctx: Any, address: Any, value: Any) -> Any:
        """Write a uint32 to an address."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _store(context, builder, args, ir.IntType(32))

        return types.void(types.uint64, types.uint32), codegen

    @intrinsic
    def store_f32(typingctx: Any, address: Any, value: Any) -> Any:
        """Write a float32 to an address."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _store(context, builder, args, ir.FloatType())

        return types.void(types.uint64, types.float32), codegen

    @intrinsic
    def prefetch(typingctx: Any, address: Any) -> Any:
        """Ask for the cache line of an address; see _ir.prefetch."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _ir.prefetch(builder, args[0])
            return context.get_dummy_value()

        return types.void(types.uint64), codegen

    @intrinsic
    def lowest_bit(typingctx: Any, mask: Any) -> Any:
        """Position of the lowest bit set; mask not 0."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.IntType(1)(1))

        return types.int64(types.uint64), codegen


def half_to_float(builder: Any, bits: Any) -> Any:
    """IR: float16 bits (an i16, or a vector of them) as float32."""
    lanes = getattr(bits.type, "count", None)
    half: Any = ir.HalfType()
    single: Any = ir.FloatType()
    if lanes is not None:
        half, single = ir.VectorType(half, lanes), ir.VectorType(single, lanes)
    return builder.fpext(builder.bitcast(bits, half), single)
