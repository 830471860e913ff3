"""A calibration record that rests on nothing, for tests of what is done with one."""

from collections.abc import Mapping

from lineament.zoo.calibration import CalibrationRecord, CalibrationRow
from lineament.zoo.records import CalibrationData


def made_up_record(
    space: str, thresholds: Mapping[float, float], half_width: float = 0.01, n_nonmated: int = 100_000
) -> CalibrationRecord:
    """A record with the given thresholds.

    Args:
        space: id of the embedding space.
        thresholds: threshold of each false match rate, largest rate first.
        half_width: half of each threshold's interval.
        n_nonmated: non-mated comparisons that the record claims.
    """
    return CalibrationRecord(
        name="made up",
        space=space,
        protocol="made up for a test",
        data=(CalibrationData(name="none", digest="0" * 64),),
        n_subjects=500,
        n_images=1000,
        n_refused=0,
        n_mated=500,
        n_nonmated=n_nonmated,
        llr_slope=20.0,
        llr_offset=-12.0,
        cllr=0.1,
        min_cllr=0.1,
        seed=0,
        replicates=100,
        rows=tuple(
            CalibrationRow(
                fmr=fmr,
                threshold=t,
                low=t - half_width,
                high=t + half_width,
                fnmr=0.1,
                fnmr_low=0,
                fnmr_high=0.2,
            )
            for fmr, t in thresholds.items()
        ),
    )
