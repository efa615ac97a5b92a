"""Structs of Thrift's compact protocol, in which parquet writes what it says of itself.

Apache Thrift, "Thrift compact protocol",
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_DEEPEST = 16
_MOST_VALUES = 5_000_000


class Compact:
    """A reader of structs as fields by number; binary fields are skipped.

    Parameters
    ----------
    data : bytes
        Anything that slices to bytes, such as a mapped file.
    at : int
        Where to begin; afterwards, where the struct ended.

    Examples
    --------
    >>> Compact(bytes([0x15, 0x0E, 0x00])).struct()
    {1: 7}
    """

    def __init__(self, data: Any, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.read = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the struct that begins here.

        Raises
        ------
        ValueError, IndexError
            Where there is none.
        """
        fields: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else self._signed()
            fields[number] = self._value(header & 15, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        self.read += 1
        if depth > _DEEPEST or self.read > _MOST_VALUES:
            raise ValueError("is nested too deeply, or too long")
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind < _DOUBLE:
            return self._signed()
        if kind in (_DOUBLE, _BINARY):
            length = 8 if kind == _DOUBLE else self._unsigned()
            self.at += length
            return None
        if kind in (_LIST, _SET):
            header = self._byte()
            size = header >> 4 if header >> 4 < 15 else self._unsigned()
            return [self._element(header & 15, depth) for _ in range(size)]
        if kind == _MAP:
            if size := self._unsigned():
                kinds = self._byte()
                for _ in range(size):
                    self._element(kinds >> 4, depth)
                    self._element(kinds & 15, depth)
            return None
        if kind == _STRUCT:
            return self.struct(depth)
        raise ValueError(f"knows no type {kind}")

    def _element(self, kind: int, depth: int) -> Any:
        return self._byte() if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1)

    def _byte(self) -> int:
        byte: int = self.data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number without an end")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
