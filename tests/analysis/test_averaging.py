"""Averages of checkpoints, against TensorFlow: in memory, and written out and read by it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.analysis.averaging import AveragedCheckpoint, Averaging, weights_of
from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.formats.resolve import open_checkpoint
from tests.analysis.memory_checkpoint import MemoryCheckpoint
from tests.builders import cut, save, save_slices, values_in

RNG = np.random.default_rng(5)
DTYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)


def tensors(number: int) -> dict[str, np.ndarray]:
    """Values of one step: some have a mean, some have none."""
    normal = np.random.default_rng(number).standard_normal
    return {
        **{f"w/{np.dtype(dtype).name}": normal((40, 30)).astype(dtype) for dtype in DTYPES},
        "w/complex": (normal(20) + 1j * normal(20)).astype(np.complex64),
        "w/Adam": normal((40, 30)).astype(np.float32),
        "w/scalar": np.array(number, np.float32),
        "w/empty": np.empty((0, 3), np.float32),
        "global_step": np.array(100 * number),
        "names": np.array([b"text %d" % number]),
        "ids": np.arange(number, number + 4),
    }


@pytest.fixture(scope="module")
def prefixes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("averaging")
    return [str(save(directory / f"ckpt-{number}", tensors(number))) for number in (1, 2, 3)]


def mean_by_tensorflow(prefixes: Sequence[str], weights: Sequence[float], key: str) -> np.ndarray:
    values = [tf.train.load_variable(prefix, key) for prefix in prefixes]
    wide = tf.complex128 if values[0].dtype.kind == "c" else tf.float64
    parts = [
        tf.cast(value, wide) * tf.constant(weight, wide)
        for value, weight in zip(values, weights, strict=True)
    ]
    return np.asarray(tf.cast(tf.add_n(parts), values[0].dtype).numpy())


@pytest.mark.parametrize("averaging", list(Averaging))
def test_means_are_those_of_tensorflow(prefixes: list[str], averaging: Averaging) -> None:
    weights = weights_of(3, averaging, 0.5)
    with AveragedCheckpoint.open(prefixes, weights) as averaged:
        for key in tensors(1):
            variable = averaged[key]
            values = averaged.read(variable)
            chunks = [chunk.copy() for chunk in averaged.chunks(variable, 64)]
            if chunks:
                assert np.array_equal(np.concatenate(chunks), values.reshape(-1)), key
            if key in ("global_step", "names", "ids"):
                assert not averaged.is_averaged(variable)
                last = np.asarray(tf.train.load_variable(prefixes[-1], key))
                assert np.array_equal(values, last)
                assert averaged.checksum(variable) is not None
                continue
            assert averaged.is_averaged(variable)
            assert averaged.checksum(variable) is None
            wanted = mean_by_tensorflow(prefixes, weights, key)
            assert values.dtype == wanted.dtype
            assert np.allclose(
                values.astype(np.complex128),
                wanted.astype(np.complex128),
                rtol=2 * float(ml_dtypes.finfo(values.real.dtype).eps),
            ), key
        part = averaged.read(averaged["w/float32"], (slice(3, 9), slice(2, 4)))
        assert np.array_equal(part, averaged.read(averaged["w/float32"])[3:9, 2:4])


def test_weights() -> None:
    assert weights_of(4) == (0.25,) * 4
    assert weights_of(3, Averaging.EXPONENTIAL, 0.5) == pytest.approx((1 / 7, 2 / 7, 4 / 7))
    assert weights_of(1, Averaging.EXPONENTIAL, 0.9) == (1.0,)
    for decay in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(CkptviewerError, match="decay"):
            weights_of(3, Averaging.EXPONENTIAL, decay)
    with pytest.raises(CkptviewerError, match="nothing"):
        weights_of(0)


def test_what_the_others_lack_is_taken_from_the_last() -> None:
    one = MemoryCheckpoint({"a": np.ones(3), "b": np.ones(3)})
    two = MemoryCheckpoint({"a": np.full(3, 3.0), "b": np.ones(4), "c": np.zeros(2)})
    averaged = AveragedCheckpoint([one, two], [1, 1])
    assert averaged.read(averaged["a"]).tolist() == [2.0] * 3
    assert averaged.read(averaged["b"]).tolist() == [1.0] * 4
    assert [finding.code for finding in averaged.own_findings] == ["not-averaged"]
    assert "2 variables" in averaged.own_findings[0].message
    averaged.require_mean()
    strangers = AveragedCheckpoint([MemoryCheckpoint({"x": np.ones(1)}), two], [1, 1])
    with pytest.raises(CkptviewerError, match="no variable"):
        strangers.require_mean()


def test_nan_stays_nan_and_damage_is_told() -> None:
    one = MemoryCheckpoint({"a": np.array([1.0, np.nan])})
    two = MemoryCheckpoint({"a": np.array([3.0, 1.0])})
    averaged = AveragedCheckpoint([one, two], [1, 1])
    found = averaged.read(averaged["a"])
    assert found[0] == 2.0
    assert np.isnan(found[1])
    damaged = MemoryCheckpoint({"a": np.ones(2)}, damaged={"a": DamagedFileError("cut short")})
    with pytest.raises(DamagedFileError, match="cut short"):
        list(AveragedCheckpoint([damaged, two], [1, 1]).chunks(two["a"]))


def test_partitioned_variables(tmp_path: Path) -> None:
    values = [RNG.standard_normal((60, 9)).astype(np.float32) for _ in range(2)]
    prefixes = [
        save_slices(tmp_path / "a", cut("w", values[0], [20, 45])),
        save_slices(tmp_path / "b", cut("w", values[1], [10], [4])),
    ]
    with AveragedCheckpoint.open(list(map(str, prefixes)), (1, 1)) as averaged:
        variable = averaged["w"]
        assert averaged.in_order(variable)
        wanted = (values[0].astype(np.float64) + values[1]) / 2
        chunks = np.concatenate([chunk.copy() for chunk in averaged.chunks(variable, 256)])
        assert chunks == pytest.approx(wanted.reshape(-1), rel=1e-6)


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path) -> None:
    size = 16 << 20
    for number in range(3):
        save(tmp_path / f"ckpt-{number}", {"w": np.full(size // 4, number, np.float32)})
    paths = [str(tmp_path / f"ckpt-{number}") for number in range(3)]
    with AveragedCheckpoint.open(paths, weights_of(3)) as averaged:
        tracemalloc.start()
        for chunk in averaged.chunks(averaged["w"], 1 << 20):
            assert chunk[0] == chunk[-1] == 1.0
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < size / 2


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_average_of_a_training_is_the_models(tmp_path: Path) -> None:
    from ckptviewer.export.choices import Choices
    from ckptviewer.export.execute import execute
    from ckptviewer.export.planning import make_plan

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    checkpoint = tf.train.Checkpoint(model=model)
    x = np.random.default_rng(0).random((32, 4), np.float32)
    paths, kernels = [], []
    for _ in range(3):
        model.fit(x, x.sum(axis=1, keepdims=True), verbose=0)
        paths.append(checkpoint.save(str(tmp_path / "ckpt")))
        kernels.append([each.numpy().astype(np.float64) for each in model.trainable_variables])
    target = tmp_path / "out" / "mean"
    target.parent.mkdir()
    with AveragedCheckpoint.open(paths, weights_of(3)) as averaged:
        receipt = execute(make_plan(averaged, Choices()), averaged, target)
        assert receipt.verified
        with open_checkpoint(target) as written:
            for variable in written.variables:
                if averaged.is_averaged(averaged[variable.key]):
                    assert np.array_equal(
                        written.read(variable), averaged.read(averaged[variable.key])
                    )
    assert set(values_in(target)) == set(values_in(Path(paths[-1])))
    checkpoint.restore(str(target)).assert_existing_objects_matched()
    for index, each in enumerate(model.trainable_variables):
        wanted = np.mean([step[index] for step in kernels], axis=0)
        assert each.numpy() == pytest.approx(wanted, rel=1e-6)
