"""What a rescue saves, with TensorFlow as the judge."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.export import values
from ckptviewer.export.receipt import Receipt
from ckptviewer.export.rescue import plan_rescue, rescue
from ckptviewer.export.values import regions_in_order, values_in_order
from ckptviewer.formats.resolve import open_checkpoint
from tests import builders
from tests.builders import SAVABLE, Bundle

CORPUS = [
    "basicpitch_sm",
    "fer_hdf5",
    "keras_nested_container",
    "mhcnuggets_h5",
    "onx_regression_ckpt",
    "onx_regression_sm",
    "silero_safetensors",
    "srv_sm_v2_half_plus_two",
    "srv_v1_sharded_export",
    "t2t_transformer_2shard",
    "tfjs_sm_int64",
    "tfx_estimator_2shard",
    "tfx_sm_2shard_assets",
    "tfx_sm_keras",
]


def rescued(source: Path, target: Path, **options: Any) -> Receipt:
    with open_checkpoint(source) as checkpoint:
        return rescue(checkpoint, target, **options)


def damage(prefix: Path, *keys: str) -> None:
    """Flip a bit in the middle of what is stored under these keys."""
    bundle = Bundle.of(prefix)
    for key in keys:
        entry = bundle.entries[key.encode()]
        bundle.shards[entry.shard_id][entry.offset + entry.size // 2] ^= 0x10
    bundle.write(prefix)


def dropped(receipt: Receipt) -> dict[str, str]:
    return {each.key: each.reason for each in receipt.dropped}


def assert_equal(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for key, expected in wanted.items():
        assert (found[key].dtype, found[key].shape) == (expected.dtype, expected.shape)
        assert found[key].tolist() == expected.tolist() or (
            found[key].tobytes() == expected.tobytes()
        )


# Sound checkpoints, whole


@pytest.mark.parametrize("folder", CORPUS)
def test_real_checkpoints_whole(folder: str, corpus: Path, tmp_path: Path) -> None:
    files = {path: path.read_bytes() for path in (corpus / folder).rglob("*") if path.is_file()}
    with open_checkpoint(corpus / folder) as source:
        receipt = rescue(source, tmp_path / "saved")
        wanted = {each.key: source.read(each) for each in source.variables}
        dtypes = {each.key: (each.dtype, each.shape) for each in source.variables}
    assert receipt.dropped == ()
    assert receipt.verified
    assert {each.key: each.key_written for each in receipt.kept} == {key: key for key in wanted}
    assert builders.listed_in(tmp_path / "saved") == dtypes
    assert_equal(builders.values_in(tmp_path / "saved"), wanted)
    assert {path: path.read_bytes() for path in files} == files
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert receipt.bytes_after == size
    assert 0 < receipt.bytes_before <= sum(map(len, files.values()))


def test_every_dtype_in_one(tmp_path: Path) -> None:
    tensors = {
        f"{tf.as_dtype(number).name}/{len(shape)}": builders.sample_values(number, shape)
        for number in SAVABLE
        for shape in ((3, 4), (), (0, 2))
    }
    prefix = builders.save(tmp_path / "m", tensors)
    receipt = rescued(prefix, tmp_path / "saved")
    assert receipt.dropped == ()
    ours, theirs = Bundle.of(tmp_path / "saved"), Bundle.of(prefix)
    for key, entry in theirs.entries.items():
        assert ours.stored(key) == theirs.stored(key)
        assert ours.entries[key].crc32c == entry.crc32c
    assert_equal(builders.values_in(tmp_path / "saved"), builders.values_in(prefix))
    index, data = builders.index_file(prefix), builders.data_file(prefix)
    assert receipt.bytes_before == index.stat().st_size + data.stat().st_size


def test_big_endian_becomes_little_endian(tmp_path: Path) -> None:
    tensors = {
        tf.as_dtype(number).name: builders.sample_values(number)
        for number in SAVABLE
        if tf.as_dtype(number) != tf.variant
    }
    prefix = builders.save(tmp_path / "little", tensors)
    bundle = Bundle.of(prefix)
    bundle.to_big_endian()
    assert rescued(bundle.write(tmp_path / "big"), tmp_path / "saved").dropped == ()
    assert_equal(builders.values_in(tmp_path / "saved"), builders.values_in(prefix))


@pytest.mark.parametrize("at_once", [1 << 20, 0], ids=["whole", "by region"])
@pytest.mark.parametrize("kind", ["float32", "string", "int8"])
def test_partitioned_variables_become_whole(
    kind: str, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "_WHOLE_BYTES", at_once)
    monkeypatch.setattr(values, "CHUNK_BYTES", 64)
    whole = np.arange(20 * 15).reshape(20, 15)
    whole = whole.astype(bytes) if kind == "string" else whole.astype(kind)
    cut = builders.cut("net/kernel", whole, [3, 11], [7])
    prefix = builders.save_slices(tmp_path / "cut", cut)
    receipt = rescued(prefix, tmp_path / "saved")
    assert receipt.verified
    bundle = Bundle.of(tmp_path / "saved")
    assert list(bundle.entries) == [b"net/kernel"]
    assert not bundle.entries[b"net/kernel"].slices
    found = builders.values_in(tmp_path / "saved")["net/kernel"]
    assert found.tolist() == whole.tolist()
    if kind == "string":  # TensorFlow restores no slices of these
        return
    # As a model does whose variable is still partitioned.
    part = tf.raw_ops.RestoreV2(
        prefix=str(tmp_path / "saved"),
        tensor_names=["net/kernel"],
        shape_and_slices=["20 15 3,8:7,8"],
        dtypes=[tf.as_dtype(kind)],
    )[0]
    assert part.numpy().tolist() == whole[3:11, 7:15].tolist()


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (1, 1, 9), (7, 1), (3, 0)], ids=str)
@pytest.mark.parametrize("most", [1, 2, 5, 12, 1000])
def test_regions_make_up_the_whole_in_order(shape: tuple[int, ...], most: int) -> None:
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if not shape:
        return
    pieces = [whole[region].reshape(-1) for region in regions_in_order(shape, most)]
    assert [number for piece in pieces for number in piece.tolist()] == list(range(whole.size))
    assert all(0 < piece.size <= most for piece in pieces)


def test_other_formats(tmp_path: Path) -> None:
    arrays = {
        "encoder/kernel": np.random.default_rng(1).normal(size=(50, 7)).astype(np.float32),
        "half": np.arange(5, dtype=np.float16),
        "step": np.array(7),
        "empty": np.zeros((0, 3)),
    }
    safetensors.numpy.save_file(arrays, tmp_path / "m.safetensors")
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    for number, name in enumerate(("m.safetensors", "m.npz")):
        target = tmp_path / f"saved{number}"
        receipt = rescued(tmp_path / name, target)
        assert receipt.bytes_before == (tmp_path / name).stat().st_size
        assert_equal(builders.values_in(target), arrays)


def test_what_lies_beside_a_source_is_not_the_source(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", good=np.ones(2))
    (tmp_path / "m.npz.bak").write_bytes(bytes(100))
    for overwrite in (False, True):
        receipt = rescued(tmp_path / "m.npz", tmp_path / "m", overwrite=overwrite)
        assert receipt.bytes_before == (tmp_path / "m.npz").stat().st_size
    assert list(builders.values_in(tmp_path / "m")) == ["good"]


# Damaged ones


def test_damaged_variables_are_left_out_with_the_reason(tmp_path: Path) -> None:
    tensors = {f"layer_{n}/kernel": np.full((30, 3), n, np.float32) for n in range(5)}
    tensors["names"] = np.array([b"one", b"two"])
    tensors["cut"] = np.zeros(3)
    prefix = builders.save(tmp_path / "m", tensors)
    damage(prefix, "layer_1/kernel", "names")
    receipt = rescued(prefix, tmp_path / "saved")
    assert dropped(receipt).keys() == {"layer_1/kernel", "names"}
    assert "do not match their checksum" in dropped(receipt)["layer_1/kernel"]
    left = {key: np.asarray(each) for key, each in tensors.items() if key not in dropped(receipt)}
    assert_equal(builders.values_in(tmp_path / "saved"), left)
    with open_checkpoint(tmp_path / "saved") as saved:
        assert saved.findings == ()


@pytest.mark.parametrize("how", ["truncated", "missing"])
def test_lost_data_files(how: str, tmp_path: Path) -> None:
    parts = [
        builders.save(tmp_path / f"part{n}", {f"{n}/{i}": np.full(9, i) for i in range(4)})
        for n in range(2)
    ]
    prefix = builders.merge(tmp_path / "m", parts)
    wanted = builders.values_in(prefix)
    data = builders.data_file(prefix, 1, 2)
    if how == "missing":
        data.unlink()
        lost = {f"1/{i}" for i in range(4)}
    else:
        data.write_bytes(data.read_bytes()[: 9 * 8 * 2 + 5])
        lost = {"1/2", "1/3"}
    receipt = rescued(prefix, tmp_path / "saved")
    assert dropped(receipt).keys() == lost
    assert all(data.name in reason for reason in dropped(receipt).values())
    for key in lost:
        del wanted[key]
    assert_equal(builders.values_in(tmp_path / "saved"), wanted)


def test_an_index_with_a_damaged_block(tmp_path: Path) -> None:
    tensors = {f"v{n:03}": np.float32(n) for n in range(100)}
    prefix = builders.save(tmp_path / "m", tensors)
    bundle = Bundle.of(prefix)
    bundle.write(prefix, block_entries=10)
    index = builders.index_file(prefix)
    table = bytearray(index.read_bytes())
    table[table.index(b"v0" + b"45"[:1])] ^= 1
    index.write_bytes(table)
    receipt = rescued(prefix, tmp_path / "saved")
    found = builders.values_in(tmp_path / "saved")
    assert len(found) == len(receipt.kept) == 90
    assert all(found[key] == tensors[key] for key in found)


def test_slices_that_are_lost_take_their_variable_along(tmp_path: Path) -> None:
    whole = np.arange(40, dtype=np.float32).reshape(10, 4)
    prefix = builders.save_slices(
        tmp_path / "m", [*builders.cut("a", whole, [5]), *builders.cut("b", whole, [5])]
    )
    bundle = Bundle.of(prefix)
    key = builders.slice_key(b"a", ((0, 5), (0, 4)))
    entry = next(each for name, each in bundle.entries.items() if name[:3] == key[:3])
    bundle.shards[0][entry.offset] ^= 1
    bundle.write(prefix)
    receipt = rescued(prefix, tmp_path / "saved")
    assert dropped(receipt).keys() == {"a"}
    assert builders.values_in(tmp_path / "saved")["b"].tolist() == whole.tolist()


def test_nothing_intact_writes_nothing(tmp_path: Path) -> None:
    prefix = builders.save(tmp_path / "m", {"a": np.zeros(100)})
    builders.data_file(prefix).unlink()
    (tmp_path / "saved").mkdir()
    receipt = rescued(prefix, tmp_path / "saved" / "m")
    assert not receipt.verified
    assert receipt.kept == ()
    assert dropped(receipt).keys() == {"a"}
    assert receipt.bytes_after == 0
    assert list((tmp_path / "saved").iterdir()) == []


def test_what_tensorflow_has_no_key_or_dtype_for_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **{"": np.zeros(2), "good": np.ones(2)})
    header = (
        b'{"bad": {"dtype": "F8_E8M0", "shape": [2], "data_offsets": [0, 2]},'
        b' "good": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}'
    )
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for file, key, words in (("m.npz", "", "empty"), ("m.safetensors", "bad", "F8_E8M0")):
        receipt = rescued(tmp_path / file, tmp_path / "saved", overwrite=True)
        assert list(builders.values_in(tmp_path / "saved")) == ["good"]
        assert words in dropped(receipt)[key]


# Objects


def model() -> Any:
    keras.utils.set_random_seed(3)
    built = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    built.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    return built


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A trained Keras 3 model saved with its optimizer, and the model."""
    built = model()
    rng = np.random.default_rng(0)
    built.fit(rng.normal(size=(64, 6)), rng.normal(size=(64, 3)), epochs=2, verbose=0)
    directory = tmp_path_factory.mktemp("trained")
    prefix = tf.train.Checkpoint(model=built).save(str(directory / "ckpt"))
    return Path(prefix), built


INPUTS = np.random.default_rng(9).normal(size=(10, 6)).astype(np.float32)


def copy_of(prefix: Path, directory: Path) -> Path:
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        shutil.copy(path, directory)
    return directory / prefix.name


def test_a_model_restores_by_objects(trained: tuple[Path, Any], tmp_path: Path) -> None:
    prefix, built = trained
    receipt = rescued(prefix, tmp_path / "saved")
    assert receipt.dropped == ()
    fresh = model()
    fresh.optimizer.build(fresh.trainable_variables)
    checkpoint = tf.train.Checkpoint(model=fresh)
    status = checkpoint.restore(str(tmp_path / "saved"))
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(fresh(INPUTS).numpy(), built(INPUTS).numpy())
    for mine, theirs in zip(fresh.optimizer.variables, built.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    ours, theirs = Bundle.of(tmp_path / "saved"), Bundle.of(prefix)
    assert ours.stored(OBJECT_GRAPH_KEY) == theirs.stored(OBJECT_GRAPH_KEY)


def test_a_model_restores_without_what_is_lost(trained: tuple[Path, Any], tmp_path: Path) -> None:
    prefix, built = trained
    prefix = copy_of(prefix, tmp_path)
    with open_checkpoint(prefix) as source:
        lost = next(each.key for each in source.variables if each.name.endswith("/kernel"))
    damage(prefix, lost)
    with pytest.raises(tf.errors.DataLossError):
        tf.train.Checkpoint(model=model()).restore(str(prefix))
    receipt = rescued(prefix, tmp_path / "saved")
    assert dropped(receipt).keys() == {lost}

    fresh = model()
    before = [each.numpy() for each in fresh.variables]
    status = tf.train.Checkpoint(model=fresh).restore(str(tmp_path / "saved"))
    status.expect_partial()
    now = [each.numpy() for each in fresh.variables]
    same = [
        np.array_equal(mine, theirs.numpy())
        for mine, theirs in zip(now, built.variables, strict=True)
    ]
    assert fresh.variables[0].name == "kernel"
    assert same == [False] + [True] * (len(now) - 1)
    np.testing.assert_array_equal(now[0], before[0])
    # Silence would be the worst: TensorFlow can tell that this one was not restored.
    with pytest.raises(AssertionError, match="not bound"):
        status.assert_existing_objects_matched()


def test_a_model_restores_without_its_optimizer(trained: tuple[Path, Any], tmp_path: Path) -> None:
    prefix, built = trained
    prefix = copy_of(prefix, tmp_path)
    with open_checkpoint(prefix) as source:
        slots = [each.key for each in source.variables if each.role == "optimizer-slot"]
    assert len(slots) > 4
    damage(prefix, *slots)
    assert dropped(rescued(prefix, tmp_path / "saved")).keys() == set(slots)
    fresh = keras.Sequential([keras.layers.Input((6,)), *model().layers])
    status = tf.train.Checkpoint(model=fresh).restore(str(tmp_path / "saved"))
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(fresh(INPUTS).numpy(), built(INPUTS).numpy())


class Net(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = tf.Variable(tf.ones([4, 3]), name="first")
        self.second = tf.Variable(tf.ones([3]), name="second")


def slotted() -> tuple[Any, Any]:
    net, optimizer = Net(), tf.compat.v1.train.AdamOptimizer(0.1)
    optimizer.apply_gradients([(tf.ones_like(each), each) for each in (net.first, net.second)])
    return net, optimizer


@pytest.mark.parametrize("lost", ["first/.ATTRIBUTES", "first/.OPTIMIZER_SLOT/optimizer/m"])
def test_slots_restore_without_what_is_lost(lost: str, tmp_path: Path) -> None:
    net, optimizer = slotted()
    prefix = Path(tf.train.Checkpoint(net=net, optimizer=optimizer).save(str(tmp_path / "m")))
    with open_checkpoint(prefix) as source:
        (key,) = [each.key for each in source.variables if f"net/{lost}" in each.key]
    damage(prefix, key)
    assert dropped(rescued(prefix, tmp_path / "saved")).keys() == {key}

    other, others = Net(), tf.compat.v1.train.AdamOptimizer(0.1)
    for each in (other.first, other.second):
        each.assign(tf.zeros_like(each))
    checkpoint = tf.train.Checkpoint(net=other, optimizer=others)
    checkpoint.restore(str(tmp_path / "saved")).expect_partial()
    assert other.second.numpy().tolist() == net.second.numpy().tolist()
    expected = np.zeros((4, 3)) if "ATTR" in lost else net.first.numpy()
    assert other.first.numpy().tolist() == expected.tolist()
    np.testing.assert_array_equal(
        others.get_slot(other.second, "m").numpy(), optimizer.get_slot(net.second, "m").numpy()
    )


def test_without_its_object_graph_values_load_by_key(
    trained: tuple[Path, Any], tmp_path: Path
) -> None:
    prefix, _ = trained
    wanted = builders.values_in(prefix)
    prefix = copy_of(prefix, tmp_path)
    damage(prefix, OBJECT_GRAPH_KEY)
    receipt = rescued(prefix, tmp_path / "saved")
    assert dropped(receipt).keys() == {OBJECT_GRAPH_KEY}
    assert "tf.train.Checkpoint" in dropped(receipt)[OBJECT_GRAPH_KEY]
    del wanted[OBJECT_GRAPH_KEY]
    assert_equal(builders.values_in(tmp_path / "saved"), wanted)


def test_entries_that_the_index_has_lost_are_named_by_the_graph(
    trained: tuple[Path, Any], tmp_path: Path
) -> None:
    prefix, _ = trained
    bundle = Bundle.of(prefix)
    bundle.write(tmp_path / "m", block_entries=4)
    index = tmp_path / "m.index"
    table = bytearray(index.read_bytes())
    groups = [pair[0] for pair in bundle.pairs()[4:8]]
    table[table.index(groups[0])] ^= 1
    index.write_bytes(table)
    receipt = rescued(tmp_path / "m", tmp_path / "saved")
    assert dropped(receipt).keys() == {key.decode() for key in groups}
    tf.train.Checkpoint(model=model()).restore(str(tmp_path / "saved")).expect_partial()


def test_metadata_alone_is_not_worth_saving(trained: tuple[Path, Any], tmp_path: Path) -> None:
    prefix = copy_of(trained[0], tmp_path)
    bundle = Bundle.of(prefix)
    damage(prefix, *(key.decode() for key in bundle.entries if key != OBJECT_GRAPH_KEY.encode()))
    receipt = rescued(prefix, tmp_path / "saved")
    assert not receipt.verified
    assert len(receipt.dropped) == len(bundle.entries)


# Names


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_saver_restores_what_is_left(version: str, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    write = getattr(v1.train.SaverDef, version)

    def graph() -> tuple[Any, Any, Any]:
        kernel = v1.get_variable("net/kernel", (4, 3), initializer=v1.zeros_initializer())
        part = v1.get_variable(
            "net/parts",
            (6, 2),
            partitioner=v1.fixed_size_partitioner(3),
            initializer=v1.zeros_initializer(),
        )
        return kernel, tf.convert_to_tensor(part), list(part)

    with tf.Graph().as_default(), v1.Session() as session:
        kernel, _, parts = graph()
        session.run(v1.global_variables_initializer())
        session.run([kernel.assign(np.arange(12).reshape(4, 3))])
        session.run([each.assign(np.full((2, 2), n)) for n, each in enumerate(parts)])
        prefix = v1.train.Saver(write_version=write).save(session, str(tmp_path / "m"))
    assert rescued(Path(prefix), tmp_path / "saved").dropped == ()
    with tf.Graph().as_default(), v1.Session() as session:
        kernel, whole, _ = graph()
        v1.train.Saver().restore(session, str(tmp_path / "saved"))
        assert session.run(kernel).tolist() == np.arange(12).reshape(4, 3).tolist()
        assert session.run(whole).tolist() == np.repeat([0, 1, 2], 2)[:, None].repeat(2, 1).tolist()
    with tf.Graph().as_default(), v1.Session() as session:
        renamed = v1.get_variable("other", (4, 3))
        v1.train.init_from_checkpoint(str(tmp_path / "saved"), {"net/kernel": renamed})
        session.run(v1.global_variables_initializer())
        assert session.run(renamed).tolist() == np.arange(12).reshape(4, 3).tolist()


def test_the_plan_tells_before_anything_is_written(tmp_path: Path) -> None:
    prefix = builders.save(tmp_path / "m", {"a": np.zeros(100), "b": np.array(b"text")})
    with open_checkpoint(prefix) as source:
        plan = plan_rescue(source)
        assert [each.key for each in plan.kept] == ["a", "b"]
        assert plan.written_bytes == source["a"].stored_bytes + source["b"].stored_bytes
        assert next(values_in_order(source, source["a"])).tolist() == [0] * 100
