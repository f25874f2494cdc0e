# SPDX-License-Identifier: MIT
"""libfv.so: its structs, its functions, and its errors as exceptions.

The library is the one that $FV_LIBRARY names, else the one this package was installed with, else the one that the
system finds under its soname.
"""
from __future__ import annotations

import ctypes as C
import os

SONAME = "libfv.so.0"

u8p, i32p, u32p, f32p = (C.POINTER(t) for t in (C.c_uint8, C.c_int32, C.c_uint32, C.c_float))


class Batch(C.Structure):
    """struct fv_batch. The library's may be longer."""
    _fields_ = [("ticket", C.c_uint64), ("epoch", C.c_uint32), ("step", C.c_uint32), ("n", C.c_int),
                ("capacity", C.c_int), ("height", C.c_int), ("width", C.c_int), ("pixels", C.c_void_p),
                ("label", C.c_void_p), ("label_mix", C.c_void_p), ("lam", C.c_void_p), ("image", C.c_void_p)]


class Source(C.Structure):
    """struct fv_batch_source. The library's may be longer."""
    _fields_ = [("ctx", C.c_void_p), ("next", C.CFUNCTYPE(C.c_int, C.c_void_p, C.POINTER(C.POINTER(Batch)))),
                ("release", C.CFUNCTYPE(None, C.c_void_p)),
                ("seek", C.CFUNCTYPE(C.c_int, C.c_void_p, C.c_uint64)), ("batches_per_epoch", C.c_uint64),
                ("images_per_epoch", C.c_uint64), ("batch", C.c_int), ("height", C.c_int), ("width", C.c_int),
                ("classes", C.c_int), ("waited_ns", C.CFUNCTYPE(C.c_uint64, C.c_void_p)),
                ("mixes", C.c_int)]


class Report(C.Structure):
    """struct fv_report, without the progress."""
    MESSAGE = C.CFUNCTYPE(None, C.c_void_p, C.c_int, C.c_char_p)
    _fields_ = [("ctx", C.c_void_p), ("message", MESSAGE), ("progress", C.c_void_p)]


class StoreInfo(C.Structure):
    """struct fv_store_info."""
    _fields_ = [("version", C.c_int), ("parts", C.c_size_t), ("height", C.c_int), ("width", C.c_int),
                ("codec", C.c_char_p), ("packed_with", C.c_char_p), ("images", C.c_uint64), ("labels", C.c_uint64),
                ("train_labels", C.c_uint64), ("split_images", C.c_uint64 * 3), ("record_bytes", C.c_uint64),
                ("file_bytes", C.c_uint64), ("raw_bytes", C.c_uint64), ("dict_bytes", C.c_uint64),
                ("digest", C.c_uint64)]


class StoreImage(C.Structure):
    """struct fv_store_image."""
    _fields_ = [("label", C.c_uint32), ("split", C.c_int), ("bytes", C.c_uint32), ("content", C.c_uint64),
                ("name", C.c_char_p)]


class StoreLabel(C.Structure):
    """struct fv_store_label."""
    _fields_ = [("name", C.c_char_p), ("first", C.c_uint64), ("count", C.c_uint64), ("holdout", C.c_int)]


SPLITS = ("train", "val", "holdout")
DECODE_PAD = 64

P, out = C.c_void_p, C.POINTER(C.c_void_p)
_FUNCTIONS = {  # name: result, arguments
    "fv_version": (C.c_char_p,),
    "fv_batch_bytes": (C.c_size_t,),
    "fv_err_text": (C.c_char_p,),
    "fv_err_name": (C.c_char_p, C.c_int),
    "fv_store_open": (C.c_int, out, C.c_char_p),
    "fv_store_close": (None, out),
    "fv_store_info": (C.POINTER(StoreInfo), P),
    "fv_store_image": (C.c_int, P, C.c_uint64, C.POINTER(StoreImage)),
    "fv_store_label": (C.c_int, P, C.c_uint64, C.POINTER(StoreLabel)),
    "fv_store_find": (C.c_int, P, C.c_char_p, C.POINTER(C.c_uint64)),
    "fv_decoder_open": (C.c_int, out, P),
    "fv_decoder_close": (None, out),
    "fv_decoder_read": (C.c_int, P, C.c_uint64, C.c_void_p),
    "fv_loader_options_new": (C.c_int, out),
    "fv_loader_options_free": (None, out),
    "fv_loader_options_set": (C.c_int, P, C.c_char_p, C.c_char_p),
    "fv_loader_options_text": (C.c_int, P, C.c_char_p, C.c_size_t),
    "fv_loader_options_row": (C.c_int, C.c_size_t, C.POINTER(C.c_char_p), C.POINTER(C.c_char_p)),
    "fv_loader_options_report": (None, P, C.POINTER(Report)),
    "fv_loader_open_options": (C.c_int, out, P, P),
    "fv_loader_close": (None, out),
    "fv_loader_source": (C.POINTER(Source), P),
    "fv_loader_stat_row": (C.c_int, C.c_size_t, C.POINTER(C.c_char_p)),
    "fv_loader_stat": (C.c_int, P, C.c_char_p, C.POINTER(C.c_uint64)),
}


def _find() -> C.CDLL:
    named = os.environ.get("FV_LIBRARY")
    if named:
        return C.CDLL(named)
    try:
        from fv._installed import LIBRARY
        if os.path.exists(LIBRARY):
            return C.CDLL(LIBRARY)
    except ImportError:
        pass
    try:
        return C.CDLL(SONAME)
    except OSError as e:
        raise ImportError(f"cannot load {SONAME} ({e}): install fv with 'meson install', or set FV_LIBRARY to the "
                          "path of the library") from None


def _load() -> C.CDLL:
    cdll = _find()
    for name, (result, *arguments) in _FUNCTIONS.items():
        try:
            function = getattr(cdll, name)
        except AttributeError:
            raise ImportError(f"{cdll._name} has no {name}: it is of another version than this package") from None
        function.restype, function.argtypes = result, arguments
    if cdll.fv_batch_bytes() < C.sizeof(Batch):
        raise ImportError(f"{cdll._name} is older than this package: install both of one version")
    return cdll


lib = _load()


class Error(RuntimeError):
    """What fv refused, in its own sentence. `code` is the number of the C interface, `kind` its name."""

    def __init__(self, sentence: str, code: int = -1):
        super().__init__(sentence)
        self.code = code
        self.kind = lib.fv_err_name(code).decode()


class UsageError(Error, ValueError):
    """A setting, an argument or a call that cannot be obeyed."""


class NotFoundError(Error, LookupError):
    """A file, a name or an image that does not exist."""


class CorruptError(Error):
    """Bytes on disk that contradict their format or their checksum."""


_KINDS = {-1: UsageError, -12: UsageError, -6: NotFoundError, -4: CorruptError}


def check(result: int) -> int:
    """The result of a call, or its error as an exception. At once: the sentence is the thread's last one."""
    if result < 0:
        sentence = lib.fv_err_text().decode(errors="replace")
        raise _KINDS.get(result, Error)(sentence, result)
    return result


def check_process(pid: int, what: str) -> None:
    """Neither the threads nor the memory map of a handle are for a child process."""
    if os.getpid() != pid:
        raise UsageError(f"{what} was opened in process {pid} and must not be used in its child {os.getpid()}: open "
                         "it there")
