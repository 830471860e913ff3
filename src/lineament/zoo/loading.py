"""From a model's name to an object that works: manifest, weights, sessions, factory."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from lineament.zoo.licence import check_licence
from lineament.zoo.manifest import Manifest, Task, find_model
from lineament.zoo.session import Runtime, Session, open_session
from lineament.zoo.store import ensure_weights


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A manifest with its networks, as a factory gets it.

    Attributes:
        manifest: the model's data.
        sessions: one loaded network for each role of the manifest's weights.
    """

    manifest: Manifest
    sessions: Mapping[str, Session]

    @property
    def session(self) -> Session:
        """The network of a model that has only one."""
        (session,) = self.sessions.values()
        return session

    @property
    def precision(self) -> str:
        """Arithmetic of the networks: "f32" or "bf16"."""
        return next(iter(self.sessions.values())).runtime.precision


def load_model(name: str, task: Task, runtime: Runtime | None = None) -> LoadedModel:
    """Get the weights of a model, from wherever the first source has them, and load its networks.

    Args:
        name: a name of the registry.
        task: the capability that asks.
        runtime: how to run it; the default decides for this machine.

    Raises:
        ModelNotFound: no such model for the task.
        LicenceNotAccepted: non-commercial weights without acceptance.
        WeightsMissing: no source has the file.
        WeightsCorrupt: a digest or golden vector does not agree.
        RuntimeUnavailable: the runtime cannot be had here.
    """
    manifest = find_model(name, task)
    check_licence(manifest)
    runtime = (runtime or Runtime()).resolved()
    sessions = {
        role: open_session(file.path, runtime, file.prepared)
        for role, file in ensure_weights(manifest).items()
    }
    return LoadedModel(manifest, sessions)


def build(name: str, task: Task, runtime: Runtime | None = None) -> object:
    """The object that the manifest's factory makes from the loaded model; raises what :func:`load_model` does."""
    loaded = load_model(name, task, runtime)
    module, _, attribute = loaded.manifest.factory.partition(":")
    made: object = getattr(import_module(module), attribute)(loaded)
    return made
