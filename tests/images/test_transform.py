import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from swr_keras.images import NORMALIZATIONS, Transform, View, benchmark_view
from swr_keras.images.crops import PaddedCrop, RandomResizedCrop


def ramp(width, height):
    """An image whose red is the column and whose green is the row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([columns, rows, np.zeros_like(rows)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("mode", NORMALIZATIONS)
def test_normalizes_as_keras_applications(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype("uint8")
    transform = Transform.named(mode, size=4, short_side=4)
    expected = keras.applications.imagenet_utils.preprocess_input(
        pixels.astype("float32"), data_format="channels_last", mode=mode
    )
    np.testing.assert_allclose(transform.normalized(tf.constant(pixels)), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("size", "short_side", "image", "scaled"),
    [
        (224, 256, (500, 375), (341, 256)),
        (224, 256, (375, 500), (256, 341)),
        (224, 256, (100, 100), (256, 256)),
        (224, None, (500, 375), (224, 224)),
        (32, 32, (32, 40), (32, 40)),
    ],
)
def test_scales_as_the_benchmark(size, short_side, image, scaled):
    transform = Transform(size, short_side)
    found = transform.scaled(Image.new("RGB", image, (10, 20, 30)))
    assert found.shape == (scaled[1], scaled[0], 3)
    assert (found == (10, 20, 30)).all()


@pytest.mark.parametrize(("width", "left"), [(40, 4), (41, 4), (43, 6)])
def test_cuts_out_the_centre(width, left):
    """Half pixels are rounded to even ones, as torchvision's `CenterCrop` has it."""
    transform = Transform(32, 32)
    cut = transform.centre(tf.constant(transform.scaled(ramp(width, 32)))).numpy()
    assert cut.shape == (32, 32, 3)
    np.testing.assert_array_equal(cut[0, :, 0], np.arange(left, left + 32))


def test_a_grey_input_has_one_channel():
    transform = Transform.named("tf", size=8, short_side=8, channels=1)
    scaled = transform.scaled(Image.new("L", (8, 8), 255))
    assert transform.shape == scaled.shape == (8, 8, 1)
    assert (transform.normalized(tf.constant(scaled)).numpy() == 1).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 0},
        {"size": 224, "short_side": 200},
        {"size": 5000, "short_side": 5000},
        {"mean": (0.5,)},
        {"std": (0.0, 1.0, 1.0)},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"order": "rgba"},
    ],
)
def test_refuses_numbers_that_mean_nothing(arguments):
    with pytest.raises(ValueError, match="Received: "):
        Transform(**arguments)


@pytest.mark.parametrize(("name", "channels"), [("vgg", 3), ("torch", 1), ("tf", 4)])
def test_refuses_a_normalization_without_numbers(name, channels):
    with pytest.raises(ValueError, match="Received: .*normalization="):
        Transform.named(name, size=8, short_side=8, channels=channels)


@pytest.mark.parametrize(
    "crop",
    [
        lambda: RandomResizedCrop(area=(0.0, 1.0)),
        lambda: RandomResizedCrop(area=(0.5, 0.1)),
        lambda: RandomResizedCrop(proportions=(2.0, 1.0)),
        lambda: PaddedCrop(-1),
    ],
)
def test_refuses_crops_of_nothing(crop):
    with pytest.raises(ValueError, match="Received: "):
        crop()


def boxes(crop, height, width, draws=400):
    draw = tf.function(lambda seed: crop.box(tf.constant([height, width]), seed))
    return np.array([draw(tf.constant([0, index])) for index in range(draws)])


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 600), (700, 256)])
def test_random_parts_have_the_area_and_proportions_asked_for(height, width):
    top, left, rows, columns = boxes(RandomResizedCrop(), height, width).T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + rows <= height).all() and (left + columns <= width).all()
    area = rows * columns / (height * width)
    assert 0.075 < area.min() < 0.12
    proportions = columns / rows
    assert proportions.min() > 0.73 and proportions.max() < 1.36
    assert top.max() > 0.3 * height and left.max() > 0.3 * width


def test_areas_and_logarithms_of_proportions_are_uniform_where_all_fit():
    _, _, rows, columns = boxes(RandomResizedCrop((0.1, 0.5)), 256, 256).T
    shares = rows * columns / 256**2
    assert abs(shares.mean() - 0.3) < 0.02
    assert abs(np.mean(shares < 0.2) - 0.25) < 0.07
    assert abs(np.mean(columns > rows) - 0.5) < 0.07


@pytest.mark.parametrize(
    ("height", "width", "box"), [(10, 400, (0, 193, 10, 13)), (400, 10, (193, 0, 13, 10))]
)
def test_the_largest_centre_stands_in_where_no_part_fits(height, width, box):
    crop = RandomResizedCrop(area=(1.0, 1.0))
    assert {tuple(each) for each in boxes(crop, height, width, 5).tolist()} == {box}


def test_a_random_part_is_scaled_to_the_size():
    image = tf.constant(np.asarray(ramp(200, 100)))
    part = RandomResizedCrop()(image, 32, tf.constant([0, 1])).numpy()
    assert part.shape == (32, 32, 3)
    assert (np.diff(part[..., 0], axis=1) > 0).all() and (np.diff(part[..., 1], axis=0) > 0).all()


def test_a_padded_crop_moves_the_image_by_up_to_its_margin():
    image = tf.constant(np.asarray(ramp(32, 32))[..., :1] + 1)
    moves = set()
    for index in range(200):
        part = PaddedCrop(4)(image, 32, tf.constant([0, index])).numpy()
        row = part[16, :, 0]
        moves.add(int(row.argmax()) - 31 if row[-1] == 0 else 32 - int(row[-1]))
        assert part.shape == (32, 32, 1)
    assert moves == set(range(-4, 5))


def test_every_other_image_is_mirrored_on_request():
    transform = Transform.named("tf", size=8, short_side=8)
    image = tf.constant(np.asarray(ramp(8, 8)))
    straight = transform.normalized(image).numpy()
    for flip in (True, False):
        view = View(transform, flip=flip)
        found = [view.training(image, tf.constant([0, index])).numpy() for index in range(100)]
        mirrored = [np.array_equal(each, straight[:, ::-1]) for each in found]
        same = [np.array_equal(each, straight) for each in found]
        assert sum(mirrored) + sum(same) == 100
        assert 30 < sum(mirrored) < 70 if flip else not any(mirrored)


@pytest.mark.parametrize(
    ("name", "size", "short_side", "crop"),
    [
        ("cubs_cropped", 224, None, type(None)),
        ("stanford_cars_cropped", 32, None, type(None)),
        ("flowers", 224, 256, RandomResizedCrop),
        ("wikiart", 96, 110, RandomResizedCrop),
        ("flowers17", 32, 32, PaddedCrop),
    ],
)
def test_the_benchmarks_rules(name, size, short_side, crop):
    view = benchmark_view(name, size=size)
    assert view.transform.short_side == short_side
    assert isinstance(view.crop, crop)
    assert view.flip
