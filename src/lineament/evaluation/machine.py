"""What a measurement ran on: processor, cores, versions. Never names of machines or people."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lineament.core.cores import usable_cores

_PACKAGES = ("lineament", "numpy", "onnxruntime", "openvino", "opencv-python-headless", "pillow", "faiss-cpu")


@dataclass(frozen=True, slots=True)
class Machine:
    """Hardware and software behind a figure.

    Attributes:
        processor: model name of the processor.
        cores: logical cores that this process may use.
        system: operating system and architecture.
        versions: Python and the packages that take part, by name; absent ones are left out.
    """

    processor: str
    cores: int
    system: str
    versions: dict[str, str]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def this_machine() -> Machine:
    """Facts about the machine that runs this."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return Machine(_processor(), usable_cores(), f"{platform.system()} {platform.machine()}", versions)
