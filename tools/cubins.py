"""Machine code of the CUDA plug-in's kernels: compile it where needed, and disassemble it.

The first architecture's code is taken from the objects of the build. Another one's is compiled by
the same commands into build/machine_code/ and kept while the files that it came from stay the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import machine_code
from environment import PYTHON, ROOT, VENV, Failed, MustInstall, cuda_compiler, run, stage
from machine_code import Kernel

DISASSEMBLER_PACKAGES = ["nvidia-cuda-cuobjdump>=13", "nvidia-cuda-nvdisasm>=13"]
OBJECTS = Path("CMakeFiles", "striate_cuda.dir", "kernels")


def disassembler() -> Path:
    """Return cuobjdump, which has nvdisasm beside it: the machine's, or NVIDIA's from PyPI."""

    def found() -> Path | None:
        nvcc = os.environ.get("CUDACXX") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
        places = [Path(shutil.which("cuobjdump") or "/usr/local/cuda/bin/cuobjdump"),
                  Path(nvcc).with_name("cuobjdump"),
                  *VENV.glob("lib/python3*/site-packages/nvidia/cu13/bin/cuobjdump")]  # fmt: skip
        good = (p for p in places if p.exists() and p.with_name("nvdisasm").exists())
        return next(good, None)

    if not found():
        command = [PYTHON, "-m", "pip", "install", "--quiet", *DISASSEMBLER_PACKAGES]
        try:
            with stage("downloading 6 MB of NVIDIA's disassembler"):
                run(command)
        except Failed:
            line = " ".join(shlex.quote(str(word)) for word in command)
            raise MustInstall(f"cuobjdump and nvdisasm must be installed first:\n{line}") from None
    return found()


def compiler_release() -> str:
    said = subprocess.run([cuda_compiler(), "--version"], capture_output=True, text=True).stdout
    return re.search(r"release ([\d.]+)", said).group(1)


def disassemble(cuobjdump: Path, file: Path, source: str) -> list[Kernel]:
    """Return the kernels in an object or cubin."""
    path = f"{cuobjdump.parent}:{os.environ.get('PATH', '')}"
    command = [str(cuobjdump), "-res-usage", "-sass", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    if said.returncode != 0:
        raise Failed(f"{' '.join(command)} said {said.stderr or said.stdout}")
    return machine_code.parse(said.stdout, source)


# --- compiling for a further architecture ---------------------------------------------------------


def hash_of(files: list[str], command: list[str]) -> str:
    found = hashlib.sha256(" ".join(command).encode())
    for name in files:
        found.update(Path(name).read_bytes() if Path(name).exists() else b"")
    return found.hexdigest()


def compile_commands(build: Path) -> dict[str, list[str]]:
    """Return how the build compiles each .cu file: {its name: words of the command}."""
    entries = json.loads((build / "compile_commands.json").read_text())
    return {Path(entry["file"]).name: shlex.split(entry["command"])
            for entry in entries if entry["file"].endswith(".cu")}  # fmt: skip


def architectures(build: Path) -> int:
    """Return for how many architectures the plug-in is compiled."""
    return max(words.count("-gencode") for words in compile_commands(build).values())


def cubin(command: list[str], arch: str, folder: Path, source: str) -> tuple[Path, bool]:
    """Compile for an architecture where that is not done yet; return the file, and whether."""
    number = arch.removeprefix("sm_")
    made = folder / f"{source}.{arch}.cubin"
    words, skip = [], False
    for word in command:
        if skip or word in ("-c", "-gencode", "-o", "-x"):
            skip = not skip and word != "-c"
        elif not word.startswith("-gencode"):
            words.append(word)
    words[1:1] = ["-cubin", "-gencode", f"arch=compute_{number},code=sm_{number}"]
    stamp, depends = made.with_suffix(".json"), made.with_suffix(".d")
    if made.exists() and stamp.exists():
        known = json.loads(stamp.read_text())
        if known["hash"] == hash_of(known["files"], words):
            return made, False
    said = subprocess.run([*words, "-o", str(made), "-MD", "-MF", str(depends)], cwd=folder,
                          capture_output=True, text=True)  # fmt: skip
    if said.returncode != 0:
        raise Failed(f"{' '.join(words)}:\n{said.stdout}{said.stderr}")
    names = depends.read_text().replace("\\\n", " ").split()[2:]
    # The toolkit's and the system's own headers change only with the compiler.
    files = sorted({str(Path(n).resolve()) for n in names if not n.startswith("/usr/")})
    stamp.write_text(json.dumps({"hash": hash_of(files, words), "files": files}))
    return made, True


# --- all kernels ----------------------------------------------------------------------------------


def launch_bounds(file: Path) -> dict[str, int]:
    """Return the threads that kernels are bounded to, from the PTX in an object."""
    found = {}
    entry = rb"\.entry (\w+)\([^)]*\)\s*((?:\.\w+ [\d, ]+\s*)*)\{"
    for name, directives in re.findall(entry, file.read_bytes()):
        bound = re.search(rb"\.(?:maxntid|reqntid) ([\d, ]+)", directives)
        if bound:
            product = 1
            for number in bound.group(1).split(b","):
                product *= int(number)
            found[name.decode()] = product
    return found


def all_kernels(
    build: Path, archs: list[str], only: str = ""
) -> tuple[list[Kernel], dict[str, int]]:
    """Return the plug-in's kernels for these architectures, and their launch bounds by name.

    `only`: a pattern of the names of files.
    """
    cuobjdump = disassembler()
    sources = sorted(path.name for path in (ROOT / "kernels").glob("*.cu")
                     if re.search(only, path.name))  # fmt: skip
    objects = {source: build / OBJECTS / f"{source}.o" for source in sources}
    missing = [source for source, file in objects.items() if not file.exists()]
    if missing:
        raise Failed(f"not compiled yet: {', '.join(missing)}")
    bounds: dict[str, int] = {}
    for source, file in objects.items():
        for mangled, threads in launch_bounds(file).items():
            bounds[f"{source}: {machine_code.readable(mangled)}"] = threads
    commands = compile_commands(build)
    folder = build / "machine_code"
    folder.mkdir(exist_ok=True)
    kernels = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        parts = list(pool.map(lambda s: disassemble(cuobjdump, objects[s], s), sources))
        built = sorted({kernel.arch for part in parts for kernel in part})
        kernels += [kernel for part in parts for kernel in part if kernel.arch in archs]
        others = [(s, arch) for arch in archs if arch not in built for s in sources]
        made = list(pool.map(lambda o: cubin(commands[o[0]], o[1], folder, o[0]), others))
        parts = pool.map(lambda o, file: disassemble(cuobjdump, file[0], o[0]), others, made)
        kernels += [kernel for part in parts for kernel in part]
    compiled = sum(new for _, new in made)
    if compiled:
        print(f"   {compiled} files compiled for {', '.join(a for a in archs if a not in built)}")
    return kernels, bounds
