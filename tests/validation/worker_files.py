"""Models, checkpoints and data that TensorFlow writes for the worker's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ckptviewer.resources import resource

DEMO = resource("demo")
EARLY, LATE = DEMO / "digits.ckpt-40", DEMO / "digits.ckpt-600"
DIGITS = DEMO / "digits.keras"
DATA = DEMO / "digits-validation.npz"

FACTORIES = """
import tensorflow as tf


class Net(tf.Module):
    def __init__(self, outputs=2):
        super().__init__(name="net")
        self.w = tf.Variable(tf.zeros((4, outputs)), name="w")
        self.b = tf.Variable(tf.zeros((outputs,)), name="b")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="features")])
    def __call__(self, features):
        print("a line in the middle of everything")
        return {"logits": features @ self.w + self.b}


def make():
    return Net()


def wide():
    return Net(3)


def unbuilt():
    import keras

    class Unbuilt(keras.Model):
        def __init__(self):
            super().__init__(name="unbuilt")
            self.dense = keras.layers.Dense(2, name="dense")

        def call(self, x):
            return self.dense(x)

    return Unbuilt()


def listed():
    import keras

    class Listed(keras.Model):
        # Layers in a plain list are not reached by tf.train.Checkpoint.

        def __init__(self):
            super().__init__(name="listed")
            self.first = keras.layers.Dense(4, name="first")
            self.blocks = [keras.layers.Dense(4, name="second")]
            self.build((None, 4))

        def build(self, shape):
            self.first.build(shape)
            self.blocks[0].build(shape)

        def call(self, x):
            return self.blocks[0](self.first(x))

    return Listed()


def doubling():
    return lambda x: 2.0 * x
"""

CUSTOM = """
import keras


@keras.saving.register_keras_serializable("tests")
class Thrice(keras.layers.Layer):
    def call(self, x):
        return 3.0 * x
"""


def trained_digits(prefix: Path = LATE) -> Any:
    """The demo's model, restored by TensorFlow itself in this process."""
    model = keras.models.load_model(DIGITS)
    tf.train.Checkpoint(model=model).read(str(prefix)).expect_partial()
    return model


def make_module_files(directory: Path) -> None:
    """A tf.Module's checkpoint `net-1`, factories, and data of which it is right on every one."""
    (directory / "factories.py").write_text(FACTORIES)
    space: dict[str, Any] = {}
    exec(FACTORIES, space)
    net = space["make"]()
    generator = np.random.default_rng(5)
    net.w.assign(generator.normal(size=(4, 2)))
    net.b.assign([0.5, -0.5])
    tf.train.Checkpoint(net=net, step=tf.Variable(3)).save(str(directory / "net"))
    tf.train.Checkpoint(model=space["listed"]()).save(str(directory / "listed"))
    x = generator.normal(size=(50, 4)).astype(np.float32)
    y = net(x)["logits"].numpy().argmax(axis=1)
    np.savez(directory / "net.npz", x=x, y=y)
    np.savez(directory / "narrow.npz", x=x[:, :3], y=y)
    np.save(directory / "x.npy", x)
    np.save(directory / "y.npy", y)
    table = np.column_stack([x.astype(np.float64), y])
    np.savetxt(directory / "net.csv", table, "%.9g", ",", header="a,b,c,d,label", comments="")
    feature, values = tf.train.Feature, tf.train
    with tf.io.TFRecordWriter(str(directory / "net.tfrecord")) as file:
        for inputs, label in zip(x, y, strict=True):
            named = {
                "features": feature(float_list=values.FloatList(value=inputs)),
                "label": feature(int64_list=values.Int64List(value=[label])),
            }
            example = values.Example(features=values.Features(feature=named))
            file.write(example.SerializeToString())


def make_graph_files(directory: Path) -> None:
    """A TensorFlow 1 training's checkpoint `graph-7` with its `.meta`: y = x @ W + b."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        truth = v1.placeholder(tf.float32, [None, 2], name="truth")
        weights = v1.get_variable(
            "W",
            initializer=np.arange(6, dtype=np.float32).reshape(3, 2),
            use_resource=False,
        )
        bias = v1.get_variable("b", initializer=np.float32([1, 2]), use_resource=True)
        y = tf.add(x @ weights, bias, name="y")
        loss = tf.reduce_mean((y - truth) ** 2, name="loss")
        v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        v1.add_to_collection("outputs", y)
        session.run(v1.global_variables_initializer())
        session.run(weights.initializer, {weights.initializer.inputs[1]: np.eye(3, 2) * 2})
        v1.train.Saver().save(session, str(directory / "graph"), global_step=7)


PIPELINES = ("one-shot", "initializable", "handle", "queue")


def make_pipeline_files(directory: Path) -> None:
    """Trainings of TensorFlow 1 without a placeholder for data: `KIND-3`, each with its `.meta`,
    and `bare-3`, which takes nothing at all. logits = x @ w.
    """
    for kind in PIPELINES:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            inputs, labels = _pipeline(kind)
            _train(session, inputs, labels, directory / kind)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", initializer=np.eye(4, 3, dtype=np.float32), use_resource=True)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(directory / "bare"), global_step=3)


def _pipeline(kind: str) -> Any:
    v1 = tf.compat.v1
    arrays = np.zeros((20, 4), np.float32), np.arange(20) % 3
    if kind == "queue":
        queue = v1.FIFOQueue(40, [tf.float32, tf.int64], [[4], []])
        return queue.dequeue_up_to(5)
    dataset = v1.data.Dataset.from_tensor_slices(arrays).map(lambda x, y: (x * 2, y)).batch(5)
    if kind == "one-shot":
        return v1.data.make_one_shot_iterator(dataset).get_next()
    if kind == "initializable":
        return v1.data.make_initializable_iterator(dataset).get_next()
    handle = v1.placeholder(tf.string, [], name="handle")
    types, shapes = v1.data.get_output_types(dataset), v1.data.get_output_shapes(dataset)
    return v1.data.Iterator.from_string_handle(handle, types, shapes).get_next()


def _train(session: Any, inputs: Any, labels: Any, path: Path) -> None:
    """The usual training graph: a loss, a metric with variables of its own, an optimizer."""
    v1 = tf.compat.v1
    weights = v1.get_variable("w", initializer=np.zeros((4, 3), np.float32), use_resource=True)
    logits = tf.identity(inputs @ weights, name="logits")
    loss = v1.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    v1.metrics.accuracy(labels, tf.argmax(logits, 1))
    v1.train.AdamOptimizer().minimize(tf.reduce_mean(loss))
    session.run(v1.global_variables_initializer())
    session.run(weights.initializer, {weights.initializer.inputs[1]: np.eye(4, 3) * 2})
    v1.train.Saver().save(session, str(path), global_step=3)


def make_keras_files(directory: Path) -> None:
    """The demo's trained model in each of Keras' formats, and models that need code."""
    (directory / "custom.py").write_text(CUSTOM)
    model = trained_digits()
    model.save_weights(directory / "digits.weights.h5")
    model.save(directory / "full.keras")
    model.save(directory / "full.h5")
    lambda_model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)])
    lambda_model.save(directory / "lambda.keras")
    space: dict[str, Any] = {"__name__": "custom"}
    exec(CUSTOM, space)
    keras.Sequential([keras.Input((4,)), space["Thrice"]()]).save(directory / "thrice.keras")
    data = np.load(DATA)
    for digit in range(3):
        folder = directory / "pictures" / f"digit-{digit}"
        folder.mkdir(parents=True)
        for number in np.flatnonzero(data["y"] == digit)[:4]:
            picture = np.round(data["x"][number] * 255).astype(np.uint8)
            encoded = tf.io.encode_png(picture).numpy()
            (folder / f"{number}.png").write_bytes(encoded)
