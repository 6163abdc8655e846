"""A file as C source, for firmware without a file system."""

import os
import pathlib
import re

from swr_keras.files import write_atomically

_BYTES_A_LINE = 12
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_HEADER = """\
#ifndef SWR_KERAS_G_{name}_H_
#define SWR_KERAS_G_{name}_H_

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char g_{name}[];
extern const unsigned int g_{name}_len;

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
#include "{name}.h"

#ifndef __cplusplus
#include <stdalign.h>
#endif

alignas(16) const unsigned char g_{name}[] = {{
{values}
}};
const unsigned int g_{name}_len = {length};
"""


def c_array(data: bytes, name: str) -> tuple[str, str]:
    """Writes bytes as a constant array `g_<name>` and its length `g_<name>_len`.

    The array is aligned to 16 bytes, as TFLite Micro needs a model, and constant, so that it stays
    in flash. Both texts are valid C11 and C++11, and the symbols link from either language.

    Args:
        data: What the array holds, at least one byte.
        name: A C identifier.

    Returns:
        The text of the header, which the other includes as `<name>.h`, and that of the source,
        to be saved as `<name>.c` or `<name>.cc`.

    Raises:
        ValueError: If `name` is no C identifier or `data` is empty.

    Example:
        >>> header, source = c_array(convert_int8(model, calibration), "keywords")
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(
            "`name` must be a C identifier: ASCII letters, digits and '_', no digit first. "
            f"Received: name={name!r}."
        )
    if not data:
        raise ValueError("C has no empty arrays. Received: no bytes; give the contents of a file.")
    lines = [
        "    " + " ".join(f"0x{byte:02x}," for byte in data[start : start + _BYTES_A_LINE])
        for start in range(0, len(data), _BYTES_A_LINE)
    ]
    header = _HEADER.format(name=name)
    return header, _SOURCE.format(name=name, values="\n".join(lines), length=len(data))


def write_c_array(folder: str | os.PathLike, data: bytes, name: str) -> None:
    """Writes what `c_array` returns as `<name>.h` and `<name>.cc` into an existing folder."""
    header, source = c_array(data, name)
    write_atomically(pathlib.Path(folder) / f"{name}.h", header.encode())
    write_atomically(pathlib.Path(folder) / f"{name}.cc", source.encode())
