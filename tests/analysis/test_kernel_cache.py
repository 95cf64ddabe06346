"""Machine code that was kept: what is not this machine's, whole and ours is never loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.analysis import kernel, kernel_choice, kernel_compiled
from ckptviewer.analysis.kernel_compiled import Compiled
from tests.analysis import kernels


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Path:
    """A sound file of machine code, alone in a directory."""
    kernels.use("compiled", monkeypatch, pytestconfig)
    made = kernel_compiled.code_path()
    folder = tmp_path / "compiled"
    folder.mkdir(mode=0o700)
    copy = folder / made.name
    copy.write_bytes(made.read_bytes())
    copy.chmod(0o600)
    assert kernel_compiled.load(copy, Compiled) is not None
    return copy


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    head, _, code = path.read_bytes().partition(b"\n")
    return json.loads(head), code


def write(path: Path, head: object, code: bytes) -> None:
    path.write_bytes(json.dumps(head).encode() + b"\n" + code)


def other_processor(path: Path) -> Path:
    """Its name tells what it was made for; that it was made for another stands in it."""
    return path.rename(path.with_name("0" * 24 + ".code"))


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-1])
    return path


def cut_in_its_head(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:40])
    return path


def tampered(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[-len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def other_names(path: Path) -> Path:
    head, code = parts(path)
    names = head["names"]
    names["float32"], names["float64"] = names["float64"], names["float32"]
    write(path, head, code)
    return path


def foreign(path: Path) -> Path:
    path.write_bytes(b"\x7fELF" + os.urandom(5000))
    return path


def of_an_older_version(path: Path) -> Path:
    head, code = parts(path)
    del head["for"]
    write(path, head, code)
    return path


def names_that_are_none(path: Path) -> Path:
    head, code = parts(path)
    digest = kernel_compiled._digest(path.stem, ["x"], code)  # type: ignore[arg-type]
    write(path, head | {"names": ["x"], "digest": digest}, code)
    return path


def no_object(path: Path) -> Path:
    path.write_bytes(b"[" * 100_000 + b"\n")
    return path


def writable_by_others(path: Path) -> Path:
    path.chmod(0o622)
    return path


def in_a_directory_of_others(path: Path) -> Path:
    path.parent.chmod(0o777)
    return path


def far_too_large(path: Path) -> Path:
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    return path


@pytest.mark.parametrize(
    "spoil",
    [
        other_processor,
        truncated,
        cut_in_its_head,
        tampered,
        other_names,
        foreign,
        of_an_older_version,
        names_that_are_none,
        no_object,
        far_too_large,
        pytest.param(
            writable_by_others, marks=pytest.mark.skipif(os.name == "nt", reason="has no modes")
        ),
        pytest.param(
            in_a_directory_of_others,
            marks=pytest.mark.skipif(os.name == "nt", reason="has no modes"),
        ),
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_what_is_not_sound_and_ours_is_refused(cached: Path, spoil: Callable[[Path], Path]) -> None:
    assert kernel_compiled.load(spoil(cached), Compiled) is None


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert kernel_compiled.load(tmp_path / "missing.code", Compiled) is None


def test_numpy_does_it_where_the_code_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build ends as if LLVM had ended it; this process goes on, and says the right numbers."""
    choice = kernel_choice.Choice(kernel._loops)
    monkeypatch.setattr(kernel, "_choice", choice)
    monkeypatch.delenv(kernel_choice.ENVIRONMENT, raising=False)
    monkeypatch.setattr(kernel_compiled, "code_path", lambda: tmp_path / "x.code")

    def start(_path: Path, _module: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import os; os.abort()"])

    monkeypatch.setattr(kernel_compiled, "start_build", start)
    assert kernel.prepare() == "numpy"
    assert "could not be made" in kernel.why_not()
    sums = kernel.Sums(np.zeros(1 << 16, np.uint32))
    kernel.accumulate(np.arange(1000, dtype=np.float32), sums)
    assert sums.high == 999.0
    assert sums.zero == 1


def test_nothing_in_the_working_directory_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with a downloaded checkpoint may have a file called as a library of ours."""
    (tmp_path / "lurking.py").write_text("open('ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    assert kernel_compiled.start_build(tmp_path / "x.code", "lurking").wait(60) != 0
    assert not (tmp_path / "ran").exists()


def test_code_that_says_other_numbers_is_not_kept(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, code = parts(cached)

    class Wrong(Compiled):
        def accumulate(self, values: np.ndarray, sums: kernel.Sums) -> None:
            super().accumulate(values, sums)
            sums.zero += 1

    with pytest.raises(ValueError, match="NumPy"):
        kernel_compiled.store(tmp_path / "a.code", head["names"], code, Wrong)
    assert not (tmp_path / "a.code").exists()
    kernel_compiled.store(tmp_path / "a.code", head["names"], code, Compiled)
    assert (tmp_path / "a.code").exists()


numba = pytest.importorskip("numba")


@pytest.mark.parametrize(
    "line",
    [
        "declare i32 @renamed_runtime_call(i8*)",
        "@_OtherObject = external global i8",
    ],
)
def test_a_name_that_only_numba_knows_is_noticed_while_the_code_is_made(line: str) -> None:
    import llvmlite.binding as llvm

    from ckptviewer.analysis import kernel_source

    with pytest.raises(ValueError, match="self-contained"):
        kernel_source._require_self_contained(llvm.parse_assembly(line))


def test_calls_into_python_and_its_objects_become_our_own() -> None:
    import llvmlite.binding as llvm

    from ckptviewer.analysis import kernel_source

    text = (
        "@PyExc_Some = external global i8\n"
        "declare void @NRT_decref(ptr)\n"
        "declare ptr @PyErr_Some(ptr, ...)\n"
        "define void @f() {\n  call void @NRT_decref(ptr @PyExc_Some)\n  ret void\n}\n"
    )
    module = llvm.parse_assembly(kernel_source._self_contained(text))
    module.verify()
    kernel_source._require_self_contained(module)
