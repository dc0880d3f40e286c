"""Batches: exact floats, crops and mirror images that follow their generator."""

import numpy as np
import pytest
from samples import pixels

from bat import data


@pytest.fixture
def torch():
    import torch

    torch.set_num_threads(1)
    return torch


def test_to_device_holds_the_same_values(digits, torch):
    device = data.to_device(digits, "cpu")
    assert device.train_images.dtype == torch.uint8 and device.train_labels.dtype == torch.int64
    for name in data.FINGERPRINTED:
        np.testing.assert_array_equal(getattr(device, name).numpy(), getattr(digits, name))


def test_as_float_is_exact_on_every_level(torch):
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scaled = data.as_float(levels)
    assert scaled.dtype == torch.float32
    assert torch.equal(scaled.flatten(), torch.arange(256) / 255)
    batch = data.as_float(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 10, 14)])
@pytest.mark.parametrize("crop", [0, 1, 4])
def test_windows_are_cut_from_the_padded_image(torch, shape, crop):
    images = torch.from_numpy(pixels(1, (40, *shape)))
    rng = np.random.default_rng(2)
    top, left = torch.from_numpy(rng.integers(0, 2 * crop + 1, (2, 40)))
    mirrored = torch.from_numpy(rng.integers(0, 2, 40))
    windows = data.crop_windows(images, top, left, mirrored, crop)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (crop, crop), (crop, crop)))
    for i in range(40):
        rows = slice(int(top[i]), int(top[i]) + shape[1])
        columns = slice(int(left[i]), int(left[i]) + shape[2])
        window = padded[i, :, rows, columns]
        expected = window[:, :, ::-1] if mirrored[i] else window
        np.testing.assert_array_equal(windows[i].numpy(), expected)


def test_augmentation_follows_its_generator_alone(torch):
    images = torch.from_numpy(pixels(0, (64, 3, 12, 12)))

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        return [data.augment(images, generator, crop=2, flip=True) for _ in range(2)]

    torch.manual_seed(5)
    first = run(0)
    torch.manual_seed(6)
    again, other = run(0), run(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], other[0])
    assert first[0].dtype == torch.uint8 and first[0].shape == images.shape
    unchanged = data.augment(images, torch.Generator(), crop=0, flip=False)
    assert unchanged is images


def test_half_is_mirrored_and_every_shift_is_as_likely(torch):
    n, crop = 20_000, 1
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2], image[0, 0, 2, 1] = 2, 1  # a dot, and another left of it
    batch = data.augment(
        image.expand(n, 1, 5, 5), torch.Generator().manual_seed(0), crop=crop, flip=True
    ).numpy()
    rows, columns = np.divmod((batch.reshape(n, 25) == 2).argmax(axis=1), 5)
    right = batch[np.arange(n), 0, rows, columns + 1] == 1
    assert abs(right.mean() - 0.5) < 5 * np.sqrt(0.25 / n)
    counts = np.zeros((3, 3))
    np.add.at(counts, (rows - 1, columns - 1), 1)
    assert np.abs(counts / n - 1 / 9).max() < 5 * np.sqrt(8 / 81 / n)


def test_without_flip_nothing_is_mirrored(torch):
    image = torch.arange(6, dtype=torch.uint8).expand(500, 1, 6, 6)
    batch = data.augment(image, torch.Generator().manual_seed(0), crop=2, flip=False)
    inner = batch[:, 0, 2:4].to(torch.int64)
    steps = inner.diff(dim=-1)
    assert ((steps == 1) | (inner[..., 1:] == 0)).all()
