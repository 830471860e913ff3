"""Every model of the registry is complete: factory, converter, golden vectors, licences, sources."""

from importlib import import_module

import pytest

from lineament.demesh import remover_id
from lineament.embedding import space_id
from lineament.zoo.calibration import load_calibration
from lineament.zoo.golden import read_golden
from lineament.zoo.manifest import Manifest, find_model, list_models
from lineament.zoo.mesh_record import load_mesh_record
from lineament.zoo.profiles import Profile, list_profiles

MODELS = list(list_models().values())
PROFILES = list(list_profiles().values())


def resolve(target: str) -> object:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("manifest", MODELS, ids=lambda m: m.name)
def test_factory_and_converters_exist(manifest: Manifest) -> None:
    assert callable(resolve(manifest.factory))
    assert all(callable(resolve(w.convert)) for w in manifest.weights if w.convert)


@pytest.mark.parametrize("manifest", MODELS, ids=lambda m: m.name)
def test_golden_vectors_are_there_for_every_network(manifest: Manifest) -> None:
    assert manifest.golden is not None
    roles = {key.split("/")[0] for key in read_golden(manifest)}
    assert roles == {w.role for w in manifest.weights}


@pytest.mark.parametrize("manifest", MODELS, ids=lambda m: m.name)
def test_our_figures_name_their_report(manifest: Manifest) -> None:
    assert [m for m in manifest.metric if m.measured_by == "us" and not m.report] == []


@pytest.mark.parametrize("manifest", MODELS, ids=lambda m: m.name)
def test_three_licence_answers(manifest: Manifest) -> None:
    assert all((manifest.licence.code, manifest.licence.weights, manifest.licence.data))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_profiles_name_models_of_the_registry(profile: Profile) -> None:
    assert find_model(profile.detector, "detection").name == profile.detector
    assert find_model(profile.embedder.partition("+")[0], "embedding").dimension > 0
    if profile.mesh_remover:
        assert find_model(profile.mesh_remover, "restore").name == profile.mesh_remover


@pytest.mark.parametrize("profile", [p for p in PROFILES if p.mesh_remover], ids=lambda p: p.name)
def test_removers_of_profiles_are_calibrated_and_so_are_restored_references(profile: Profile) -> None:
    remover = remover_id(find_model(profile.mesh_remover), "f32")
    assert load_mesh_record(remover).row(profile.clean_touched_rate).missed < 0.05
    name, plus, _ = profile.embedder.partition("+")
    space = space_id(find_model(name), profile.precision, flip=bool(plus))
    assert load_calibration(f"{space}~{remover}").point(1e-3).threshold > 0


def test_open_profile_may_be_used_commercially_and_comes_in_package_files() -> None:
    profile = list_profiles()["open"]
    for name in (profile.detector, profile.embedder.partition("+")[0]):
        manifest = find_model(name)
        assert manifest.licence.commercial_use
        assert all(any(s.kind == "package" for s in w.sources) for w in manifest.weights)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_every_profile_is_calibrated(profile: Profile) -> None:
    name, plus, _ = profile.embedder.partition("+")
    space = space_id(find_model(name), profile.precision, flip=bool(plus))
    assert load_calibration(space).space == space
