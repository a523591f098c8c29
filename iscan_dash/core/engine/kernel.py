"""How kernels are compiled, and where their machine code is kept between runs.

Import `kernel` from here and never ``numba`` itself: the folder of the cache must be known before the first kernel is
made. The environment variable ``NUMBA_CACHE_DIR`` wins when it is set.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from platformdirs import user_cache_path

Function = TypeVar("Function", bound=Callable[..., Any])

_FOLDER = "kernels"


def _writable_folder() -> Path:
    """Return the first folder that can be written, since Numba refuses to start with one that cannot."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    choices = [user_cache_path("iscan-dash") / _FOLDER, Path(tempfile.gettempdir()) / f"iscan-dash-{owner}" / _FOLDER]
    for folder in choices:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="iscan-dash-"))


# Another library may have imported Numba before, so its setting decides and not the variable.
_config: Any = numba.config
if not _config.CACHE_DIR:
    _config.CACHE_DIR = str(_writable_folder())

CACHE_FOLDER = Path(_config.CACHE_DIR)
"""Where compiled kernels are kept."""


def kernel(function: Function) -> Function:
    """Compile a function when it is first called, without the GIL, and keep the machine code for the next process."""
    return cast(Function, numba.njit(nogil=True, cache=True)(function))


def _popcount(_typing: Any, _word: Any) -> Any:
    """Count the bits that are set in a word: uint64 to int64, one instruction of the processor."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


popcount: Any = intrinsic(_popcount)
