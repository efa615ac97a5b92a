from __future__ import annotations

import subprocess
import sys

import pytest

from featlab.memory import available_memory

GIB = 1 << 30


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_what_ulimit_leaves_is_what_there_is() -> None:
    free = available_memory()
    assert free is not None
    assert free > 0
    code = "from featlab.memory import available_memory; print(available_memory())"
    line = f"ulimit -v {GIB // 1024}; exec {sys.executable} -c '{code}'"
    left = int(subprocess.check_output(["bash", "-c", line]))
    assert min(free, GIB // 4) < left < GIB
