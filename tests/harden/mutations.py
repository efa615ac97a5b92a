"""Damaged and hostile neighbours of a file: bytes, numbers in texts, and parts of JSON."""

from __future__ import annotations

import json
import random
import re
from typing import Any

_NUMBERS = [b"-1", b"0", b"1", b"3", b"2147483647", b"-2147483648", b"4294967296", b"1e308"]
_NUMBERS += [b"nan", b"inf", b"9" * 30, b"", b"-", b"1e-320", b"0x10"]
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
_VALUES: list[Any] = [None, True, -1, 0, 1, 2**31, 2**63, 10**30, 0.5, 1e308, float("nan")]
_VALUES += ["", "x", "..", "/etc/passwd", "\x1b[2J", "a" * 10_000, [], {}, [[]], {"": None}]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return a neighbour of some bytes: a few of ten kinds of change, one after the other."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        size = len(changed)
        if not size:
            return bytes(chance.randbytes(8))
        at = chance.randrange(size)
        length = chance.choice([1, 2, 4, 8, 64, max(size // 4, 1)])
        kind = chance.randrange(8)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at : at + length] = chance.randbytes(min(length, 64))
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + length]
        elif kind == 4:
            del changed[at:]
        elif kind == 5:
            changed[at : at + length] = bytes([chance.choice([0, 255, 10, 32, 34, 44])]) * length
        else:
            _change_number(changed, at, chance)
    return bytes(changed)


def _change_number(changed: bytearray, at: int, chance: random.Random) -> None:
    found = _NUMBER.search(changed, at) or _NUMBER.search(changed)
    if found:
        other = chance.choice(_NUMBERS)
        if chance.random() < 0.3 and found[0].isdigit() and len(found[0]) < 20:
            other = b"%d" % (int(found[0]) + chance.choice([-1, 1]))
        changed[found.start() : found.end()] = other


def changed_json(value: Any, chance: random.Random) -> Any:
    """Return a copy of a JSON value with one part replaced, removed, moved or nested deeply."""
    value = json.loads(json.dumps(value))
    homes: list[Any] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict) and part:
            homes.append(part)
            waiting.extend(part.values())
        elif isinstance(part, list) and part:
            homes.append(part)
            waiting.extend(part[:20])
    if not homes:
        return chance.choice(_VALUES)
    home = chance.choice(homes)
    key = chance.choice(list(home)) if isinstance(home, dict) else chance.randrange(len(home))
    kind = chance.randrange(5)
    if kind == 0:
        del home[key]
    elif kind == 1 and isinstance(home, dict):
        home[chance.choice(["", "x", "../x", "/x", key + "x"])] = home.pop(key)
    elif kind == 2:
        other = chance.choice(homes)
        home[key] = json.loads(json.dumps(other))
    elif kind == 3:
        nested: Any = home[key]
        for _ in range(chance.choice([1, 50])):
            nested = [nested]
        home[key] = nested
    else:
        home[key] = chance.choice(_VALUES)
    return value


def changed_file(name: str, content: bytes, chance: random.Random) -> bytes:
    """Return a neighbour of a file: of its structure where that is known, else of its bytes."""
    if name.endswith(".json") and chance.random() < 0.6:
        try:
            return json.dumps(changed_json(json.loads(content), chance)).encode()
        except ValueError:
            pass
    if name.endswith(".json") and chance.random() < 0.01:
        return b"[" * 200_000
    if name.endswith(".safetensors") and chance.random() < 0.6:
        size = int.from_bytes(content[:8], "little")
        header = json.dumps(changed_json(json.loads(content[8 : 8 + size]), chance)).encode()
        return len(header).to_bytes(8, "little") + header + content[8 + size :]
    return mutated(content, chance)
