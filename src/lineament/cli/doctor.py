"""``lineament doctor``: what is installed, what is missing, what to do about it."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli.common import BACKEND, PROFILE, THREADS
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from lineament.pipeline.health import ProfileHealth
    from lineament.zoo.options import FetchOptions

PACKAGES = (
    ("numpy", ""),
    ("onnxruntime", ""),
    ("opencv-python-headless", ""),
    ("pillow", ""),
    ("faiss-cpu", ""),
    ("openvino", "openvino"),
    ("pillow-heif", "heif"),
    ("matplotlib", "plots"),
)
"""Packages that take part, with the extra that installs them when they are optional."""
CPU_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def doctor(
    profile: str = PROFILE,
    backend: str = BACKEND,
    threads: int = THREADS,
    online: bool = typer.Option(False, "--online", help="Also ask whether the package index answers."),
    as_json: bool = JsonFlag,
) -> None:
    """Look at this installation: versions, runtime, weights, licences, calibration, cache.

    Exit code 0 when the profile can run, 5 when something is missing; what to do is printed last.

    Example: lineament doctor --online
    """
    from lineament.pipeline.health import check_profile
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.profiles import find_profile, list_profiles
    from lineament.zoo.session import Runtime

    wanted = find_profile(profile)
    options = FetchOptions.from_environment()
    runtime = Runtime(backend, threads=threads)  # type: ignore[arg-type]  # checked by the option's callback
    checked = {
        name: check_profile(wanted if name == profile else found, options, runtime)
        for name, found in ({profile: wanted} | list_profiles()).items()
    }
    found: dict[str, Any] = {
        "versions": _versions(),
        "runtime": _runtime(runtime),
        "cache": _cache(options),
        "models": _models(options),
        "profiles": [_profile(health) for health in checked.values()],
        "environment": _environment(),
    }
    if online:
        found["package_index"] = _index()
    health = checked[profile]
    found |= {"profile": profile, "ready": health.is_ready, "problems": list(health.problems)}
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not health.is_ready:
        raise typer.Exit(Exit.MODEL)


def _versions() -> dict[str, str]:
    """Version by package; absent ones say how to install them."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "lineament": version("lineament")}
    for package, extra in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            install = f"lineament[{extra}]" if extra else package
            found[package] = f'not installed; pip install "{install}"'
    return found


def _runtime(runtime: Any) -> dict[str, Any]:
    from lineament.core.errors import RuntimeUnavailable
    from lineament.evaluation.machine import this_machine

    machine = this_machine()
    facts: dict[str, Any] = {
        "processor": machine.processor,
        "cores": machine.cores,
        "system": machine.system,
        "cpu_features": _cpu_features(),
    }
    try:
        decided = runtime.resolved()
    except RuntimeUnavailable as error:
        return facts | {"fault": str(error)}
    bf16 = decided.backend == "openvino" and any("bf16" in f for f in facts["cpu_features"])
    return facts | {
        "backend": decided.backend,
        "provider": decided.provider,
        "precision": decided.precision,
        "threads": decided.threads,
        "bf16": bf16,
    }


def _cpu_features() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return [feature for feature in CPU_FEATURES if feature in flags]


def _cache(options: "FetchOptions") -> dict[str, Any]:
    there = next(folder for folder in (options.cache, *options.cache.absolute().parents) if folder.is_dir())
    return {
        "folder": str(options.cache),
        "exists": options.cache.is_dir(),
        "writable": os.access(there, os.W_OK),
        "free_bytes": shutil.disk_usage(there).free,
        "weights_folders": [str(folder) for folder in options.folders],
        "offline": options.offline,
    }


def _models(options: "FetchOptions") -> list[dict[str, Any]]:
    from lineament.pipeline.health import how_to_get
    from lineament.zoo.licence import is_accepted
    from lineament.zoo.manifest import list_models
    from lineament.zoo.verify import whereabouts

    found = []
    for manifest in list_models().values():
        where = whereabouts(manifest, options)
        present = where in {"cache", "folder"}
        found.append(
            {
                "name": manifest.name,
                "task": manifest.task,
                "present": present,
                "where": where,
                "commercial_use": manifest.licence.commercial_use,
                "terms_accepted": is_accepted(manifest),
                "how_to_get": "" if present else how_to_get(manifest),
            }
        )
    return found


def _profile(health: "ProfileHealth") -> dict[str, Any]:
    return {
        "name": health.name,
        "ready": health.is_ready,
        "space": health.space,
        "smallest_fmr": health.smallest_fmr,
        "problems": list(health.problems),
    }


def _environment() -> dict[str, Any]:
    """Settings by environment variable, and whether the gallery they name is there."""
    from lineament.gallery.keys import KEY_VARIABLE

    gallery = os.environ.get("LINEAMENT_GALLERY", "")
    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith("LINEAMENT_")}
    return {
        "settings": settings | dict.fromkeys(settings.keys() & {KEY_VARIABLE}, "set, not shown"),
        "gallery": gallery or None,
        "gallery_exists": Path(gallery).is_file() if gallery else None,
    }


def _index() -> list[dict[str, Any]]:
    """Each index of pip's settings: does it know the package of the default detector?"""
    from lineament.zoo.files import SourceFailed
    from lineament.zoo.index import locate, places
    from lineament.zoo.manifest import PackageSource, find_model
    from lineament.zoo.pip_settings import read_pip_settings
    from lineament.zoo.profiles import find_profile
    from lineament.zoo.web import Web

    manifest = find_model(find_profile("open").detector)
    source = next(s for w in manifest.weights for s in w.sources if isinstance(s, PackageSource))
    try:
        settings = read_pip_settings()
    except SourceFailed as error:
        return [{"place": "pip's settings", "answers": False, "said": str(error)}]
    answers = []
    for place in places(settings):
        try:
            with Web(settings) as web:
                locate(place, source, web)
            said, works = f"has {source.archive}", True
        except SourceFailed as error:
            said, works = str(error), False
        answers.append({"place": place.shown, "answers": works, "said": said})
    return answers


def _show(found: dict[str, Any]) -> None:
    print_pairs(found["versions"].items())
    print()
    runtime, cache = found["runtime"], found["cache"]
    print_pairs(
        [
            ("processor", f"{runtime['processor']}, {runtime['cores']} cores, {runtime['system']}"),
            ("processor features", ", ".join(runtime["cpu_features"]) or "none of interest"),
            ("networks run on", _engine(runtime)),
            ("cache", _cache_line(cache)),
            ("weights folders", ", ".join(cache["weights_folders"]) or "none (LINEAMENT_WEIGHTS)"),
            ("gallery", _gallery_line(found["environment"])),
            *((f"index {i['place']}", i["said"]) for i in found.get("package_index", ())),
        ]
    )
    print_table(
        ("model", "task", "weights", "terms", "to get it"),
        [
            (
                m["name"],
                m["task"],
                m["where"],
                "free" if m["commercial_use"] else "accepted" if m["terms_accepted"] else "not accepted",
                m["how_to_get"],
            )
            for m in found["models"]
        ],
    )
    print_table(
        ("profile", "embedding space", "calibrated down to FMR", "can run"),
        [
            (
                p["name"],
                p["space"],
                "no record" if p["smallest_fmr"] is None else f"{p['smallest_fmr']:.3g}",
                "yes" if p["ready"] else "no",
            )
            for p in found["profiles"]
        ],
    )
    for problem in found["problems"]:
        print(f"- {problem}")
    print(f"profile {found['profile']} " + ("can run" if found["ready"] else "cannot run yet: see above"))


def _engine(runtime: dict[str, Any]) -> str:
    if "fault" in runtime:
        return str(runtime["fault"])
    bf16 = "; bf16 possible" if runtime["bf16"] else ""
    return f"{runtime['backend']}, {runtime['provider']}, {runtime['precision']}, {runtime['threads']} threads{bf16}"


def _cache_line(cache: dict[str, Any]) -> str:
    state = "" if cache["exists"] else ", not made yet"
    state += "" if cache["writable"] else ", CANNOT BE WRITTEN (set LINEAMENT_CACHE)"
    return f"{cache['folder']}, {cache['free_bytes'] / 1e9:.1f} GB free{state}"


def _gallery_line(environment: dict[str, Any]) -> str:
    if environment["gallery"] is None:
        return "none named (LINEAMENT_GALLERY)"
    return f"{environment['gallery']}, {'there' if environment['gallery_exists'] else 'not made yet'}"
