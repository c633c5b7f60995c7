"""Compiled GPU code of one architecture out of a library that has it for many: what is carried becomes smaller."""

import struct

# A library has containers ("fat binaries"), each with the same kernels for several architectures. cuobjdump lists them;
# the layout is not documented, and what does not have it stays as it is.
CONTAINER = struct.Struct("<IHHQ")  # magic number, version, bytes of this header, bytes of the entries
MAGIC = 0xBA55ED50
ENTRY = struct.Struct("<H2xIQ12xI32x")  # kind, bytes of this header, bytes of the code, architecture
PTX, MACHINE_CODE = 1, 2
Entry = tuple[int, int, int, int]  # kind, architecture, first byte and length of the code


def entries_of(data: bytes | bytearray, start: int, end: int) -> list[Entry] | None:
    """All entries; None if this is not a container."""
    found: list[Entry] = []
    at = start
    while at + ENTRY.size <= end:
        kind, header, size, architecture = ENTRY.unpack_from(data, at)
        if kind not in (PTX, MACHINE_CODE) or not 32 <= header <= 256 or at + header + size > end:
            return None
        found.append((kind, architecture, at + header, size))
        at += header + size
    return found


def newest(entries: list[Entry], kind: int, first: int, last: int) -> list[Entry]:
    """The entries of a kind with the highest architecture from first to last."""
    able = [entry for entry in entries if entry[0] == kind and first <= entry[1] <= last]
    return [entry for entry in able if entry[1] == max(other[1] for other in able)]


def thin(data: bytes, architecture: int) -> bytes:
    """Overwrite with zeros what a GPU does not load, so that it takes no room when compressed; sizes stay.

    A container keeps its newest machine code that the GPU runs (of the same major version, and not newer); without
    any, its newest PTX that the driver can compile for the GPU.

    Args:
        data: of a shared library.
        architecture: such as 90 for compute capability 9.0.
    """
    out = bytearray(data)
    magic, at = struct.pack("<I", MAGIC), 0
    while (at := data.find(magic, at)) >= 0:
        if at + CONTAINER.size > len(data):
            break
        _, version, header, size = CONTAINER.unpack_from(data, at)
        start, end = at + header, at + header + size
        entries = entries_of(data, start, end) if version == 1 and header == 16 and end <= len(data) else None
        if entries is None:
            at += 4
            continue
        kept = newest(entries, MACHINE_CODE, architecture // 10 * 10, architecture)
        kept = kept or newest(entries, PTX, 0, architecture)
        for entry in entries:
            if entry not in kept:
                out[entry[2] : entry[2] + entry[3]] = bytes(entry[3])
        at = end
    return bytes(out)
