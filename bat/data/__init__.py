"""Data sets: from any source to whole uint8 arrays, checked once, used everywhere."""

from bat.data.prepared import (
    AGAIN,
    ARRAYS,
    FINGERPRINTED,
    FORMAT_VERSION,
    INFO,
    DeviceData,
    PreparedData,
    as_float,
    augment,
    crop_windows,
    fingerprint,
    load,
    prepare,
    to_device,
)

__all__ = [
    "AGAIN",
    "ARRAYS",
    "FINGERPRINTED",
    "FORMAT_VERSION",
    "INFO",
    "DeviceData",
    "PreparedData",
    "as_float",
    "augment",
    "crop_windows",
    "fingerprint",
    "load",
    "prepare",
    "to_device",
]
