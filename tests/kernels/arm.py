"""Kernels for AArch64 on whatever machine this is: compiled by LLVM, run by an emulated processor.

Unicorn (QEMU's processor as a library) executes the machine code itself; nothing is interpreted from the IR.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from elftools.elf.elffile import ELFFile
from llvmlite import ir
from unicorn import UC_ARCH_ARM64, UC_MODE_ARM, Uc, arm64_const

ARM = ("aarch64-unknown-linux-gnu", "generic")  # what LLVM compiles for: triple, processor
CODE, DATA, STACK, PAGE = 0x1_0000, 0x100_0000, 0x8000_0000, 0x1000
RETURN = 0xF000  # where a kernel goes when it is done
_MOVW_SHIFTS = {263: 0, 264: 0, 265: 16, 266: 16, 267: 32, 268: 32, 269: 48}  # R_AARCH64_MOVW_UABS_G…

Body = Callable[[Any, list[Any]], Any]


def compiled(
    result: Any, kinds: list[Any], body: Body, features: str, as_object: bool, target: tuple[str, str] = ARM
) -> Any:
    """Machine code of a function for a processor that has these features: an object file, or assembly to read."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module(name="parity")
    module.triple = target[0]
    function = ir.Function(module, ir.FunctionType(result, kinds), name="kernel")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    value = body(builder, list(function.args))
    builder.ret_void() if value is None else builder.ret(value)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    machine = llvm.Target.from_triple(target[0]).create_target_machine(cpu=target[1], features=features, opt=2)
    return machine.emit_object(parsed) if as_object else machine.emit_assembly(parsed)


class Processor:
    """An emulated ARM processor with one kernel in its memory."""

    def __init__(self, code: bytes) -> None:
        self._uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        self._uc.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_MAX)
        self._uc.mem_map(STACK - 16 * PAGE, 16 * PAGE)
        self._load(ELFFile(io.BytesIO(code)))
        self._next = DATA

    def put(self, array: np.ndarray) -> int:
        """Copy an array into memory; its address. What lies behind it is not mapped, or not its own."""
        size = -(-array.nbytes // PAGE) * PAGE
        self._uc.mem_map(self._next, size)
        address = self._next + size - array.nbytes  # up to the very end: reading past it is an error
        self._uc.mem_write(address, array.tobytes())
        self._next += size + PAGE
        return address

    def get(self, address: int, like: np.ndarray) -> np.ndarray:
        """An array of memory."""
        return np.frombuffer(bytes(self._uc.mem_read(address, like.nbytes)), like.dtype)

    def free(self) -> None:
        """Forget all arrays."""
        for start, end, _ in list(self._uc.mem_regions()):
            if start >= DATA and end < STACK - 16 * PAGE:
                self._uc.mem_unmap(start, end - start + 1)
        self._next = DATA

    def run(self, whole: list[int], reals: Sequence[float] = ()) -> int:
        """Call the kernel with these integers (x0 …) and floats (s0 …); returns x0."""
        for number, value in enumerate(whole):
            self._uc.reg_write(arm64_const.UC_ARM64_REG_X0 + number, value)
        for number, value in enumerate(reals):
            bits = int(np.float32(value).view(np.uint32))
            self._uc.reg_write(arm64_const.UC_ARM64_REG_S0 + number, bits)
        self._uc.reg_write(arm64_const.UC_ARM64_REG_SP, STACK - PAGE)
        self._uc.reg_write(arm64_const.UC_ARM64_REG_LR, RETURN)
        self._uc.emu_start(self._entry, RETURN)
        return int(self._uc.reg_read(arm64_const.UC_ARM64_REG_X0))

    def _load(self, elf: ELFFile) -> None:
        """Place the sections one after the other, and write their addresses where the code asks for them."""
        places, end = dict[int, int](), CODE
        for number, section in enumerate(elf.iter_sections()):
            if section["sh_flags"] & 2 and section["sh_size"]:  # SHF_ALLOC
                places[number] = end
                end += -(-section["sh_size"] // PAGE) * PAGE
        self._uc.mem_map(CODE, end - CODE)
        for number, address in places.items():
            self._uc.mem_write(address, elf.get_section(number).data())
        symbols = elf.get_section_by_name(".symtab")
        self._entry = next(places[s["st_shndx"]] + s["st_value"] for s in symbols.iter_symbols() if s.name == "kernel")
        for table in elf.iter_sections("SHT_RELA"):
            start = places.get(table["sh_info"])
            if start is None or elf.get_section(table["sh_info"]).name == ".eh_frame":
                continue
            for entry in table.iter_relocations():
                symbol = symbols.get_symbol(entry["r_info_sym"])
                value = places[symbol["st_shndx"]] + symbol["st_value"] + entry["r_addend"]
                at = start + entry["r_offset"]
                word = int.from_bytes(self._uc.mem_read(at, 4), "little")
                word |= (value >> _MOVW_SHIFTS[entry["r_info_type"]] & 0xFFFF) << 5
                self._uc.mem_write(at, word.to_bytes(4, "little"))
