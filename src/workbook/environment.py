"""Make or refresh ``.venv``. ``make`` runs this file by its path, with any Python, before anything is installed.

So it imports the standard library alone, and each thing that can go wrong ends in one sentence that says what to do.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
#: Free disk that an install needs, by build of torch: the default build for Linux brings the CUDA libraries.
DISK_BYTES = {"cpu": 4e9, "default": 12e9}
STAMP = ".installed"


class SetupError(Exception):
    """What stops the set-up, in one sentence, with what to do about it."""


def check_python(version: tuple[int, ...] = sys.version_info[:3], executable: str = sys.executable) -> None:
    if version[:2] < OLDEST_PYTHON:
        found = ".".join(map(str, version[:2]))
        raise SetupError(
            f"Python 3.11 or newer is needed, and {executable} is {found}. Install one and name it: make book PYTHON=/path/to/python3.11"
        )


def check_disk(folder: Path, need: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < need:
        raise SetupError(
            f"The install needs about {need / 1e9:.0f} GB of disk and {folder} has {free / 1e9:.1f} GB free: "
            "make room, or clone to a larger disk."
        )


def fingerprint(root: Path, torch: str) -> str:
    """Changes when an install would: with the requirements, the project's metadata, the build of torch, or the folder."""
    digest = hashlib.sha256(f"{torch} {root} {platform.python_version()}".encode())
    for name in ("requirements.txt", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def torch_requirement(root: Path) -> str:
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split("#")[0].strip() for line in lines if line.startswith("torch=="))


def install(root: Path, venv: Path, torch: str) -> None:
    python = str(venv / "bin" / "python")

    def pip(*args: str) -> int:
        return subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *args]).returncode

    if not Path(python).exists():
        check_disk(root, DISK_BYTES[torch])
        print(f"Making the virtual environment {venv}", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(venv)]).returncode:
            shutil.rmtree(venv, ignore_errors=True)
            raise SetupError(f"{sys.executable} cannot make a virtual environment: on Debian and Ubuntu, apt-get install python3-venv.")

    if platform.system() == "Linux":
        swap_torch(root, python, torch, pip)
    print("Installing requirements.txt", flush=True)
    if pip("install", "--quiet", "--progress-bar", "off", "-r", str(root / "requirements.txt")):
        raise SetupError(
            "pip could not install requirements.txt: if the lines above speak of a connection, connect to the network "
            "(or set PIP_INDEX_URL to a mirror that you reach) and run the same command again; what is installed is kept."
        )
    if pip("install", "--quiet", "--no-deps", "--editable", str(root)):
        raise SetupError("pip could not install the project itself: the lines above say why.")


def swap_torch(root: Path, python: str, torch: str, pip: Callable[..., int]) -> None:
    """Put the wanted build of torch in place before the rest, which then finds its ``torch==`` satisfied.

    PyPI's torch for Linux brings several GB of CUDA libraries; PyTorch's own index has the CPU build. It is asked for torch
    alone, few times and briefly, so that a machine that cannot reach it goes on with what pip finds elsewhere.
    """
    show = "import importlib.metadata as m; print(m.version('torch'))"
    have = subprocess.run([python, "-c", show], capture_output=True, text=True).stdout.strip()
    is_cpu = have.endswith("+cpu")
    wanted = torch_requirement(root)
    if have and is_cpu != (torch == "cpu"):
        pip("uninstall", "--quiet", "--yes", "torch")
    elif have.split("+")[0] == wanted.split("==")[1]:
        return
    if torch == "cpu":
        print("Installing the CPU build of torch (TORCH=default takes the build for NVIDIA GPUs)", flush=True)
        if pip("install", "--no-deps", "--retries", "1", "--timeout", "15", "--index-url", CPU_INDEX, wanted):
            print(f"{CPU_INDEX} cannot be reached: taking the build of torch that your package index has.", flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", choices=sorted(DISK_BYTES), default="cpu", help="which build of torch")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    args = parser.parse_args(argv)
    try:
        check_python()
        stamp, wanted = args.venv / STAMP, fingerprint(ROOT, args.torch)
        if not (stamp.exists() and stamp.read_text() == wanted):
            install(ROOT, args.venv, args.torch)
            stamp.write_text(wanted)
    except SetupError as error:
        print(f"make: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
