"""Whether a profile can run on this machine, and what to do when it cannot. Nothing is loaded or fetched."""

from dataclasses import dataclass

from lineament.core.errors import ModelError, RuntimeUnavailable
from lineament.demesh import remover_id
from lineament.embedding import space_id
from lineament.zoo.calibration import load_calibration
from lineament.zoo.licence import is_accepted
from lineament.zoo.manifest import Manifest, find_model
from lineament.zoo.mesh_record import load_mesh_record
from lineament.zoo.options import FetchOptions
from lineament.zoo.profiles import Profile
from lineament.zoo.session import Runtime
from lineament.zoo.verify import whereabouts


@dataclass(frozen=True, slots=True)
class ProfileHealth:
    """What was found for one profile.

    Attributes:
        name: the profile.
        space: id of its embedding space.
        smallest_fmr: smallest false match rate that its calibration record supports; None without a record.
        problems: what stands in the way, each a sentence that says what to do; empty when it can run.
    """

    name: str
    space: str
    smallest_fmr: float | None
    problems: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        """True when nothing stands in the way."""
        return not self.problems


def check_profile(profile: Profile, options: FetchOptions, runtime: Runtime | None = None) -> ProfileHealth:
    """Look for everything that a profile needs.

    Args:
        profile: models and rules.
        options: where weights are looked for; no source is asked.
        runtime: what the networks would be run with.
    """
    base, _, option = profile.embedder.partition("+")
    manifests = [find_model(profile.detector), find_model(base)]
    problems = [problem for m in manifests for problem in _model_problems(m, options)]
    decided = runtime or Runtime()
    try:
        Runtime(decided.backend, decided.provider, profile.precision, decided.threads).resolved()
    except RuntimeUnavailable as error:
        problems.append(str(error))
    space = space_id(manifests[1], profile.precision, option == "flip")
    smallest: float | None = None
    try:
        smallest = load_calibration(space).smallest_fmr
    except ModelError as error:
        problems.append(str(error))
    problems += _mesh_problems(profile, space, options)
    return ProfileHealth(profile.name, space, smallest, tuple(problems))


def _mesh_problems(profile: Profile, space: str, options: FetchOptions) -> list[str]:
    """What keeps the profile from taking meshes off references, and from deciding about restored ones."""
    if not profile.mesh_remover:
        return []
    found = []
    try:
        manifest = find_model(profile.mesh_remover, "restore")
        found += _model_problems(manifest, options)
        remover = remover_id(manifest, "f32")
        load_mesh_record(remover).row(profile.clean_touched_rate)
        load_calibration(f"{space}~{remover}")
    except ModelError as error:
        found.append(str(error))
    return found


def _model_problems(manifest: Manifest, options: FetchOptions) -> list[str]:
    found = []
    if not is_accepted(manifest):
        found.append(
            f"{manifest.name} is not for commercial use and its terms are not accepted; if your use is allowed, run "
            f'"lineament models accept {manifest.name}"'
        )
    where = whereabouts(manifest, options)
    if where in {"fetch", "absent"}:
        found.append(f"weights of {manifest.name} are not on this machine; {how_to_get(manifest)}")
    return found


def how_to_get(manifest: Manifest) -> str:
    """What to do to have a model's weights."""
    if all(w.sources for w in manifest.weights):
        return f'run "lineament models fetch {manifest.name}"'
    files = ", ".join(w.file for w in manifest.weights)
    return f"put {files} into a folder and set LINEAMENT_WEIGHTS to it"
