"""Each finding of the doctor: a checkpoint that has it, and one that has not."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis import chunks, doctor_pass, statistics
from ckptviewer.analysis.crc_arithmetic import combined_crc
from ckptviewer.analysis.doctor import examine, is_healthy
from ckptviewer.analysis.doctor_pass import readings
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.errors import (
    Cancelled,
    ChangedFileError,
    DamagedFileError,
    NotACheckpointError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.formats.checkpoint_state import (
    CheckpointState,
    parse_checkpoint_state,
    render_checkpoint_state,
)
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.storage.byte_source import LocalFile
from tests.analysis.memory_checkpoint import MemoryCheckpoint
from tests.builders import Bundle, cut, data_file, index_file, merge, save, save_slices

RNG = np.random.default_rng(5)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1234\n"
Values = dict[str, np.ndarray]


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def model() -> Values:
    """A model without anything to tell, but that it is name-based."""
    return {
        "dense/kernel": normal(16, 8),
        "dense/bias": np.zeros(8, np.float32),
        "norm/batch_normalization/gamma": np.ones(8, np.float32),
        "norm/batch_normalization/beta": np.zeros(8, np.float32),
        "norm/batch_normalization/moving_mean": normal(8),
        "norm/batch_normalization/moving_variance": np.square(normal(8)) + 0.1,
        "global_step": np.array(7),
    }


def bundle_of(values: Values, shards: int = 1) -> Bundle:
    made = Bundle.empty(shards)
    for number, (key, value) in enumerate(sorted(values.items())):
        made.add(key, value, shard=number % shards)
    return made


def written(folder: Path, values: Values, shards: int = 1) -> Path:
    return bundle_of(values, shards).write(folder / "model.ckpt")


def found(target: Any, **options: Any) -> dict[str, list[Finding]]:
    """The findings by code, without the one that all these name-based bundles have."""
    by_code: dict[str, list[Finding]] = {}
    for finding in examine(target, **options):
        assert finding.message.endswith("."), finding
        by_code.setdefault(finding.code, []).append(finding)
    by_code.pop("name-based", None)
    return by_code


def only(target: Any, code: str, **options: Any) -> Finding:
    """The one finding of this code, all others being absent."""
    by_code = found(target, **options)
    assert by_code.keys() == {code}, by_code
    (finding,) = by_code[code]
    return finding


def test_a_sound_checkpoint_has_nothing_to_tell(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    assert found(prefix) == {}
    assert found(prefix, read_values=False) == {}
    assert is_healthy(list(examine(prefix)))


# Files


def test_truncated_shard(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    data = data_file(prefix)
    data.write_bytes(data.read_bytes()[:-40])
    by_code = found(prefix)
    assert by_code.keys() == {"truncated-shard", "unreadable-variable"}
    (shard,) = by_code["truncated-shard"]
    assert f"byte {data.stat().st_size}" in shard.message
    lost = {finding.variable for finding in by_code["unreadable-variable"]}
    assert lost == {
        "norm/batch_normalization/moving_mean",
        "norm/batch_normalization/moving_variance",
    }


def test_missing_shard_as_with_an_index_alone(tmp_path: Path) -> None:
    values = model()
    prefix = written(tmp_path, values)
    data_file(prefix).unlink()
    by_code = found(prefix)
    assert by_code.keys() == {"missing-shard", "unreadable-variable"}
    assert len(by_code["unreadable-variable"]) == len(values)


def test_missing_index_as_with_data_alone(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    index_file(prefix).unlink()
    for path in (prefix, data_file(prefix)):
        finding = only(path, "missing-index")
        assert finding.severity is Severity.ERROR
        assert "model.ckpt.index" in finding.message


def test_foreign_shard(tmp_path: Path) -> None:
    values = {f"layer_{n}/kernel": normal(8, 8) for n in range(10)}
    prefix = written(tmp_path, values, shards=2)
    other = bundle_of({key: normal(8, 8) for key in values}, 2)
    data_file(prefix, 1, 2).write_bytes(other.shards[1])
    finding = only(prefix, "foreign-shard")
    assert finding.severity is Severity.ERROR
    assert "model.ckpt.data-00001-of-00002" in finding.message
    assert "of 5 variables in it 5 do not" in finding.message
    assert found(prefix, read_values=False) == {}


def test_checksum_mismatch_in_one_tensor(tmp_path: Path) -> None:
    bundle = bundle_of(model())
    entry = bundle.entries[b"dense/kernel"]
    bundle.shards[0][entry.offset + 5] ^= 1
    prefix = bundle.write(tmp_path / "model.ckpt")
    finding = only(prefix, "checksum-mismatch")
    assert finding.variable == "dense/kernel"
    assert finding.severity is Severity.ERROR


def test_mismatch_of_strings_and_of_slices(tmp_path: Path) -> None:
    values = normal(6, 4)
    slices = cut("part/weights", values, (2,))
    texts = [("texts", "", np.array([b"a", b"bc", b"", b"def"]))]
    prefix = save_slices(tmp_path / "model.ckpt", [*slices, *texts])
    content = bytearray(data_file(prefix).read_bytes())
    for value in (values[2:].tobytes(), b"abcdef"):
        content[content.index(value)] ^= 4
    data_file(prefix).write_bytes(content)
    by_code = found(prefix)
    assert {f.variable for f in by_code["checksum-mismatch"]} == {"part/weights", "texts"}


def test_damaged_index(tmp_path: Path) -> None:
    values = {f"layer_{n}/kernel": normal(4, 4) for n in range(40)}
    bundle = bundle_of(values)
    prefix = bundle.write(tmp_path / "model.ckpt", block_entries=10)
    sound = index_file(prefix).read_bytes()
    damaged = bytearray(sound)
    damaged[sound.index(b"layer_28/kernel"[:6], 900)] ^= 1
    index_file(prefix).write_bytes(damaged)
    by_code = found(prefix)
    assert by_code.keys() == {"damaged-index"}
    intact = len(open_checkpoint(prefix).variables)
    assert 0 < intact < 40
    assert f"{intact} variables of its intact blocks" in by_code["damaged-index"][0].remedy
    for content in (b"", b"\0" * len(sound), sound[:-200]):
        index_file(prefix).write_bytes(content)
        assert only(prefix, "damaged-index").severity is Severity.ERROR
    data_file(prefix).unlink()
    index_file(prefix).write_bytes(b"")
    with pytest.raises(NotACheckpointError):
        found(prefix)


@pytest.mark.parametrize("part", ["index", "shard", "file"])
def test_lfs_pointer(part: str, tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    if part == "file":
        path = tmp_path / "model.weights.h5"
        path.write_bytes(POINTER)
        finding = only(path, "lfs-pointer")
    elif part == "index":
        index_file(prefix).write_bytes(POINTER)
        finding = only(prefix, "lfs-pointer")
    else:
        data_file(prefix).write_bytes(POINTER)
        by_code = found(prefix)
        assert by_code.keys() == {"lfs-pointer", "unreadable-variable"}
        (finding,) = by_code["lfs-pointer"]
    assert finding.severity is Severity.ERROR
    assert "git lfs pull" in finding.remedy


def test_bytes_that_belong_to_nothing(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    with open(data_file(prefix), "ab") as file:
        file.write(b"left over")
    finding = only(prefix, "unused-bytes", read_values=False)
    assert "9 bytes" in finding.message


def test_data_files_of_another_number_of_shards(tmp_path: Path) -> None:
    prefix = written(tmp_path, model(), shards=2)
    assert found(prefix) == {}
    data_file(prefix).write_bytes(b"of an earlier save")
    finding = only(prefix, "unused-data-file")
    assert "model.ckpt.data-00000-of-00001" in finding.message


@pytest.mark.parametrize(
    "left",
    [
        "model.ckpt_temp/part-00000-of-00001.data-00000-of-00001",
        "model.ckpt-9_temp_0123abcd/part-00000-of-00002.index",
        "model.ckpt.index.tempstate12345678901234567890",
        "part-00000-of-00001.data-00000-of-00001",
        "checkpoint.tmp0123456789abcdef0123456789abcdef",
        ".model.ckpt.abcdefgh.ckptviewer-partial/model.ckpt.index",
    ],
)
def test_half_written_save(left: str, tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    path = tmp_path / left
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    finding = only(prefix, "half-written-save")
    assert finding.severity is Severity.WARNING
    assert left.split("/", maxsplit=1)[0] in finding.message


def test_a_directory_called_temp_is_no_half_written_save(tmp_path: Path) -> None:
    (tmp_path / "my_temp").mkdir()
    (tmp_path / "my_temp/notes.txt").write_text("mine")
    assert found(written(tmp_path, model())) == {}


def test_a_half_written_save_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "model.ckpt_temp"
    directory.mkdir()
    written(directory, model()).with_name("model.ckpt.index").unlink()
    data_file(directory / "model.ckpt").rename(
        directory / "part-00000-of-00001.data-00000-of-00001"
    )
    for path in (tmp_path, tmp_path / "model.ckpt"):
        assert only(path, "half-written-save").severity is Severity.ERROR
    with pytest.raises(PathNotFoundError):
        found(tmp_path / "another")


def test_a_part_that_was_never_merged(tmp_path: Path) -> None:
    directory = tmp_path / "model.ckpt_temp"
    directory.mkdir()
    prefix = bundle_of(model()).write(directory / "part-00000-of-00002")
    assert "never merged" in only(prefix, "half-written-save").message


def test_what_is_no_checkpoint_raises(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError):
        found(tmp_path / "nothing")
    path = tmp_path / "notes.txt"
    path.write_text("no checkpoint")
    with pytest.raises(NotACheckpointError):
        found(path)


# The file `checkpoint`


def state_of(folder: Path, latest: str, *others: str) -> None:
    state = CheckpointState(
        model_checkpoint_path=latest, all_model_checkpoint_paths=(*others, latest)
    )
    (folder / "checkpoint").write_text(render_checkpoint_state(state))


def repaired(finding: Finding) -> CheckpointState:
    """The text that the remedy offers, read as TensorFlow would."""
    head, _, text = finding.remedy.partition("\n")
    assert head == "Replace its text by:"
    return parse_checkpoint_state(text.encode())


@pytest.mark.parametrize("target", ["directory", "index"])
def test_stale_checkpoint_state(target: str, tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    state_of(tmp_path, "/somewhere/else/model.ckpt", "/somewhere/else/older.ckpt")
    path = tmp_path if target == "directory" else index_file(prefix)
    finding = only(path, "stale-checkpoint-state")
    assert finding.severity is Severity.WARNING
    state = repaired(finding)
    assert state.model_checkpoint_path == "model.ckpt"
    assert state.all_model_checkpoint_paths == ("model.ckpt",)
    (tmp_path / "checkpoint").write_text(finding.remedy.partition("\n")[2])
    assert tf.train.latest_checkpoint(tmp_path) == str(prefix)
    assert found(path) == {}


def test_state_that_names_what_is_gone(tmp_path: Path) -> None:
    for step in (2, 10):
        bundle_of(model()).write(tmp_path / f"model.ckpt-{step}")
    state_of(tmp_path, "model.ckpt-11", "model.ckpt-2", "model.ckpt-10")
    (finding,) = found(tmp_path / "model.ckpt-2")["stale-checkpoint-state"]
    state = repaired(finding)
    assert state.model_checkpoint_path == "model.ckpt-10"
    assert state.all_model_checkpoint_paths == ("model.ckpt-2", "model.ckpt-10")
    state_of(tmp_path, "model.ckpt-10", "model.ckpt-1")
    finding = only(tmp_path / "model.ckpt-10", "stale-checkpoint-state")
    assert finding.severity is Severity.INFO
    assert repaired(finding).all_model_checkpoint_paths == ("model.ckpt-10",)


def test_absolute_checkpoint_state(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    state_of(tmp_path, str(prefix))
    finding = only(prefix, "absolute-checkpoint-state")
    assert finding.severity is Severity.INFO
    assert repaired(finding).model_checkpoint_path == "model.ckpt"
    state_of(tmp_path, "model.ckpt")
    assert found(prefix) == {}


def test_damaged_checkpoint_state(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ck')
    assert repaired(only(prefix, "damaged-checkpoint-state")).model_checkpoint_path == "model.ckpt"


# Names and roles


def test_name_based_and_object_based(tmp_path: Path) -> None:
    def codes(prefix: Path | str) -> set[str]:
        return {finding.code for finding in examine(prefix)}

    assert codes(written(tmp_path, model())) == {"name-based"}
    checkpoint = tf.train.Checkpoint(kernel=tf.Variable(normal(4, 4)))
    prefix = checkpoint.write(str(tmp_path / "objects"))
    assert codes(prefix) == set()
    graph = tf.compat.v1.MetaGraphDef()
    Path(f"{prefix}.meta").write_bytes(graph.SerializeToString())
    assert "object-based" in codes(prefix)
    bundle = Bundle.of(Path(prefix))
    del bundle.entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"]
    lost = codes(bundle.write(tmp_path / "lost"))
    assert "missing-object-graph" in lost
    assert "name-based" not in lost


def test_optimizer_state_in_a_file_of_weights(tmp_path: Path) -> None:
    values = model()
    slots = {f"dense/kernel/{name}": normal(16, 8) for name in ("Adam", "Adam_1")}
    trained = bundle_of(values | slots)
    assert "optimizer-state" not in found(trained.write(tmp_path / "model.ckpt"))
    prefix = trained.write(tmp_path / "best_weights")
    (finding,) = found(prefix)["optimizer-state"]
    assert finding.severity is Severity.INFO
    assert "1.0 kB of" in finding.message
    assert "optimizer-state" not in found(bundle_of(values).write(tmp_path / "slim_weights"))


def test_incomplete_slots(tmp_path: Path) -> None:
    values = {f"layer_{n}/kernel": normal(4, 4) for n in range(3)}
    slots = {f"{key}/{name}": normal(4, 4) for key in values for name in ("Adam", "Adam_1")}
    whole = values | slots | {"global_step": np.array(3)}
    assert found(written(tmp_path, whole)) == {}
    del whole["layer_1/kernel/Adam_1"]
    finding = only(written(tmp_path, whole), "incomplete-slots")
    assert finding.severity is Severity.WARNING
    assert finding.variable == "layer_1/kernel"


def test_saved_before_training(tmp_path: Path) -> None:
    values = {"layer/kernel": normal(4, 4), "layer/kernel/Momentum": normal(4, 4)}
    step = {"global_step": np.array(0)}
    assert only(written(tmp_path, values | step), "untrained").variable == "global_step"


@pytest.mark.parametrize("gone", [("moving_mean",), ("moving_mean", "moving_variance")])
def test_missing_moving_statistics(gone: tuple[str, ...], tmp_path: Path) -> None:
    values = model()
    for leaf in gone:
        del values[f"norm/batch_normalization/{leaf}"]
    finding = only(written(tmp_path, values), "missing-moving-statistics")
    assert finding.variable == "norm/batch_normalization/beta"
    assert "moving mean" in finding.message
    assert ("moving variance" in finding.message) == (len(gone) == 2)


def test_layer_normalization_has_no_moving_statistics(tmp_path: Path) -> None:
    values = {
        "block/layer_normalization/gamma": normal(8),
        "block/layer_normalization/beta": normal(8),
        "block/LayerNorm/gamma": normal(8),
    }
    assert found(written(tmp_path, values)) == {}


# Values


def put(value: np.ndarray, at: int, what: float) -> np.ndarray:
    value.reshape(-1)[at] = what
    return value


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("code", "bad"), [("nan", np.nan), ("inf", -np.inf)])
def test_nan_and_inf(code: str, bad: float, dtype: str, tmp_path: Path) -> None:
    values = model()
    values["dense/kernel"] = put(put(normal(16, 8, dtype=dtype), 19, bad), 100, bad)
    finding = only(written(tmp_path, values), code)
    assert finding.severity is Severity.ERROR
    assert finding.variable == "dense/kernel"
    assert "2 of 128 values" in finding.message
    assert "[2, 3]" in finding.message


def test_nan_and_inf_in_one_variable(tmp_path: Path) -> None:
    values = {"a/kernel": put(put(normal(4, 3, 2), 23, np.nan), 7, np.inf)}
    by_code = found(written(tmp_path, values))
    assert "[3, 2, 1]" in by_code["nan"][0].message
    assert "[1, 0, 1]" in by_code["inf"][0].message


def test_nan_behind_the_first_chunk(tmp_path: Path) -> None:
    values = {"a/kernel": put(normal(2000, 1000), 1_999_003, np.nan)}
    assert "[1999, 3]" in only(written(tmp_path, values), "nan").message


def test_nan_in_a_partitioned_variable_has_no_place(tmp_path: Path) -> None:
    values = put(normal(6, 4), 20, np.nan)
    prefix = save_slices(tmp_path / "model.ckpt", cut("part/weights", values, (2,)))
    assert "the first" not in only(prefix, "nan").message


@pytest.mark.parametrize(("code", "value"), [("all-zero", 0.0), ("constant", 0.25)])
def test_all_zero_and_constant(code: str, value: float, tmp_path: Path) -> None:
    values = model()
    values["dense/kernel"] = np.full((16, 8), value, np.float32)
    finding = only(written(tmp_path, values), code)
    assert finding.severity is Severity.WARNING
    assert finding.variable == "dense/kernel"


@pytest.mark.parametrize(("leaf", "value"), [("moving_mean", 0.0), ("moving_variance", 1.0)])
def test_fresh_moving_statistics(leaf: str, value: float, tmp_path: Path) -> None:
    values = model()
    key = f"norm/batch_normalization/{leaf}"
    values[key] = np.full(8, value, np.float32)
    assert only(written(tmp_path, values), "fresh-statistics").variable == key
    values[key] = np.full(8, 1 - value, np.float32)
    assert found(written(tmp_path, values)) == {}


def test_negative_variance(tmp_path: Path) -> None:
    values = model()
    values["norm/batch_normalization/moving_variance"][3] = -0.5
    values["norm/batch_normalization/moving_mean"][3] = -0.5
    finding = only(written(tmp_path, values), "negative-variance")
    assert finding.severity is Severity.ERROR
    assert finding.variable == "norm/batch_normalization/moving_variance"


def test_float16_overflow(tmp_path: Path) -> None:
    values = model()
    kernel = values["dense/kernel"]
    put(put(put(kernel, 3, 65519.0), 4, -65504.0), 5, 1.0)
    assert found(written(tmp_path, values)) == {}
    put(put(kernel, 3, 1e5), 4, -70000.0)
    finding = only(written(tmp_path, values), "float16-overflow")
    assert finding.variable == "dense/kernel"
    assert "2 values" in finding.message
    with np.errstate(over="ignore"):
        assert np.isinf(kernel.astype(np.float16)).sum() == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [200, 20_000])
def test_float16_underflow_is_what_numpy_rounds_to_zero(
    dtype: str, size: int, tmp_path: Path
) -> None:
    kernel = (RNG.choice([-1, 1], size) * 10.0 ** RNG.uniform(-12, 0, size)).astype(dtype)
    kernel[:3] = 2.0**-25, -(2.0**-25), 2.0**-25 * 1.01
    kernel = kernel.reshape(2, -1)
    lost = np.count_nonzero((kernel.astype(np.float16) == 0) & (kernel != 0))
    finding = only(written(tmp_path, {"a/kernel": kernel}), "float16-underflow")
    assert finding.severity is Severity.INFO
    assert f"{lost / kernel.size:.0%}" in finding.message


def test_denormal_values(tmp_path: Path) -> None:
    values = {"a/kernel": np.concatenate((normal(900), np.full(100, 1e-40, np.float32)))}
    by_code = found(written(tmp_path, values))
    assert "10%" in by_code["denormal-values"][0].message


def test_duplicate_tensors(tmp_path: Path) -> None:
    values = {"a/kernel": normal(32, 8), "b/kernel": normal(32, 8), "c/kernel": normal(8, 32)}
    values["copy/kernel"] = values["a/kernel"]
    values["turned/kernel"] = values["a/kernel"].reshape(8, 32)
    values["tiny/kernel"] = values["tiny_copy/kernel"] = normal(3, 3)
    values["a/bias"] = values["b/bias"] = np.zeros(400, np.float32)
    prefix = written(tmp_path, values)
    for read_values in (True, False):
        finding = only(prefix, "duplicate-tensor", read_values=read_values)
        assert finding.variable == "a/kernel"
        assert "copy/kernel" in finding.message
        assert "1.0 kB" in finding.message


def test_duplicates_where_the_file_has_no_checksums(tmp_path: Path) -> None:
    same = normal(32, 8)
    path = tmp_path / "model.npz"
    np.savez(path, a=same, b=same.copy(), c=normal(32, 8), d=np.zeros(400), e=np.zeros(400))
    assert only(path, "duplicate-tensor").variable == "a"
    np.savez(path, a=same, c=normal(32, 8))
    assert found(path) == {}


def test_many_groups_of_duplicates_are_summed_up(tmp_path: Path) -> None:
    values = {f"layer_{n}/kernel": normal(10, 10 + n) for n in range(25)}
    values |= {f"again_{key}": value for key, value in values.items()}
    findings = found(written(tmp_path, values))["duplicate-tensor"]
    assert len(findings) == 21
    assert "5 more groups" in findings[-1].message


# The pass


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_checksums_are_put_together(first: bytes, second: bytes) -> None:
    assert combined_crc(crc32c(first), crc32c(second), len(second)) == crc32c(first + second)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of more than 2 ** 16 elements count as large."""
    for module in (chunks, doctor_pass, statistics):
        monkeypatch.setattr(module, "PART_ELEMENTS", 1 << 16)


def big_values() -> Values:
    return {
        "big/kernel": normal(700, 300),
        "wide/kernel": normal(3, 100_000, dtype="float64"),
        "small/kernel": normal(20, 20),
    }


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("threads", [0, 3])
def test_large_tensors_in_parts(threads: int, tmp_path: Path) -> None:
    prefix = written(tmp_path, big_values())
    seen: list[Progress] = []
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        executor = pool if threads else None
        assert found(prefix, executor=executor, workers=8, progress=seen.append) == {}
        assert seen[-1].done == seen[-1].total == data_file(prefix).stat().st_size
        bundle = Bundle.of(prefix)
        bundle.shards[0][bundle.entries[b"wide/kernel"].offset + 2_000_001] ^= 1
        bundle.write(prefix)
        finding = only(prefix, "checksum-mismatch", executor=executor, workers=8)
    assert finding.variable == "wide/kernel"


@pytest.mark.usefixtures("small_parts")
def test_large_tensors_of_a_big_endian_machine(tmp_path: Path) -> None:
    bundle = bundle_of(big_values())
    bundle.to_big_endian()
    assert found(bundle.write(tmp_path / "model.ckpt")) == {}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("threads", [0, 2])
def test_each_byte_is_read_once(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = big_values() | {"copy/kernel": normal(20, 20)}
    prefix = written(tmp_path, values)
    reads: Counter[int] = Counter()
    lock = threading.Lock()
    read_into = LocalFile.read_into

    def counted(self: LocalFile, buffer: memoryview, offset: int) -> None:
        read_into(self, buffer, offset)
        if ".data-" in self.name:
            with lock:
                reads.update(range(offset, offset + memoryview(buffer).nbytes, 4))

    monkeypatch.setattr(LocalFile, "read_into", counted)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        assert found(prefix, executor=pool if threads else None, workers=8) == {}
    assert set(reads.values()) == {1}
    assert len(reads) == data_file(prefix).stat().st_size // 4


def test_shards_written_by_tensorflow(tmp_path: Path) -> None:
    parts = [save(tmp_path / f"part{n}", {f"v{n}/kernel": normal(9, 9)}) for n in range(2)]
    prefix = merge(tmp_path / "model.ckpt", parts)
    assert found(prefix) == {}


@pytest.mark.parametrize("threads", [0, 2])
def test_cancelling(threads: int, tmp_path: Path) -> None:
    prefix = written(tmp_path, {f"v{n}/kernel": normal(40, 40) for n in range(40)})
    cancel = CancelToken()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        findings = examine(prefix, cancel=cancel, executor=pool if threads else None)
        assert next(findings).code == "name-based"
        cancel.cancel()
        with pytest.raises(Cancelled):
            list(findings)


def test_a_shape_that_nothing_stored_can_fill_is_not_read() -> None:
    checkpoint = MemoryCheckpoint({"a": normal(3), "b": normal(3)})
    a, b = checkpoint.variables
    claimed = [a._replace(shape=(1 << 40, 1 << 20)), b]
    outcomes = {each.key: each.outcome for each in readings(checkpoint, claimed)}
    assert isinstance(outcomes["a"], DamagedFileError)
    assert isinstance(outcomes["b"], Statistics)
    assert checkpoint.reads == ["b"]


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    prefix = written(tmp_path, model())
    with open_checkpoint(prefix) as checkpoint:
        data = data_file(prefix)
        data.write_bytes(data.read_bytes() + b"more")
        by_code = found(checkpoint)
    assert "changed-while-read" in by_code
    assert "checksum-mismatch" not in by_code
    assert issubclass(ChangedFileError, OSError)


# Real files


@pytest.mark.parametrize(
    "folder",
    [
        "basicpitch_sm",
        "fer_hdf5",
        "mhcnuggets_h5",
        "onx_regression_ckpt",
        "silero_safetensors",
        "srv_sm_v2_half_plus_two",
        "srv_v1_sharded_export",
        "t2t_transformer_2shard",
        "tfjs_sm_int64",
        "tfx_estimator_2shard",
        "tfx_sm_2shard_assets",
        "tfx_sm_keras",
    ],
)
def test_real_checkpoints_are_healthy(corpus: Path, folder: str) -> None:
    findings = list(examine(corpus / folder))
    assert {finding.severity for finding in findings} <= {Severity.INFO}
    codes = {finding.code for finding in findings}
    optimizer = {"basicpitch_sm", "fer_hdf5", "tfx_sm_keras"}
    assert ("optimizer-state" in codes) == (folder in optimizer)
