"""However a worker ends, it is one sentence, and whoever asked goes on."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.validation.endings import Reason, WorkerError
from ckptviewer.validation.launcher import (
    Limits,
    Worker,
    default_python,
    progress_of,
    run,
    worker_path,
)
from ckptviewer.validation.logs import WorkerLog
from ckptviewer.validation.processes import clean_environment, descendants, resident_bytes
from ckptviewer.validation.protocol import (
    Event,
    Failure,
    InspectRequest,
    ModelKind,
    ModelSpec,
    Outcome,
    StageProgress,
)
from tests.validation import fake_tensorflow

posix = pytest.mark.skipif(os.name == "nt", reason="signals")


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a TensorFlow that is none, and models that misbehave."""
    directory = tmp_path_factory.mktemp("fakes")
    fake_tensorflow.write(directory)
    return directory


class Asked:
    """Asks for a model of the directory."""

    def __init__(self, fakes: Path, log: Path) -> None:
        self.fakes = fakes
        self.log = log

    def request(self, function: str) -> InspectRequest:
        path = f"{self.fakes / 'models.py'}:{function}"
        return InspectRequest(model=ModelSpec(kind=ModelKind.FACTORY, path=path))

    def worker(self, **arguments: object) -> Worker:
        environment = {"PYTHONPATH": str(self.fakes)}
        return Worker(environment=environment, log_path=self.log, **arguments)  # type: ignore[arg-type]

    def failure(self, function: str, **limits: float) -> WorkerError:
        with self.worker(limits=Limits(**limits)) as worker:  # type: ignore[arg-type]
            with pytest.raises(WorkerError) as raised:
                worker.perform(self.request(function))
            assert worker.is_over == raised.value.is_over
        return raised.value


@pytest.fixture
def ask(fakes: Path, tmp_path: Path) -> Asked:
    return Asked(fakes, tmp_path / "worker.log")


# How it goes


def test_answers_come_with_what_was_told(ask: Asked) -> None:
    events: list[Event] = []
    shown: list[Progress] = []
    with ask.worker() as worker:
        outcome = worker.perform(ask.request("fine"), on_event=events.append, report=shown.append)
        again = worker.perform(ask.request("fine"))
    assert outcome.hello.python == sys.version.split()[0]
    assert outcome.libraries is not None
    assert outcome.libraries.tensorflow == "2.99.0"
    assert outcome.model is not None
    assert outcome.model.kind is ModelKind.FACTORY
    assert again.model is not None
    assert again.model.signatures == outcome.model.signatures
    assert again.hello == outcome.hello
    assert [each.label for each in shown] == ["Loading TensorFlow", "Loading the model"]
    assert len(events) > len(shown)


def test_what_a_model_prints_is_in_the_log_and_disturbs_nothing(ask: Asked) -> None:
    with ask.worker() as worker:
        assert worker.perform(ask.request("talks")).model is not None
    log = ask.log.read_text()
    for text in ("printed by Python", "written to descriptor 1", "printed by a child"):
        assert text in log


def test_a_flood_of_words_stops_nobody_and_fills_no_disk(ask: Asked) -> None:
    with ask.worker() as worker:
        assert worker.perform(ask.request("babbles")).model is not None
    assert 8 << 20 < ask.log.stat().st_size < 10 << 20
    assert "bytes are left out" in ask.log.read_text()


def test_run_starts_and_ends_a_worker_of_its_own(ask: Asked, fakes: Path) -> None:
    seen: list[Event] = []
    outcome = run(
        ask.request("fine"),
        environment={"PYTHONPATH": str(fakes)},
        on_event=seen.append,
        log_path=ask.log,
    )
    assert isinstance(outcome, Outcome)
    assert outcome.log_path == str(ask.log)
    with pytest.raises(ProcessLookupError):
        os.kill(outcome.hello.pid, 0)


# How it ends


def test_a_model_that_ends_the_process(ask: Asked) -> None:
    error = ask.failure("exits")
    assert error.reason is Reason.EXITED
    assert "exit status 7" in error.what
    assert "while the model was being loaded" in error.what
    assert "before the end" in error.log_tail
    assert error.outcome is not None
    assert error.outcome.libraries is not None


@pytest.mark.parametrize(
    ("function", "kind", "said"),
    [
        ("raises", "ModelProblem", "raises() raised: KeyError"),
        ("leaves", "SystemExit", "ended itself (enough)"),
        ("no_such", "ModelProblem", "no function 'no_such'"),
    ],
)
def test_a_model_that_fails_leaves_the_worker_alive(
    ask: Asked, function: str, kind: str, said: str
) -> None:
    with ask.worker() as worker:
        with pytest.raises(WorkerError) as raised:
            worker.perform(ask.request(function))
        assert raised.value.kind == kind
        assert said in raised.value.what
        assert raised.value.reason is Reason.FAILED
        assert raised.value.stage == "model"
        assert worker.perform(ask.request("fine")).model is not None
    assert "Traceback" in ask.log.read_text()


@posix
def test_a_crash(ask: Asked) -> None:
    error = ask.failure("crashes")
    assert error.reason is Reason.CRASHED
    assert "a segmentation fault, SIGSEGV" in error.what
    assert "in crashes" in ask.log.read_text()  # where, by faulthandler


@posix
def test_a_kill_by_the_system(ask: Asked) -> None:
    error = ask.failure("is_killed")
    assert error.reason is Reason.KILLED
    assert "memory ran out" in error.what


def test_a_hang_meets_its_limit(ask: Asked) -> None:
    error = ask.failure("sleeps", seconds=0.5)
    assert error.reason is Reason.TIME_LIMIT
    assert "within its limit of 0.5 seconds" in error.what


def test_memory_without_end_meets_its_limit(ask: Asked) -> None:
    error = ask.failure("allocates", memory_bytes=200 << 20)
    assert error.reason is Reason.MEMORY_LIMIT
    assert "its limit is 210 MB" in error.what


def test_cancelling_takes_less_than_a_second_and_all_descendants(ask: Asked) -> None:
    token = CancelToken()
    cancelled_at = []

    def stop(event: Event) -> None:
        if isinstance(event, StageProgress) and event.stage == "model":
            while "child" not in worker.log.tail():
                time.sleep(0.01)
            cancelled_at.append(time.monotonic())
            token.cancel()

    with ask.worker() as worker:
        with pytest.raises(Cancelled):
            worker.perform(ask.request("has_children"), cancel=token, on_event=stop)
        assert time.monotonic() - cancelled_at[0] < 1
        assert worker.is_over
        child = int(worker.log.tail().split("child ")[1].split()[0])
    assert not is_alive(child)
    with pytest.raises(WorkerError, match="ended already"):
        worker.perform(ask.request("fine"))


def is_alive(pid: int) -> bool:
    """Whether a process runs; what nobody has waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return sys.platform != "linux"
    return state not in "ZX"


def test_a_worker_whose_master_is_gone_ends_by_itself(ask: Asked) -> None:
    process = subprocess.Popen(
        [sys.executable, str(worker_path())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=clean_environment({"PYTHONPATH": str(ask.fakes)}),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    from ckptviewer.validation.protocol import encode_request

    process.stdin.write(encode_request(ask.request("sleeps")))
    process.stdin.flush()
    while b'"model"' not in process.stdout.readline():
        pass
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    process.stdout.close()


# Interpreters that will not do


@pytest.fixture(scope="module")
def empty_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with nothing but its standard library."""
    directory = tmp_path_factory.mktemp("empty")
    venv.create(directory, with_pip=False, symlinks=os.name != "nt")
    return str(directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def test_missing_tensorflow(ask: Asked, empty_python: str) -> None:
    with pytest.raises(WorkerError) as raised:
        run(ask.request("fine"), python=empty_python, log_path=ask.log)
    assert raised.value.reason is Reason.MISSING_TENSORFLOW
    assert f"{empty_python} (Python " in raised.value.what
    assert "has no TensorFlow" in raised.value.what
    assert "train in" in raised.value.remedy


def test_a_tensorflow_that_cannot_be_imported(ask: Asked, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tensorflow.py").write_text("raise ImportError('libcudart.so.12 is not there')")
    environment = {"PYTHONPATH": str(broken)}
    with pytest.raises(WorkerError, match=r"libcudart\.so\.12 is not there") as raised:
        run(ask.request("fine"), environment=environment, log_path=ask.log)
    assert raised.value.reason is Reason.MISSING_TENSORFLOW
    (broken / "tensorflow.py").write_text("__version__ = '1.15.0'\nsaved_model = None")
    with pytest.raises(WorkerError, match=r"TensorFlow 1\.15\.0, and 2.x is needed"):
        run(ask.request("fine"), environment=environment, log_path=ask.log)


def test_what_is_no_python(ask: Asked, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="cannot be started") as raised:
        run(ask.request("fine"), python=str(tmp_path / "none"), log_path=ask.log)
    assert raised.value.reason is Reason.NOT_STARTED
    assert str(tmp_path / "none") in str(raised.value)


@posix
def test_a_program_that_is_no_python(ask: Asked, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho this is not Python >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(WorkerError, match="cannot run the worker") as raised:
        run(ask.request("fine"), python=str(program), log_path=ask.log)
    assert raised.value.reason is Reason.NOT_STARTED
    assert "this is not Python" in raised.value.what


@posix
def test_a_program_that_never_says_hello(ask: Asked, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    limits = Limits(start_seconds=0.2)
    request = ask.request("x" * 1_000_000)  # more than a pipe holds
    with pytest.raises(WorkerError, match=r"did not start within 0\.2 seconds") as raised:
        run(request, python=str(program), limits=limits, log_path=ask.log)
    assert raised.value.reason is Reason.HANG


@posix
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"all is well', "not JSON"),
        ('{"event":"hello","protocol":99,"python":"3","pid":1}', "version 99 of the protocol"),
        ('{"event":"hello","protocol":"x"}', "a whole number is needed"),
    ],
)
def test_a_worker_that_speaks_otherwise(ask: Asked, tmp_path: Path, line: str, said: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{line}'\nexec sleep 600\n")
    program.chmod(0o755)
    with pytest.raises(WorkerError, match=said) as raised:
        run(ask.request("fine"), python=str(program), log_path=ask.log)
    assert raised.value.reason is Reason.PROTOCOL


@posix
def test_a_python_that_talks_at_its_start(ask: Asked, fakes: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho Welcome to this environment\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    environment = {"PYTHONPATH": str(fakes)}
    outcome = run(
        ask.request("fine"), python=str(program), environment=environment, log_path=ask.log
    )
    assert outcome.model is not None
    assert "Welcome to this environment" in ask.log.read_text()


def test_a_frozen_application_has_no_interpreter_to_offer(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert default_python() is None
    with pytest.raises(WorkerError, match="no Python of its own"):
        run(ask.request("fine"), log_path=ask.log)


def test_a_frozen_application_keeps_its_libraries_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/application")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/of/the/user")
    monkeypatch.setenv("PYTHONHOME", "/of/the/application")
    assert clean_environment({})["LD_LIBRARY_PATH"] == "/of/the/application"
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    cleaned = clean_environment({"MORE": "x"})
    assert cleaned["LD_LIBRARY_PATH"] == "/of/the/user"
    assert "PYTHONHOME" not in cleaned
    assert cleaned["MORE"] == "x"


# Parts


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    code = "import os,sys; b = bytearray(64 << 20); print('x', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def test_memory_is_that_of_the_whole_tree(sleeper: subprocess.Popen[bytes]) -> None:
    assert sleeper.stdout is not None
    sleeper.stdout.readline()
    alone = resident_bytes(sleeper.pid)
    assert alone is not None
    assert alone > 4 << 20
    if sys.platform == "linux":
        assert sleeper.pid in descendants(os.getpid())
        whole = resident_bytes(os.getpid())
        assert whole is not None
        assert whole > alone


def test_logs_keep_the_beginning_and_the_end(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path / "log")
    log.add(b"first\n")
    for _ in range(200):
        log.add(b"-" * 65535 + b"\n")
    log.add(b"last \xff\n")
    assert log.last_line() == "last �"
    log.close()
    log.close()
    kept = (tmp_path / "log").read_bytes()
    assert kept.startswith(b"first\n")
    assert kept.endswith(b"last \xff\n")
    assert len(kept) < 10 << 20


def test_old_logs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKPTVIEWER_LOGS", str(tmp_path / "logs"))
    for _ in range(25):
        WorkerLog().close()
    assert len(list((tmp_path / "logs").iterdir())) == 20


def test_progress_is_told_in_words() -> None:
    event = StageProgress(stage="run", done=3, total=9, checkpoint="b")
    shown = progress_of(event)
    assert (shown.label, shown.unit, shown.fraction) == ("Running the data B", "examples", 3 / 9)


def test_errors_say_what_where_and_remedy() -> None:
    from ckptviewer.validation.endings import ended, failed

    log = WorkerLog(os.devnull)
    failure = Failure(stage="data", type="DataProblem", message="it is bad", remedy="Mend it.")
    error = failed(failure, log)
    assert str(error) == "it is bad. Mend it."
    assert not error.is_over
    if os.name != "nt":
        error = ended(-signal.SIGILL, "libraries", log, has_started=True)
        assert "an instruction that this processor does not have" in error.what
        assert "while TensorFlow was being loaded" in error.what
    log.close()


ALLOWED = {"__future__", "numpy", "tensorflow", "keras", "tf_keras", "h5py", "google"}


def test_the_worker_is_code_for_python_3_9_that_needs_nothing_else() -> None:
    files = sorted(worker_path().glob("*.py"))
    assert len(files) > 10
    for path in files:
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                assert top in ALLOWED or top in sys.stdlib_module_names, (path.name, name)
            assert not isinstance(node, ast.Match), path.name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                keywords = {each.arg for each in node.keywords}
                assert node.func.id != "zip" or "strict" not in keywords, path.name
