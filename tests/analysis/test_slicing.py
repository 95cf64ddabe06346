"""Planes, landmarks, pictures, tiles and colours against NumPy."""

from __future__ import annotations

import colorsys
from itertools import permutations, product

import ml_dtypes
import numpy as np
import pytest

from ckptviewer.analysis.colouring import ON_DARK, ON_LIGHT, Colours, limit_of, paint
from ckptviewer.analysis.landmarks import Landmark, find
from ckptviewer.analysis.pictures import read_plane
from ckptviewer.analysis.slicing import (
    index_text,
    parse_index,
    plane_of,
    touched_bytes,
)
from ckptviewer.analysis.tiles import folded, kernel_axes, kernels, square_width
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Region
from ckptviewer.checkpoint.errors import Cancelled, OpaqueVariableError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.variable import Variable
from tests.analysis.memory_checkpoint import MemoryCheckpoint, one

RNG = np.random.default_rng(4)


class CountingCheckpoint(MemoryCheckpoint):
    """Notes the shapes of what is read."""

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        values = super().read(variable, region)
        self.__dict__.setdefault("sizes", []).append(values.size)
        return values


# Planes


@pytest.mark.parametrize("axes", list(permutations(range(5), 2)))
def test_any_plane_of_five_axes(axes: tuple[int, int]) -> None:
    values = RNG.normal(size=(3, 4, 5, 6, 7))
    at = tuple(int(RNG.integers(size)) for size in values.shape)
    plane = plane_of(values.shape, *axes, at=at)
    assert (plane.rows, plane.columns) == (values.shape[axes[0]], values.shape[axes[1]])
    part = plane.arrange(values[plane.region((1, 3), (0, 2))])
    assert part.shape == (2, 2)
    for row, column in product(range(2), range(2)):
        index = plane.index_at(row + 1, column)
        assert part[row, column] == values[index]
        assert plane.cell_of(index) == (row + 1, column)
        assert plane.through(index) == plane


def test_planes_of_vectors_and_scalars() -> None:
    vector = plane_of((9,))
    assert (vector.rows, vector.columns, vector.index_at(4, 0)) == (9, 1, (4,))
    np.testing.assert_array_equal(
        vector.arrange(np.arange(9)[vector.region((2, 4), (0, 1))]), [[2], [3]]
    )
    scalar = plane_of(())
    assert (scalar.rows, scalar.columns, scalar.index_at(0, 0)) == (1, 1, ())
    np.testing.assert_array_equal(scalar.arrange(np.array(7)), [[7]])


def test_turned_plane_is_the_transpose() -> None:
    values = RNG.normal(size=(3, 4, 5))
    plane = plane_of(values.shape, 0, 2, (0, 3, 0))
    turned = plane.turned()
    np.testing.assert_array_equal(
        turned.arrange(values[turned.region((0, 5), (0, 3))]),
        plane.arrange(values[plane.region((0, 3), (0, 5))]).T,
    )


@pytest.mark.parametrize("axes", [(0, 0), (0, 3), (-1, 0)])
def test_axes_that_are_none(axes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="axes"):
        plane_of((3, 4, 5), *axes)


@pytest.mark.parametrize("text", ["1, 2, 3", "[1, 2, 3]", "1 2 3", "(1,2,3)", "-1 -2 \u22122"])
def test_index_as_people_write_it(text: str) -> None:
    expected = (1, 2, 3)
    assert parse_index(text, (2, 4, 5)) == expected
    assert index_text(expected) == "[1, 2, 3]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1, 2", "has 3 axes, and these are 2"),
        ("1, 4, 0", "Axis 1 has indices 0 to 3"),
        ("1, -5, 0", "Axis 1 has indices 0 to 3"),
        ("one, 2, 3", "a whole number for each axis"),
        ("", "has 3 axes, and these are 0"),
    ],
)
def test_index_that_is_none(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_index(text, (2, 4, 5))


def test_touched_bytes() -> None:
    assert touched_bytes((10, 20), 4, (slice(0, 10), slice(0, 20))) == 800
    assert touched_bytes((10, 20), 4, (slice(3, 4), slice(5, 7))) == 8
    assert touched_bytes((10, 20), 4, (slice(3, 5), slice(5, 7))) == 160  # whole rows
    assert touched_bytes((10, 20), 4, (slice(3, 3), slice(5, 7))) == 0
    wide = CHUNK_BYTES  # rows of four times what is read in one go
    assert touched_bytes((10, wide), 4, (slice(3, 5), slice(5, 7))) == 16
    assert touched_bytes((), 8, ()) == 8


# Landmarks


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "float8_e5m2"])
def test_landmarks_of_floats(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptviewer.analysis.landmarks.BOX_BYTES", 64)
    numpy_dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    wide = RNG.normal(size=(4, 5, 6)).round(1)
    wide[1, 2, 3], wide[3, 0, 5], wide[0, 0, 1] = 7, -8, np.inf
    wide[2, 4, 1] = wide[3, 4, 5] = np.nan
    checkpoint, variable = one(wide.astype(numpy_dtype))
    assert find(checkpoint, variable, Landmark.LARGEST) == (1, 2, 3)
    assert find(checkpoint, variable, Landmark.SMALLEST) == (3, 0, 5)
    assert find(checkpoint, variable, Landmark.NAN) == (2, 4, 1)
    assert find(checkpoint, variable, Landmark.INFINITE) == (0, 0, 1)


def test_landmarks_of_other_numbers() -> None:
    large = np.array([2**62, 2**62 + 1, -5])  # equal as floats
    for values, largest, smallest in (
        (large, 1, 2),
        (np.array([False, True, True]), 1, 0),
        (np.array([1 + 1j, -3 + 0j, 0.5j]), 1, 2),
        (np.array([3, -8, 7]).astype(ml_dtypes.int4), 2, 1),
    ):
        checkpoint, variable = one(values)
        assert find(checkpoint, variable, Landmark.LARGEST) == (largest,)
        assert find(checkpoint, variable, Landmark.SMALLEST) == (smallest,)
        assert find(checkpoint, variable, Landmark.NAN) is None


def test_landmarks_that_are_not_there() -> None:
    checkpoint, variable = one(np.array([np.nan, np.inf], np.float32))
    assert find(checkpoint, variable, Landmark.LARGEST) is None
    checkpoint, variable = one(np.zeros((0, 3), np.float32))
    assert find(checkpoint, variable, Landmark.SMALLEST) is None
    checkpoint, variable = one(np.array(5.0))
    assert find(checkpoint, variable, Landmark.LARGEST) == ()
    checkpoint, variable = one(np.array([b"a"], object))
    with pytest.raises(OpaqueVariableError):
        find(checkpoint, variable, Landmark.LARGEST)


def test_search_is_cancelled_and_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptviewer.analysis.landmarks.BOX_BYTES", 400)
    checkpoint, variable = one(np.zeros((10, 100), np.float32))
    told: list[Progress] = []
    find(checkpoint, variable, Landmark.NAN, progress=told.append)
    assert [p.done for p in told] == list(range(100, 1001, 100))
    token = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.done == 300:
            token.cancel()

    checkpoint.reads.clear()
    with pytest.raises(Cancelled):
        find(checkpoint, variable, Landmark.NAN, cancel=token, progress=stop)
    assert len(checkpoint.reads) == 3


# Pictures


def reduced(values: np.ndarray, down: int, across: int, how: str) -> np.ndarray:
    """The slow way: block by block."""
    rows = []
    for top in range(0, values.shape[0], down):
        row = []
        for left in range(0, values.shape[1], across):
            block = values[top : top + down, left : left + across].astype(np.float64)
            if how == "mean":
                row.append(block.mean())
            elif np.isnan(block).any():
                row.append(np.nan)
            else:
                high, low = block.max(), block.min()
                row.append(low if -low > high else high)
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("how", ["largest |x|", "mean"])
@pytest.mark.parametrize("axes", [(0, 2), (2, 0), (1, 2), (1, 0)])
@pytest.mark.parametrize("piece_bytes", [1 << 20, 700, 64])
def test_reduced_planes(
    how: str, axes: tuple[int, int], piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckptviewer.analysis.pictures._PIECE_BYTES", piece_bytes)
    values = RNG.normal(size=(37, 11, 53)).astype(np.float32)
    values[5, 3, 7] = np.nan
    checkpoint, variable = one(values)
    plane = plane_of(values.shape, *axes, at=(5, 3, 7))
    picture = read_plane(checkpoint, variable, plane, side=10, reduction=how)  # type: ignore[arg-type]
    whole = plane.arrange(values[plane.region((0, plane.rows), (0, plane.columns))])
    expected = reduced(whole, picture.down, picture.across, how)
    assert max(picture.values.shape) <= 10
    np.testing.assert_allclose(picture.values, expected, rtol=1e-6)
    assert np.isnan(picture.values).sum() == 1
    assert f"{picture.down} \u00d7 {picture.across} elements" in picture.note
    assert "Sampled" not in picture.note


def test_small_planes_are_exact() -> None:
    values = RNG.normal(size=(20, 30)).astype(np.float32)
    checkpoint, variable = one(values)
    picture = read_plane(checkpoint, variable, plane_of(values.shape), side=30)
    assert picture.exact
    assert picture.note == ""
    np.testing.assert_array_equal(picture.values, values)
    part = read_plane(
        checkpoint, variable, plane_of(values.shape, 1, 0), rows=(3, 9), columns=(2, 7), side=30
    )
    np.testing.assert_array_equal(part.values, values.T[3:9, 2:7])


@pytest.mark.parametrize("turned", [False, True])
def test_of_what_is_too_large_some_rows_are_read_and_it_says_so(turned: bool) -> None:
    values = np.arange(1000 * 40, dtype=np.float32).reshape(1000, 40)
    checkpoint = CountingCheckpoint({"x": values})
    variable = checkpoint["x"]
    plane = plane_of(values.shape, *((1, 0) if turned else (0, 1)))
    picture = read_plane(checkpoint, variable, plane, side=50, read_all_bytes=values.nbytes // 10)
    sizes: list[int] = checkpoint.__dict__["sizes"]
    assert sum(sizes) == values.size // 10
    assert "Sampled: 2 " + ("columns" if turned else "rows") + " of every 20" in picture.note
    shown = picture.values.T if turned else picture.values
    np.testing.assert_array_equal(shown, values[1::20])  # the larger of two rows


def test_no_piece_is_much_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptviewer.analysis.pictures._PIECE_BYTES", 4000)
    for shape in ((5000, 40), (40, 5000), (1, 100_000), (100_000, 1)):
        checkpoint = CountingCheckpoint({"x": np.zeros(shape, np.float32)})
        read_plane(checkpoint, checkpoint["x"], plane_of(shape), side=20)
        sizes: list[int] = checkpoint.__dict__["sizes"]
        assert sum(sizes) == np.prod(shape)
        assert max(sizes) <= max(1000, max(shape) // 20)


def test_picture_is_cancelled() -> None:
    checkpoint, variable = one(np.zeros((10, 10), np.float32))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        read_plane(checkpoint, variable, plane_of((10, 10)), cancel=token)
    assert not checkpoint.reads


# Tiles


@pytest.mark.parametrize(
    ("shape", "tile", "grid"),
    [
        ((3, 3, 16, 32), (0, 1), (2, 3)),
        ((3, 39, 8, 8), (0, 1), (2, 3)),
        ((3, 3, 1, 16), (0, 1), (3,)),
        ((5, 5, 8, 1), (0, 1), (2,)),
        ((64, 16, 7, 7), (2, 3), (0, 1)),
        ((1, 1, 3, 3), (0, 1), (2, 3)),
        ((5, 16, 32), (0, 1), (2,)),
        ((4, 3, 3, 16, 32), (1, 2), (3, 4)),
    ],
)
def test_kernel_axes(shape: tuple[int, ...], tile: tuple[int, int], grid: tuple[int, ...]) -> None:
    assert kernel_axes(shape) == (tile, grid)


@pytest.mark.parametrize("shape", [(), (5,), (256, 32), (0, 3, 4), (300, 300, 4, 4)])
def test_shapes_without_kernels(shape: tuple[int, ...]) -> None:
    assert kernels(shape, (0,) * len(shape)) is None


@pytest.mark.parametrize(
    "shape",
    [(3, 3, 4, 6), (3, 39, 8, 8), (3, 3, 1, 17), (6, 5, 3, 3), (5, 4, 7), (4, 3, 3, 2, 3)],
)
def test_each_pixel_of_the_kernels_is_the_element_it_says(shape: tuple[int, ...]) -> None:
    values = RNG.normal(size=shape).astype(np.float32)
    checkpoint, variable = one(values)
    at = (2, 0, 0, 0, 0) if len(shape) == 5 else (0,) * len(shape)
    mosaic = kernels(shape, at)
    assert mosaic is not None
    picture = mosaic.read(checkpoint, variable)
    seen = check_pixels(mosaic.index_of, picture.values, picture.gaps, values)
    assert seen == (values[2] if len(shape) == 5 else values).size
    assert mosaic.note == ""


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("width", [0, 5])
def test_each_pixel_of_folded_rows_is_the_element_it_says(columns: bool, width: int) -> None:
    values = RNG.normal(size=(9, 3, 14))
    checkpoint, variable = one(values)
    mosaic = folded(plane_of(values.shape, 0, 2, (0, 1, 0)), columns=columns, width=width)
    assert mosaic is not None
    picture = mosaic.read(checkpoint, variable)
    assert check_pixels(mosaic.index_of, picture.values, picture.gaps, values) == 9 * 14


def test_vector_is_folded_into_one_tile() -> None:
    values = np.arange(784.0)
    checkpoint, variable = one(values)
    assert folded(plane_of((784,))) is None
    mosaic = folded(plane_of((784,)), columns=True)
    assert mosaic is not None
    picture = mosaic.read(checkpoint, variable)
    np.testing.assert_array_equal(picture.values, values.reshape(28, 28))


def check_pixels(
    index_of: object, pixels: np.ndarray, gaps: np.ndarray | None, values: np.ndarray
) -> int:
    """Compare every pixel with its element; returns how many elements were seen, each once."""
    assert gaps is not None
    assert callable(index_of)
    seen = set()
    for y, x in product(range(pixels.shape[0]), range(pixels.shape[1])):
        index = index_of(y, x)
        assert (index is None) == gaps[y, x]
        if index is not None:
            assert pixels[y, x] == values[index]
            seen.add(index)
    for y, x in ((-1, 0), (0, -1), (pixels.shape[0], 0), (0, pixels.shape[1])):
        assert index_of(y, x) is None
    return len(seen)


def test_too_many_tiles_are_left_out_and_it_says_so() -> None:
    shape = (50_000, 100)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    checkpoint = CountingCheckpoint({"x": values})
    mosaic = folded(plane_of(shape))
    assert mosaic is not None
    assert mosaic.count < 50_000
    assert f"The first {mosaic.count:,} of 50,000 tiles" in mosaic.note.replace("\u2009", ",")
    picture = mosaic.read(checkpoint, checkpoint["x"])
    assert max(picture.values.shape) <= 2048
    assert checkpoint.__dict__["sizes"] == [mosaic.count * 100]


def test_too_many_kernels_are_left_out_and_it_says_so() -> None:
    mosaic = kernels((3, 3, 600, 500), (0, 0, 0, 0))
    assert mosaic is not None
    assert mosaic.note == "The first 512 \u00d7 500 of 600 \u00d7 500 tiles."
    assert mosaic.region() == (slice(0, 3), slice(0, 3), slice(0, 512), slice(0, 500))
    assert mosaic.index_of(511 * 4 + 2, 499 * 4 + 1) == (2, 1, 511, 499)


@pytest.mark.parametrize(
    ("length", "width"), [(784, 28), (64, 8), (300, 20), (768, 32), (7, 3), (1, 1), (97, 10)]
)
def test_square_width(length: int, width: int) -> None:
    assert square_width(length) == width


# Colours


@pytest.mark.parametrize("colours", [ON_LIGHT, ON_DARK], ids=["light", "dark"])
def test_colours_at_known_values(colours: Colours) -> None:
    values = np.array([[-2, -1, 0, 1, 5, np.nan, np.inf]])
    pixels = paint(values, 1, colours, np.zeros(values.shape, bool))
    names = ["#" + pixel[:3].tobytes().hex() for pixel in pixels[0]]
    low, _, middle, _, high = colours.anchors
    odd = colours.not_finite
    assert names == [low, low, middle, high, high, odd, odd]
    assert (pixels[..., 3] == 255).all()
    assert paint(values, 1, colours, np.ones(values.shape, bool))[..., 3].max() == 0


@pytest.mark.parametrize("colours", [ON_LIGHT, ON_DARK], ids=["light", "dark"])
def test_colours_are_ordered_to_the_eye(colours: Colours) -> None:
    pixels = paint(np.linspace(-1, 1, 257)[None], 1, colours)[0, :, :3] / 255
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    light = linear @ [0.2126, 0.7152, 0.0722]
    turn = 1 if colours is ON_LIGHT else -1
    assert (np.diff(light[:129]) * turn > -1e-3).all()
    assert (np.diff(light[128:]) * turn < 1e-3).all()
    below, above = (colorsys.rgb_to_hsv(*pixels[at])[0] for at in (40, 216))
    assert 0.5 < below < 0.7  # blue
    assert 0.03 < above < 0.15  # orange
    odd = paint(np.array([[np.nan]]), 1, colours)[0, 0, :3]
    assert (odd == (0 if colours is ON_LIGHT else 255)).all()


def test_limits() -> None:
    values = np.array([[0.0, -4, 1, np.nan, np.inf]])
    assert limit_of(values) == 4
    assert limit_of(values, values == -4) == 1
    assert limit_of(np.array([np.nan])) == 0
    spread = np.concatenate([np.full(999, 1.0), [100]])
    assert limit_of(spread, share=0.99) == 1
    assert limit_of(np.array([0.0] * 99 + [3]), share=0.5) == 3
    all_zero = paint(np.zeros((2, 2)), 0, ON_LIGHT)
    assert "#" + all_zero[0, 0, :3].tobytes().hex() == ON_LIGHT.anchors[2]
