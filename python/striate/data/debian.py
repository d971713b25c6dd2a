"""Data sets that Debian packages carry, unpacked into the user's cache without root."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Callable

from ..errors import FileError

_log = logging.getLogger("striate.data")


def unpack_package(
    package: str, inside: str, target: Path, check: Callable[[Path], object]
) -> None:
    """Download a Debian package and make `target` of its folder `inside`.

    package: name of the package, from the system's own sources
    inside: path of the folder that is wanted, e.g. "usr/share/datasets/fashion-mnist"
    target: folder that will appear, complete or not at all
    check: called with the unpacked folder before it becomes `target`; raises to refuse it

    Raises: FileError that says what failed: no apt, no network, no such package, no room.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise _failed(package, f"no {program} on this machine")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    except OSError as error:
        raise _failed(package, f"a cache that cannot be written ({error})") from error
    try:
        _log.info("downloading Debian's package %s into %s", package, target)
        file = _download(package, aside)
        _run(package, ["dpkg-deb", "-x", str(file), str(aside / "unpacked")], aside)
        unpacked = aside / "unpacked" / inside
        check(unpacked)
        try:
            unpacked.rename(target)
        except OSError as error:
            # Another process may have been quicker; what it put there is as good.
            if not target.is_dir():
                raise _failed(package, f"a cache that cannot be written ({error})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _download(package: str, aside: Path) -> Path:
    # As root, apt would change to a user who cannot write here.
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    try:
        _run(package, [*apt, "download", package], aside)
    except FileError:
        # The system's package lists are absent or too old: fetch lists of our own. One bad source
        # among several makes `update` fail though the package may well be there.
        for name in ("lists/partial", "archives/partial"):
            (aside / name).mkdir(parents=True)
        apt += ["-o", f"Dir::State::lists={aside}/lists", "-o", f"Dir::Cache={aside}"]
        _run(package, [*apt, "update"], aside, must_succeed=False)
        _run(package, [*apt, "download", package], aside)
    found = list(aside.glob(f"{package}_*.deb"))
    if not found:
        raise _failed(package, "no file from apt-get")
    return found[0]


def _run(package: str, command: list[str], folder: Path, must_succeed: bool = True) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=300,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(package, str(error)) from error
    if done.returncode != 0 and must_succeed:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise _failed(package, f"from {command[0]}: {reason.rstrip('.')}")


def _failed(package: str, values: str) -> FileError:
    return FileError(layer="data", rule=f"Debian's {package} must be downloadable", values=values)
