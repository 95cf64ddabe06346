"""Builds the Debian package, from a checkout, with one command:

    python3 packaging/build_deb.py

on Debian 12 or later, with what `apt-get install python3-venv binutils libpython3-dev dpkg-dev`
and the libraries of Qt that README names bring along. It makes an environment of its own below
build/, freezes the program there with PyInstaller, puts it together with what desktops want to
know, and writes ckptviewer_VERSION_ARCHITECTURE.deb into dist/.

What is made on one release runs on that release and later ones; Debian 12 is the one to use.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
CHECKOUT = PACKAGING.parent
DESKTOP = CHECKOUT / "resources" / "desktop"
TOOLS = ("pyinstaller>=6.11,<7", "hatchling>=1.26")
INSTALLED_TO = Path("usr/lib/ckptviewer")
PLACES = {
    "ckptviewer.desktop": "usr/share/applications",
    "ckptviewer-mime.xml": "usr/share/mime/packages",
    "org.ckptviewer.ckptviewer.metainfo.xml": "usr/share/metainfo",
    "file-manager-actions/*": "usr/share/file-manager/actions",
    "kio-servicemenus/*": "usr/share/kio/servicemenus",
    "nemo-actions/*": "usr/share/nemo/actions",
}
"""What lies in resources/desktop, and where desktops look for it."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, default=CHECKOUT / "build", metavar="DIRECTORY")
    parser.add_argument("--dist", type=Path, default=CHECKOUT / "dist", metavar="DIRECTORY")
    parser.add_argument(
        "--python", type=Path, help="with all dependencies and PyInstaller; none is made then"
    )
    options = parser.parse_args()
    build, dist = options.build.resolve(), options.dist.resolve()
    os.environ.setdefault("SOURCE_DATE_EPOCH", source_date())
    os.environ["PYTHONHASHSEED"] = "0"  # PyInstaller orders some of its lists by hashes
    python = options.python or make_environment(build / "environment")
    program = freeze(python, build)
    root = build / "root"
    assemble(python, program, root)
    print(pack(root, dist))  # noqa: T201


def run(*command: str | Path, **environment: str) -> None:
    """Run a program; what it cannot do ends the build."""
    print("+", *command, file=sys.stderr)  # noqa: T201
    subprocess.run([str(word) for word in command], check=True, env=os.environ | environment)


def output(*command: str) -> str:
    """What a program prints."""
    done = subprocess.run(command, check=True, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def source_date() -> str:
    """Seconds of the last commit: the same sources make files of the same dates."""
    try:
        return output("git", "log", "-1", "--format=%ct")
    except (OSError, subprocess.CalledProcessError):  # from an archive, without git
        return str(int((CHECKOUT / "pyproject.toml").stat().st_mtime))


def version() -> str:
    """The version that the package bears."""
    text = (CHECKOUT / "ckptviewer" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert match is not None
    # To dpkg a tilde comes before everything: a development version is older than its release.
    return re.sub(r"\.?(dev|a|b|rc)(?=\d)", r"~\1", match[1])


def make_environment(directory: Path) -> Path:
    """An environment with all that the program needs, and PyInstaller; its interpreter."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *TOOLS]
    mark = directory / "made-for"
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()
    if not mark.is_file() or mark.read_text(encoding="ascii") != digest:
        run(sys.executable, "-m", "venv", "--clear", directory)
        run(directory / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted)
        mark.write_text(digest, encoding="ascii")
    return directory / "bin" / "python"


def freeze(python: Path, build: Path) -> Path:
    """Make the program that needs no Python; its directory."""
    work, made = build / "pyinstaller", build / "frozen"
    kernels = work / "ckptviewer" / "kernels"
    run(python, PACKAGING / "compile_kernels.py", kernels)
    run(
        python, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN",
        "--workpath", work, "--distpath", made, PACKAGING / "ckptviewer.spec",
    )  # fmt: skip
    return made / "ckptviewer"


def assemble(python: Path, program: Path, root: Path) -> None:
    """Lay everything out below `root` as it will lie in the system."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(program, root / INSTALLED_TO, symlinks=True)
    command = root / "usr/bin/ckptviewer"
    command.parent.mkdir(parents=True)
    command.symlink_to(os.path.relpath(root / INSTALLED_TO / "ckptviewer", command.parent))
    for pattern, place in PLACES.items():
        for path in sorted(DESKTOP.glob(pattern)):
            target = root / place / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    run(python, CHECKOUT / "resources" / "make_icons.py", root / "usr/share/icons")
    documents = root / "usr/share/doc/ckptviewer"
    documents.mkdir(parents=True)
    shutil.copyfile(PACKAGING / "debian" / "copyright", documents / "copyright")
    for path in (CHECKOUT / "CHANGELOG.md", CHECKOUT / "README.md"):
        shutil.copyfile(path, documents / path.name)
    manual = root / "usr/share/man/man1/ckptviewer.1.gz"
    manual.parent.mkdir(parents=True)
    text = (PACKAGING / "debian" / "ckptviewer.1").read_bytes()
    manual.write_bytes(gzip.compress(text, 9, mtime=0))
    for path in sorted(root.rglob("*")):
        if not path.is_symlink():
            is_run = path.is_dir() or path == root / INSTALLED_TO / "ckptviewer"
            path.chmod(0o755 if is_run else 0o644)


def pack(root: Path, dist: Path) -> Path:
    """Make the package of what lies below `root`; its path."""
    architecture = output("dpkg", "--print-architecture")
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    sums = [
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}" for path in files
    ]
    control = root / "DEBIAN"
    control.mkdir()
    fields = (
        (PACKAGING / "debian" / "control")
        .read_text(encoding="utf-8")
        .format(
            version=version(),
            architecture=architecture,
            libc=platform.libc_ver()[1],
            installed_kib=sum(path.stat().st_size for path in files) // 1024,
        )
    )
    (control / "control").write_text(fields, encoding="utf-8")
    (control / "md5sums").write_text("\n".join(sums) + "\n", encoding="utf-8")
    dist.mkdir(parents=True, exist_ok=True)
    package = dist / f"ckptviewer_{version()}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, package)
    return package


if __name__ == "__main__":
    main()
