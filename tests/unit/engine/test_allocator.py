"""The allocator keeps what was freed as long as it is told to, in a process of its own."""

import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
from lineament.engine.allocator import freed_memory_kept

def resident_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS:"))

def use():
    blocks = [np.ones(24 * 2**20, np.uint8) for _ in range(10)]
    del blocks

before = resident_mib()
with freed_memory_kept():
    use()
    kept = resident_mib() - before
    use()
    again = resident_mib() - before
print(kept, again, resident_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_memory_is_kept_until_the_end_and_then_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    kept, again, after = map(int, done.stdout.split())
    assert 230 <= kept <= 280
    assert abs(again - kept) < 20
    assert after < 40
