"""Whether a picture is touched at all: a remover with the threshold that keeps an asked rate."""

from dataclasses import dataclass

from lineament.core.arrays import ImageArray
from lineament.demesh.base import MeshFinding, MeshRemover, Restoration


@dataclass(frozen=True, slots=True)
class MeshGate:
    """Touches pictures whose mesh is sure enough.

    Attributes:
        remover: finds meshes and takes them off.
        id: of the remover and its scale of scores; what was measured on restored pictures belongs to one id.
        threshold: a picture counts as meshed when its score is at least this.
        rate: share of clean pictures that the threshold takes for meshed at most, a fraction.
        record: name of the calibration record of the threshold.
    """

    remover: MeshRemover
    id: str
    threshold: float
    rate: float
    record: str

    def restore(self, pixels: ImageArray) -> Restoration:
        """What the remover makes of one (H, W, 3) uint8 RGB picture, meshed or not."""
        (restoration,) = self.remover.restore([pixels])
        return restoration

    def is_meshed(self, finding: MeshFinding) -> bool:
        """True when the finding is sure enough for the picture to be touched."""
        return finding.score >= self.threshold
