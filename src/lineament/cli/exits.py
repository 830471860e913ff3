"""Exit codes of the command line; scripts may rely on them.

====  ==========================================================================
code  meaning
====  ==========================================================================
0     done; match; somebody was found
1     no match; nobody was found
2     wrong use: unknown command or option, settings with faults
3     refused: no face, several faces, a face that is too small or unclear
4     input cannot be used: missing, unreadable or too large file
5     model, weights, licence or runtime
6     gallery
7     the asked rate is not supported by the calibration, or there is none
8     undecided: a similarity within the 95 % interval of the threshold
70    a fault of the program itself
130   interrupted
====  ==========================================================================
"""

from enum import IntEnum
from typing import TYPE_CHECKING

from lineament.core.errors import (
    ConfigError,
    GalleryError,
    LineamentError,
    ModelError,
    NotCalibrated,
)

if TYPE_CHECKING:
    from lineament.core.types import Decision


class Exit(IntEnum):
    """What the process tells its caller."""

    DONE = 0
    NO_MATCH = 1
    USAGE = 2
    REFUSED = 3
    INPUT = 4
    MODEL = 5
    GALLERY = 6
    NOT_CALIBRATED = 7
    UNDECIDED = 8
    FAULT = 70
    INTERRUPTED = 130


def exit_for(error: LineamentError | OSError) -> Exit:
    """The exit code of an error; files that cannot be read or written count as input."""
    kinds = (
        (NotCalibrated, Exit.NOT_CALIBRATED),
        (ModelError, Exit.MODEL),
        (GalleryError, Exit.GALLERY),
        (ConfigError, Exit.USAGE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), Exit.INPUT)


def exit_of(decision: "Decision") -> Exit:
    """The exit code of a decision."""
    return {"match": Exit.DONE, "no_match": Exit.NO_MATCH, "undecided": Exit.UNDECIDED}[decision]
