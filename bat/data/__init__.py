"""Data sets: from any source to whole uint8 arrays, checked once, used everywhere.

`prepare` reads a source, refuses what is wrong with it, and writes one folder of plain arrays.
`load` opens that folder, memory-mapped and without torch; `to_device` puts it on a device as whole
tensors, and `augment` shifts and mirrors a batch there.
"""

from bat.data.batches import (
    DeviceData,
    as_array,
    as_float,
    as_tensor,
    augment,
    crop_windows,
    to_device,
)
from bat.data.fingerprints import fingerprint
from bat.data.names import read_names
from bat.data.prepared import (
    AGAIN,
    ARRAYS,
    FINGERPRINTED,
    FORMAT_VERSION,
    INFO,
    PreparedData,
    load,
    read_info,
)
from bat.data.preparing import prepare

__all__ = [
    "AGAIN",
    "ARRAYS",
    "FINGERPRINTED",
    "FORMAT_VERSION",
    "INFO",
    "DeviceData",
    "PreparedData",
    "as_array",
    "as_float",
    "as_tensor",
    "augment",
    "crop_windows",
    "fingerprint",
    "load",
    "prepare",
    "read_info",
    "read_names",
    "to_device",
]
