"""Image files to one uint8 array, with several processes."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bat.data.raw import Progress
from bat.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64 * 2**20  # of one image
CHUNK = 256  # images in one piece of work
ORIENTATION = 0x0112  # the EXIF tag
IN_PROCESS = 2000  # images up to which starting workers costs more than it gains
NAMED = 5  # unreadable images that a message names


class _Chunk(NamedTuple):
    """Some images, decoded; None where none of them could be."""

    images: np.ndarray | None
    first: str  # name of the first that was decoded
    turned: int
    failed: int
    problems: list[str]  # of the first that failed


def decode_images(
    items: Iterable[tuple[str, bytes]],
    total: int,
    *,
    channels: int,
    resize: int | None,
    workers: int,
    progress: Progress,
) -> tuple[np.ndarray, int]:
    """Decode image files into one array, with several processes.

    Images whose EXIF data say that the camera was turned are turned upright.

    Processes, because threads were slower than one thread alone on images of
    32 and 64 pixels: the interpreter's lock is taken for too large a part.

    Parameters
    ----------
    items : iterable of (name, bytes)
        Consumed only a little faster than it is decoded.
    total : int
        Number of items.
    channels : int
        1 for grey, 3 for RGB; images are converted.
    resize : int, optional
        Edge in pixels; without it images must have one size.
    workers : int
    progress : callable (done, total)

    Returns
    -------
    images : ndarray of uint8, shape (total, channels, H, W)
    turned : int
        Number of images that were turned or mirrored.

    Raises
    ------
    DataError
        If images do not decode, or sizes differ; the message names the first of them.
    """
    images, done, turned, first = np.empty((0,)), 0, 0, ""
    failed, problems = 0, []
    with contextlib.closing(_decoded(items, total, channels, resize, workers)) as chunks:
        for size, chunk in chunks:
            if chunk.images is not None:
                if not first:
                    first = chunk.first
                    shape = chunk.images.shape[1:]
                    _check_memory(total * chunk.images[0].nbytes, total, first, shape)
                    images = np.empty((total, *shape), np.uint8)
                elif chunk.images.shape[1:] != images.shape[1:]:
                    shapes = images.shape[1:], chunk.images.shape[1:]
                    raise _mixed_sizes(first, shapes[0], chunk.first, shapes[1])
                images[done : done + size] = chunk.images
            done += size
            turned += chunk.turned
            failed += chunk.failed
            problems += chunk.problems
            progress(done, total)
    if failed:
        raise _undecodable(failed, total, problems[:NAMED])
    return images, turned


def _decoded(
    items: Iterable[tuple[str, bytes]],
    total: int,
    channels: int,
    resize: int | None,
    workers: int,
) -> Iterator[tuple[int, _Chunk]]:
    """Numbers of images, and these images."""
    chunks = iter(lambda: list(itertools.islice(items, CHUNK)), [])
    items = iter(items)
    if workers < 2 or total <= IN_PROCESS:
        for chunk in chunks:
            yield len(chunk), _decode_chunk(chunk, channels, resize)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    waiting: deque = deque()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for chunk in chunks:
            waiting.append((len(chunk), pool.submit(_decode_chunk, chunk, channels, resize)))
            if len(waiting) > 4 * workers:
                size, future = waiting.popleft()
                yield size, future.result()
        for size, future in waiting:
            yield size, future.result()
    except BrokenProcessPool:
        raise DataError(
            "a process that decodes images ended: out of memory, or a script that does not keep "
            "its own work under `if __name__ == '__main__':`. Decode with workers=1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(items: list[tuple[str, bytes]], channels: int, resize: int | None) -> _Chunk:
    images: np.ndarray | None = None
    turned, problems, first = 0, [], ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow says of odd metadata and palettes
        for i, (name, blob) in enumerate(items):
            try:
                image, is_turned = decode_image(name, blob, channels, resize)
            except DataError as error:
                problems.append(str(error))
                continue
            if images is None:
                images, first = np.empty((len(items), *image.shape), np.uint8), name
            elif image.shape != images.shape[1:]:
                raise _mixed_sizes(first, images.shape[1:], name, image.shape)
            images[i] = image
            turned += is_turned
    return _Chunk(images, first, turned, len(problems), problems[:NAMED])


def decode_image(
    name: str, blob: bytes, channels: int, resize: int | None
) -> tuple[np.ndarray, bool]:
    """Decode one image file, as `decode_images` does.

    Returns
    -------
    image : ndarray of uint8, shape (channels, H, W)
    turned : bool

    Raises
    ------
    DataError
        If it does not decode; the message names it.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    mode = {1: "L", 3: "RGB"}[channels]
    try:
        with Image.open(io.BytesIO(blob)) as image:
            if math.prod(image.size) > MAX_PIXELS:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels are too many")
            if image.mode[0] in "IF":
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
            turned = _is_turned(image)
            if turned:
                image = ImageOps.exif_transpose(image)
            if image.mode != mode:
                image = image.convert(mode)
            pixels = np.asarray(resized(image, resize) if resize else image)
    except UnidentifiedImageError:
        found = "of a format that is not known here" if blob else "empty"
        raise DataError(
            f"{name} does not decode as an image (it is {found}); replace or remove the file, or "
            "convert it to JPEG or PNG"
        ) from None
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        raise DataError(
            f"{name} does not decode as an image ({error}); replace or remove the file"
        ) from None
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1), turned


def resized(image: Image.Image, edge: int) -> Image.Image:
    """An image of ``edge`` x ``edge`` pixels, by bicubic interpolation of each channel."""
    from PIL import Image

    if image.size == (edge, edge):
        return image
    return image.resize((edge, edge), Image.Resampling.BICUBIC)


def _is_turned(image: Image.Image) -> bool:
    """Whether EXIF data ask for the image to be turned; damaged ones do not."""
    try:
        return image.getexif().get(ORIENTATION) in range(2, 9)
    except Exception:
        return False


def _check_memory(needed: int, total: int, name: str, shape: tuple) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise DataError(
            f"{total} images of the size of {name}, {shape[2]} x {shape[1]} pixels, take "
            f"{needed / 2**30:.1f} GiB; this machine has {memory / 2**30:.1f} GiB. Set data.resize"
        )


def _undecodable(failed: int, total: int, problems: list[str]) -> DataError:
    if failed == 1:
        return DataError(problems[0])
    which = f", the first {len(problems)} of them" if failed > len(problems) else ""
    lines = "".join(f"\n  {problem}" for problem in problems)
    return DataError(f"{failed:,} of {total:,} images do not decode{which}:{lines}")


def _mixed_sizes(first: str, shape: tuple, other: str, other_shape: tuple) -> DataError:
    def size(shape: tuple) -> str:
        return f"{shape[2]} x {shape[1]} pixels"

    return DataError(
        f"images of mixed sizes: {first} has {size(shape)}, {other} {size(other_shape)} "
        "(width x height); set data.resize to give all of them one size"
    )


def decoder_note() -> str:
    """The decoder and its version: another one may give slightly other pixels."""
    from PIL import __version__, features

    return f"images decoded with Pillow {__version__}, libjpeg {features.version('jpg')}"
