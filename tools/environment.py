"""Set striate up in its own folder: .venv/, the compiled library and the data, each made once.

The commands in tools/ call this file with the system's Python, so it needs nothing but the standard
library. What can be had without root is had so; what cannot is installed as root, or named.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import command_options

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
BUILD = ROOT / "build"
OLDEST_PYTHON = (3, 9)
OLDEST_CMAKE = (3, 25)


class MustInstall(Exception):
    """Something is missing that only the user can install; the text is the line to type."""


class Failed(Exception):
    """A step of the set-up failed; its output has been printed."""

    def __init__(self, text: str, code: int = 1):
        super().__init__(text)
        self.code = code


# --- printing and running -------------------------------------------------------------------------


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Print what is done now, and its seconds after it."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    yield
    print(f"   {time.monotonic() - start:.1f} s", flush=True)


def environment() -> dict[str, str]:
    """Return the variables for child processes: the tools of .venv/ first, the cache named."""
    path = f"{VENV / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    variables = {**os.environ, "PATH": path, "STRIATE_CACHE": str(cache())}
    variables.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return variables


def run(command: list, quiet: bool = True, **options) -> str:
    """Run a command; when it fails, show what it printed and raise Failed."""
    words = [str(word) for word in command]
    where = subprocess.PIPE if quiet else None
    result = subprocess.run(
        words, stdout=where, stderr=subprocess.STDOUT, text=True, env=environment(), **options
    )
    if result.returncode != 0:
        print(result.stdout or "", end="")
        text = f"failed with exit code {result.returncode}: {' '.join(words)}"
        raise Failed(text, result.returncode)
    return result.stdout or ""


def cache() -> Path:
    """Return the folder for what is fetched once: STRIATE_CACHE or the user's cache folder."""
    named = os.environ.get("STRIATE_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "striate"


# --- what only the system's package manager can give ----------------------------------------------


def missing_system_packages() -> dict[str, str]:
    """Name what is missing as {what: Debian package}."""
    missing = {}
    if not (os.environ.get("CXX") or shutil.which("g++")):
        missing["g++"] = "g++"
    show = "import sysconfig; print(sysconfig.get_path('include'))"
    include = run([PYTHON if venv_works() else sys.executable, "-c", show]).strip()
    if not Path(include, "Python.h").exists():
        missing["the Python headers"] = "python3-dev"
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        missing["venv"] = "python3-venv"
    return missing


def need_system_packages(no_apt: bool) -> None:
    """Install what is missing where that is allowed, else raise MustInstall."""
    missing = missing_system_packages()
    if not missing:
        return
    if shutil.which("apt-get") and os.geteuid() == 0 and not no_apt:
        packages = list(missing.values())
        with stage(f"installing {', '.join(missing)}: apt-get install {' '.join(packages)}"):
            run(["apt-get", "update", "-q"])
            os.environ["DEBIAN_FRONTEND"] = "noninteractive"
            run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages])
        return
    raise must_install(missing, "gcc-c++ python3-devel python3-pip")


def must_install(missing: dict[str, str], fedora: str) -> MustInstall:
    """Make the error that names what is missing and the one line to type."""
    line = f"apt-get install -y {' '.join(missing.values())}"
    if not shutil.which("apt-get"):
        line = f"dnf install -y {fedora}"
    root = "" if os.geteuid() == 0 else "sudo "
    return MustInstall(f"{', '.join(missing)} must be installed first:\n{root}{line}")


# --- .venv/ ---------------------------------------------------------------------------------------


def project_list(name: str) -> list[str]:
    """Read a list of requirements from pyproject.toml (tomllib came only with Python 3.11)."""
    text = (ROOT / "pyproject.toml").read_text()
    return ast.literal_eval(re.search(rf"^{name} = (\[.*?\])$", text, re.S | re.M).group(1))


def requirements(extras: list[str]) -> list[str]:
    """List what .venv/ must hold: the project's own requirements and what the system lacks."""
    wanted = [need for need in project_list("requires") if need.startswith("pybind11")]
    wanted += project_list("dependencies")
    for extra in extras:
        wanted += project_list(extra)
    cmake = shutil.which("cmake")
    said = subprocess.run([cmake, "--version"], capture_output=True, text=True) if cmake else None
    version = re.search(r"version (\d+)\.(\d+)", said.stdout) if said else None
    if not version or tuple(map(int, version.groups())) < OLDEST_CMAKE:
        wanted.append("cmake>=3.25")
    if not shutil.which("ninja"):
        wanted.append("ninja")
    return wanted


def venv_works() -> bool:
    """Say whether .venv/ is there, new enough and not a copy from another place."""
    check = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    return PYTHON.exists() and not subprocess.run([PYTHON, "-c", check]).returncode


def make_venv(extras: list[str]) -> None:
    """Make .venv/ and install what is not in it yet."""
    if not venv_works():
        with stage(f"making .venv/ with Python {sys.version.split()[0]}"):
            run([sys.executable, "-m", "venv", "--clear", VENV])
    stamp = VENV / "installed-requirements.txt"
    present = stamp.read_text().split("\n") if stamp.exists() else []
    missing = [need for need in requirements(extras) if need not in present]
    if missing:
        with stage(f"installing {', '.join(missing)}"):
            run([PYTHON, "-m", "pip", "install", "--quiet", *missing])
        stamp.write_text("\n".join(present + missing))
    # The package is imported from where it lies; its compiled module is built into that folder.
    (packages,) = VENV.glob("lib/python3*/site-packages")
    (packages / "striate.pth").write_text(f"{ROOT / 'python'}\n")


# --- the library ----------------------------------------------------------------------------------


def jobs() -> str:
    return str(len(os.sched_getaffinity(0)))


def configure(folder: Path, *options: str) -> None:
    """Run CMake; a folder that was configured before keeps its generator and its choices."""
    command = ["cmake", "-S", ROOT, "-B", folder, f"-DPython_EXECUTABLE={PYTHON}", *options]
    for name in ("STRIATE_ONEDNN", "STRIATE_CUDA", "STRIATE_CUDA_ARCHITECTURES"):
        if name in os.environ:
            command.append(f"-D{name}={os.environ[name]}")
    if (cache() / "googletest").exists():
        command.append(f"-DGTest_ROOT={cache() / 'googletest'}")
    cached = folder / "CMakeCache.txt"
    if cached.exists() and f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" not in cached.read_text():
        shutil.rmtree(folder)  # the clone was moved or copied: every path in it is wrong
    ninja = shutil.which("ninja", path=environment()["PATH"])  # absent only by verify-gpu --system
    if ninja and (not cached.exists() or "GENERATOR:INTERNAL=Ninja" in cached.read_text()):
        command += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    said = run(command)
    for line in re.findall(r"^-- ((?:oneDNN|CUDA|Python module|C\+\+ tests).*)", said, re.M):
        print(f"   {line}", flush=True)


def compile_targets(folder: Path, *targets: str) -> None:
    run(["cmake", "--build", folder, "-j", jobs(), "--target", *targets], quiet=False)


def build_library() -> None:
    """Compile the library and the Python module into build/; only what changed the next time."""
    with stage("compiling the library and the Python module"):
        configure(BUILD, "-DSTRIATE_PYTHON=ON")
        compile_targets(BUILD, "striate", "_striate")


# --- CUDA -----------------------------------------------------------------------------------------

CUDA_VERSION = 13
# NVIDIA's compiler from PyPI; the first brings the device libraries and headers that it needs,
# Thrust and CUB come by name only.
CUDA_PACKAGES = ["nvidia-cuda-nvcc>=13", "nvidia-cuda-cccl>=13"]
EMULATOR = BUILD / "emulator" / f"libcudart.so.{CUDA_VERSION}"


def cuda_compiler() -> Path:
    """Return nvcc of CUDA 13: the machine's, or the one in .venv/, fetched the first time."""
    named = [os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"]
    for nvcc in named:
        if nvcc and Path(nvcc).exists():
            said = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
            version = re.search(r"release (\d+)", said)
            if version and int(version.group(1)) >= CUDA_VERSION:
                return Path(nvcc)
    found = list(VENV.glob("lib/python3*/site-packages/nvidia/cu13/bin/nvcc"))
    if not found:
        with stage("downloading 130 MB of CUDA compiler"):
            run([PYTHON, "-m", "pip", "install", "--quiet", *CUDA_PACKAGES])
        found = list(VENV.glob("lib/python3*/site-packages/nvidia/cu13/bin/nvcc"))
    return found[0]


def build_cuda(*targets: str) -> None:
    """Compile the CUDA plug-in and the stand-in runtime that executes it without a GPU."""
    nvcc = cuda_compiler()
    with stage("compiling the CUDA plug-in and the emulator"):
        # The machine's own nvcc CMake has found by itself; to name it anew would empty its cache.
        ours = [f"-DCMAKE_CUDA_COMPILER={nvcc}"] if nvcc.is_relative_to(VENV) else []
        configure(BUILD, "-DSTRIATE_CUDA=on", "-DSTRIATE_EMULATOR=ON", *ours)
        compile_targets(BUILD, "striate_cuda", "emulator_runtime", *targets)


# --- what the package itself fetches into the cache -----------------------------------------------


def fetch_fashion_mnist() -> None:
    """Have the package find Fashion-MNIST, or fetch it from Debian's package the first time."""
    code = """
import striate, sys
try:
    striate.data.fashion_mnist()
except striate.FileError as error:
    print(error)
    sys.exit(3)"""
    with stage("Fashion-MNIST (31 MB to fetch where this machine has none)"):
        try:
            run([PYTHON, "-c", code])
        except Failed as failure:
            # The message of the package says what to type.
            if failure.code == 3:
                raise MustInstall("Fashion-MNIST must be had first, see above") from None
            raise


def fetch_googletest() -> None:
    """Fetch GoogleTest's headers and archives into the cache where the system has none."""
    installed = any(Path(p, "include/gtest/gtest.h").exists() for p in ("/usr", "/usr/local"))
    folder = cache() / "googletest"
    if installed or folder.exists():
        return
    call = f"unpack_package('libgtest-dev', 'usr', Path({str(folder)!r}), Path.iterdir)"
    with stage(f"fetching GoogleTest to {folder}"):
        try:
            run([PYTHON, "-c", f"from pathlib import Path\n"
                 f"from striate.data.debian import unpack_package\n{call}"])  # fmt: skip
        except Failed:
            raise must_install({"GoogleTest": "libgtest-dev"}, "gtest-devel") from None


# --- all of it ------------------------------------------------------------------------------------


def set_up(no_apt: bool = False, extras: tuple[str, ...] = ("view",)) -> None:
    """Make everything that a command needs; what is there already is kept."""
    if sys.version_info < OLDEST_PYTHON:
        raise MustInstall("Python 3.9 or newer must be installed first, and be python3 in PATH")
    if not os.access(ROOT, os.W_OK):
        raise Failed(f"{ROOT} cannot be written by this user; clone into a folder of your own")
    need_system_packages(no_apt)
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "set-up.lock", "w") as lock:  # two commands at once take turns
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_venv(list(extras))
        build_library()
        fetch_fashion_mnist()


def run_main(main) -> None:
    """Turn what a command raises into the exit codes that all commands share."""
    try:
        code = main()
    except MustInstall as missing:
        print(missing, file=sys.stderr)
        code = 3
    except Failed as failure:
        print(failure, file=sys.stderr)
        code = 1
    except OSError as error:  # a full disk, a folder of another user
        print(f"{error.strerror}: {error.filename or ROOT}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        code = 130
    sys.stdout.flush()
    sys.exit(code)


# Commands that need CUDA kernels, and run them without a GPU.
EMULATED = ("train_emulated", "kernel-report")


def find_gpu() -> tuple[str, str]:
    """Return the GPU's description, or "" and the reason why there is none."""
    code = """
import json, striate as st
try:
    st.Tensor([0.0]).to("cuda")
    print(json.dumps([st._striate.describe_device("cuda"), ""]))
except st.DeviceError as error:
    print(json.dumps(["", str(error)]))"""
    description, reason = json.loads(run([PYTHON, "-c", code]).splitlines()[-1])
    return description, reason


def main() -> int:
    """Set up, then run tools/NAME.py with the Python of .venv/: environment.py NAME [option...]."""
    name = sys.argv[1]
    options = command_options.parser(name).parse_args(sys.argv[2:])
    set_up(options.no_apt)
    variables = environment()
    if name in EMULATED:
        build_cuda()
        variables.setdefault("STRIATE_CUDART", str(EMULATOR))
    elif name == "compare" and options.device.startswith("cuda"):
        build_cuda()
        if not find_gpu()[0]:
            print("   no GPU was found: the emulator stands in, on few images and without times")
            variables["STRIATE_CUDART"] = str(EMULATOR)
    script = ROOT / "tools" / f"{name.replace('-', '_')}.py"
    code = subprocess.call([str(PYTHON), str(script), *sys.argv[2:]], env=variables)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    run_main(main)
