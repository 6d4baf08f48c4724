import asyncio
import base64
import importlib.util
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.task_types import BadPayload, NotConfigured
from mynah_tasks.task_types.image import process

SCENE = np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)
RAMP = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (8, 1))


def apply(image, *operations):
    return process({"image": image, "operations": operations, "analysis": False})["image"]


def pgm(pixels):
    height, width = pixels.shape[:2]
    return (
        (b"P5" if pixels.ndim == 2 else b"P6")
        + f"\n# made by hand\n{width} {height}\n255\n".encode()
        + pixels.tobytes()
    )


@pytest.mark.req("ENG-03")
def test_an_image_is_described():
    flag = np.zeros((10, 20, 3), np.uint8)
    flag[:, :15] = (250, 0, 0)
    look = process({"image": flag})["look"]
    assert look["colours"] == (("#fa0000", 0.75), ("#000000", 0.25))
    assert look["brightness"] == pytest.approx(0.75 * 0.299 * 250 / 255)
    assert look["colourfulness"] == pytest.approx(0.75 * 250 / 255)
    assert look["sharpness"] > 0


def test_a_grey_image_has_no_colour_and_a_flat_one_no_contrast():
    look = process({"image": np.full((5, 5), 128, np.uint8)})["look"]
    assert (look["colourfulness"], look["contrast"], look["sharpness"]) == (0, 0, 0)
    assert look["colours"] == (("#808080", 1.0),)


def test_grayscale_weighs_colours_as_eyes_do():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(apply(pixels, {"op": "grayscale"})[:, :, 0], [[76, 150, 29]])


def test_grayscale_keeps_the_opacity():
    pixels = np.dstack([SCENE, np.full(SCENE.shape[:2], 77, np.uint8)])
    grey = apply(pixels, {"op": "grayscale"})
    assert grey.shape == (40, 60, 2)
    assert (grey[:, :, 1] == 77).all()


def test_shrinking_averages():
    checks = np.indices((8, 8)).sum(axis=0) % 2 * np.uint8(200)
    np.testing.assert_array_equal(apply(checks.astype(np.uint8), {"op": "resize", "width": 4}), np.full((4, 4), 100))


def test_shrinking_keeps_the_mean():
    small = apply(SCENE, {"op": "resize", "width": 17, "height": 13})
    assert small.shape == (13, 17, 3)
    assert small.mean() == pytest.approx(SCENE.mean(), abs=1)


def test_growing_interpolates():
    np.testing.assert_array_equal(
        apply(np.array([[0, 100]], np.uint8), {"op": "resize", "width": 4, "height": 1}), [[0, 25, 75, 100]]
    )


@pytest.mark.parametrize(
    ("size", "shape"),
    [({"width": 30}, (20, 30)), ({"height": 80}, (80, 120)), ({"width": 7, "height": 9}, (9, 7)), ({}, (40, 60))],
)
def test_one_side_alone_keeps_the_proportions(size, shape):
    assert apply(SCENE, {"op": "resize", **size}).shape[:2] == shape


def test_a_part_is_cut_out():
    np.testing.assert_array_equal(
        apply(SCENE, {"op": "crop", "left": 10, "top": 5, "width": 20, "height": 999}), SCENE[5:, 10:30]
    )


def test_a_part_that_lies_outside_is_refused():
    with pytest.raises(BadPayload, match="outside"):
        apply(SCENE, {"op": "crop", "left": 60, "top": 0, "width": 1, "height": 1})


def test_four_turns_to_the_right_are_none():
    turned = apply(SCENE, {"op": "rotate", "degrees": 90})
    np.testing.assert_array_equal(turned[0, -1], SCENE[0, 0])
    np.testing.assert_array_equal(apply(turned, {"op": "rotate", "degrees": 270}), SCENE)


def test_flips():
    np.testing.assert_array_equal(apply(SCENE, {"op": "flip"}), SCENE[:, ::-1])
    np.testing.assert_array_equal(apply(SCENE, {"op": "flip", "axis": "vertical"}), SCENE[::-1])


def test_blurring_spreads_a_point_evenly():
    point = np.zeros((7, 7), np.uint8)
    point[3, 3] = 225
    blurred = apply(point, {"op": "blur", "radius": 1})
    np.testing.assert_array_equal(blurred[2:5, 2:5], np.full((3, 3), 25))
    assert blurred.sum() == 225


def test_contrast_reaches_from_black_to_white():
    stretched = apply(RAMP, {"op": "contrast"})
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_contrast_leaves_an_image_of_one_colour():
    np.testing.assert_array_equal(apply(np.full((3, 3), 9, np.uint8), {"op": "contrast"}), np.full((3, 3), 9))


def test_edges_are_where_brightness_changes():
    halves = np.zeros((4, 6), np.uint8)
    halves[:, 3:] = 100
    np.testing.assert_array_equal(apply(halves, {"op": "edges"})[0], [0, 0, 100, 0, 0, 0])


def test_operations_follow_one_another():
    result = process({"image": SCENE, "operations": [{"op": "grayscale"}, {"op": "resize", "width": 6}]})
    assert (result["width"], result["height"], result["channels"]) == (6, 4, 1)


@pytest.mark.parametrize("file", [pgm(RAMP), pgm(SCENE)], ids=["P5", "P6"])
def test_a_file_comes_back_as_a_file(file):
    back = process({"image": file, "operations": [{"op": "flip"}, {"op": "flip"}]})["image"]
    assert back[:2] == file[:2]
    assert process({"image": back})["look"] == process({"image": file})["look"]
    text = process({"image": base64.b64encode(file).decode(), "operations": [{"op": "flip"}, {"op": "flip"}]})["image"]
    assert base64.b64decode(text) == back


def test_lists_come_back_as_lists():
    assert apply([[1, 2], [3, 4]], {"op": "flip"}) == [[2, 1], [4, 3]]
    assert apply([[[1, 2, 3]]], {"op": "flip"}) == [[[1, 2, 3]]]


@pytest.mark.skipif(importlib.util.find_spec("PIL") is not None, reason="Pillow is installed")
def test_other_files_need_a_library_and_the_error_names_it():
    with pytest.raises(NotConfigured, match="pip install pillow"):
        process({"image": b"\x89PNG\r\n\x1a\n"})


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("no base64!", "must be base64"),
        (pgm(RAMP)[:-1], "ends too early"),
        ([[1, 2], [3]], "one length"),
        ([[256]], "0 to 255"),
        ([[-1]], "0 to 255"),
        ([[0.5]], "0 to 255"),
        ([1, 2], "0 to 255"),
        (np.zeros((2, 2, 5), np.uint8), "5 channels"),
        (np.zeros((0, 2), np.uint8), "not understood"),
        (np.broadcast_to(np.uint8(0), (10_000, 5_001)), "10000"),
        (None, "0 to 255"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(image, said):
    with pytest.raises(BadPayload, match=said):
        process({"image": image})


def test_an_unknown_operation_is_refused_before_anything_is_done():
    with pytest.raises(BadPayload, match="operations"):
        apply(SCENE, {"op": "flip"}, {"op": "paint"})


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        bytes.__add__,
        st.sampled_from([b"P5\n2 3\n255\n", b"P6 1 1 255 ", b"P6\n0 9\n255\n", b""]),
        st.binary(max_size=30),
    )
    | st.lists(st.lists(st.integers(-1, 256) | st.none(), max_size=3), max_size=3)
    | st.text()
)
def test_whatever_is_not_an_image_is_refused_and_nothing_else(image):
    with suppress(BadPayload, NotConfigured):
        process({"image": image, "operations": [{"op": "resize", "width": 3}, {"op": "edges"}]})


@pytest.mark.req("CAC-02")
async def test_eight_threads_at_once_get_what_one_gets():
    payload = {
        "image": SCENE,
        "operations": [{"op": "contrast"}, {"op": "blur", "radius": 3}, {"op": "resize", "width": 33}, {"op": "edges"}],
    }
    alone = process(payload)
    before = SCENE.copy()
    async with Executors(threads=8) as executors:
        together = await asyncio.gather(
            *(executors.run(ExecutorKind.THREAD, process, payload, timeout=60) for _ in range(32))
        )
    for result in together:
        np.testing.assert_array_equal(result.pop("image"), alone["image"])
        assert result == {key: value for key, value in alone.items() if key != "image"}
    np.testing.assert_array_equal(before, SCENE)
