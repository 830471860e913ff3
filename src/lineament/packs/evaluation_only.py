"""Sets that are measured on and therefore never trained on."""

import re
from pathlib import Path

from lineament.core.errors import ConfigError

EVALUATION_ONLY = ("lfw",)
"""Their packs are called so, or so with ".", "_" or "-" and more behind it."""
_NAME = re.compile(rf"({'|'.join(EVALUATION_ONLY)})([._-].*)?", re.IGNORECASE)


def refuse_evaluation_sets(path: Path) -> None:
    """Say no to training on a pack of an evaluation set.

    Raises:
        ConfigError: the file or its folder has such a name.
    """
    if any(_NAME.fullmatch(part) for part in path.parts[-2:]):
        raise ConfigError(f"data.pack {path}: LFW is for evaluation only; its people must not be trained on")
