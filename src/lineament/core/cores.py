"""How many processor cores there are to use."""

import os


def usable_cores() -> int:
    """Cores that this process may use; where the system does not tell, all of the machine. At least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
