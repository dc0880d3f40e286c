"""Image files to one uint8 array, with several processes."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from bat.rawdata import DataError, Progress

MAX_PIXELS = 64 * 2**20  # of one image
CHUNK = 256  # images in one piece of work
IN_PROCESS = 2000  # images up to which starting workers costs more than it gains


def decode_images(
    items: Iterable[tuple[str, bytes]],
    total: int,
    *,
    channels: int,
    resize: int | None,
    workers: int,
    progress: Progress,
) -> np.ndarray:
    """Decode image files into one array, with several processes.

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
    ndarray of uint8, shape (total, channels, H, W)

    Raises
    ------
    DataError
        If an image does not decode, or sizes differ; the message names it.
    """
    images, done, first = np.empty((0,)), 0, ""
    with contextlib.closing(_decoded(items, total, channels, resize, workers)) as chunks:
        for names, chunk in chunks:
            if not done:
                first = names[0]
                _check_memory(total * chunk[0].nbytes, total, first, chunk.shape[1:])
                images = np.empty((total, *chunk.shape[1:]), np.uint8)
            elif chunk.shape[1:] != images.shape[1:]:
                raise _mixed_sizes(first, images.shape[1:], names[0], chunk.shape[1:])
            images[done : done + len(chunk)] = chunk
            done += len(chunk)
            progress(done, total)
    return images


def _decoded(
    items: Iterable[tuple[str, bytes]],
    total: int,
    channels: int,
    resize: int | None,
    workers: int,
) -> Iterator[tuple[list[str], np.ndarray]]:
    chunks = iter(lambda: list(itertools.islice(items, CHUNK)), [])
    items = iter(items)
    if workers < 2 or total <= IN_PROCESS:
        for chunk in chunks:
            yield [name for name, _ in chunk], _decode_chunk(chunk, channels, resize)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    waiting: deque = deque()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for chunk in chunks:
            waiting.append(
                ([name for name, _ in chunk], pool.submit(_decode_chunk, chunk, channels, resize))
            )
            if len(waiting) > 4 * workers:
                names, future = waiting.popleft()
                yield names, future.result()
        for names, future in waiting:
            yield names, future.result()
    except BrokenProcessPool:
        raise DataError(
            "a process that decodes images ended: out of memory, or a script that does not keep "
            "its own work under `if __name__ == '__main__':`. Decode with workers=1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(items: list[tuple[str, bytes]], channels: int, resize: int | None) -> np.ndarray:
    images: np.ndarray | None = None
    for i, (name, blob) in enumerate(items):
        image = _decode(name, blob, channels, resize)
        if images is None:
            images = np.empty((len(items), *image.shape), np.uint8)
        elif image.shape != images.shape[1:]:
            raise _mixed_sizes(items[0][0], images.shape[1:], name, image.shape)
        images[i] = image
    return images


def _decode(name: str, blob: bytes, channels: int, resize: int | None) -> np.ndarray:
    from PIL import Image

    mode = {1: "L", 3: "RGB"}[channels]
    try:
        with Image.open(io.BytesIO(blob)) as image:
            if math.prod(image.size) > MAX_PIXELS:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels are too many")
            if image.mode[0] in "IF":
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
            if image.mode != mode:
                image = image.convert(mode)
            if resize and image.size != (resize, resize):
                image = image.resize((resize, resize), Image.Resampling.BICUBIC)
            pixels = np.asarray(image)
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        raise DataError(
            f"{name} does not decode as an image ({error}); replace or remove the file"
        ) from None
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _check_memory(needed: int, total: int, name: str, shape: tuple) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise DataError(
            f"{total} images of the size of {name}, {shape[2]} x {shape[1]} pixels, take "
            f"{needed / 2**30:.1f} GiB; this machine has {memory / 2**30:.1f} GiB. Set data.resize"
        )


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
