# SPDX-License-Identifier: MIT
"""Data sets as fvprep packs them: what is in them, and the pixels of an image."""
from __future__ import annotations

import ctypes as C
import os
import threading
from typing import Iterable, NamedTuple, Union

import numpy as np

from fv import _lib
from fv._lib import check, check_process, lib

Path = Union[str, "os.PathLike[str]", Iterable[Union[str, "os.PathLike[str]"]]]


class _File:
    """An open data set and how many use it."""

    def __init__(self, path: str, key: "tuple | None"):
        self.ptr, self.key, self.users = C.c_void_p(), key, 0
        self.lock = threading.Lock()  # of what is not for several threads at once
        check(lib.fv_store_open(C.byref(self.ptr), os.fsencode(path)))


# A process may have a file open once, so those who name the same files share it. The lock may be taken again by its
# own thread: Python collects garbage at any time.
_open: "dict[tuple, _File]" = {}
_open_lock = threading.RLock()


def _start_child() -> None:
    global _open_lock
    _open.clear()
    _open_lock = threading.RLock()


os.register_at_fork(after_in_child=_start_child)


class Handle:
    """One user of an open data set; the last one closes it.

    A signal's exception may strike before __del__ has done anything: then the data set stays open. So may that of a
    loader, whose threads go on reading; each of its rings is a user by itself, until it is closed: `hold`, `let_go`.
    """

    def __init__(self, path: str):
        self.file, self.pid = None, os.getpid()
        files = [path] if os.path.exists(path) else path.split(",")
        with _open_lock:
            try:
                key = tuple((s.st_dev, s.st_ino) for s in map(os.stat, files))
            except OSError:
                key = None  # opening it says what is wrong
            file = _open.get(key)
            if file is None:
                file = _open[key] = _File(path, key)
            file.users += 1
            self.file, self.ptr, self.lock = file, file.ptr, file.lock

    def __del__(self):
        if self.file is not None and os.getpid() == self.pid:
            let_go(self.file)


def hold(file: _File) -> _File:
    with _open_lock:
        file.users += 1
    return file


def let_go(file: _File) -> None:
    with _open_lock:
        file.users -= 1
        if file.users == 0:
            del _open[file.key]
            lib.fv_store_close(C.byref(file.ptr))


class Image(NamedTuple):
    """What a data set knows of an image."""
    name: str  #: path of its source, relative to the folder that was packed
    label: int
    split: str  #: "train", "val" or "holdout"


class Dataset:
    """A packed data set: ``Dataset("faces.lmdb")``; several files as one: ``Dataset(["a.lmdb", "b.lmdb"])``.

    Opening the same files again shares what is open. May be used by several threads, but not after a fork.
    """

    def __init__(self, path: Path):
        self._decoder, self._lock = C.c_void_p(), threading.Lock()
        self._handle: Handle | None = None
        if not isinstance(path, (str, os.PathLike)):
            path = ",".join(os.fspath(p) for p in path)
        self._handle = Handle(os.fspath(path))
        info = lib.fv_store_info(self._handle.ptr).contents
        self.path: str = os.fspath(path)
        self.images: int = info.images
        self.identities: int = info.labels
        self.classes: int = info.train_labels  #: identities that training sees: the first of them
        self.height: int = info.height
        self.width: int = info.width
        self.codec: str = info.codec.decode()
        self.packed_with: str = info.packed_with.decode(errors="surrogateescape")
        self.split_images: dict[str, int] = dict(zip(_lib.SPLITS, info.split_images))
        self.digest: str = f"{info.digest:016x}"  #: of the images, names, labels and splits

    def __len__(self) -> int:
        return self.images

    def __repr__(self) -> str:
        return (f"<fv.Dataset {self.path!r}: {self.images} images of {self.width}x{self.height}, "
                f"{self.classes} classes>")

    @property
    def handle(self) -> Handle:
        if self._handle is None:
            raise _lib.UsageError(f"{self.path}: the data set is closed")
        check_process(self._handle.pid, f"the data set {self.path}")
        return self._handle

    @property
    def label_names(self) -> list[str]:
        """The names of the identities by label; the first `classes` are those that training sees."""
        handle, label, names = self.handle, _lib.StoreLabel(), []  # the handle: open while it is in use
        for i in range(self.identities):
            check(lib.fv_store_label(handle.ptr, i, C.byref(label)))
            names.append(os.fsdecode(label.name))
        return names

    def image(self, index: int) -> Image:
        """Name, label and split of an image."""
        about, handle = _lib.StoreImage(), self.handle
        check(lib.fv_store_image(handle.ptr, self._index(index), C.byref(about)))
        return Image(os.fsdecode(about.name), about.label, _lib.SPLITS[about.split])

    def find(self, name: str) -> int:
        """The image of that name; NotFoundError."""
        found, handle = C.c_uint64(), self.handle
        with handle.lock:
            check(lib.fv_store_find(handle.ptr, os.fsencode(name), C.byref(found)))
        return found.value

    def read(self, index: int) -> np.ndarray:
        """The pixels of an image as stored: (height, width, 3), 8 bits, RGB; the caller's own."""
        pixels = np.empty(self.height * self.width * 3 + _lib.DECODE_PAD, np.uint8)
        with self._lock:
            handle = self.handle
            if not self._decoder:
                check(lib.fv_decoder_open(C.byref(self._decoder), handle.ptr))
            check(lib.fv_decoder_read(self._decoder, self._index(index), pixels.ctypes.data))
        return pixels[:-_lib.DECODE_PAD].reshape(self.height, self.width, 3)

    def _index(self, index: int) -> int:
        if not 0 <= index < self.images:
            raise IndexError(f"{self.path}: has images 0 to {self.images - 1}, not {index}")
        return index

    def close(self) -> None:
        """Lets go of the files; they are closed when no loader reads them any more."""
        if self._handle is None or os.getpid() != self._handle.pid:
            self._handle = None  # in a child, whose copy of the lock may be held by a thread that it does not have
            return
        with self._lock:
            if self._decoder:
                lib.fv_decoder_close(C.byref(self._decoder))
            self._handle = None

    __del__ = close

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def __reduce__(self):
        raise TypeError("a fv.Dataset cannot be pickled: open it in the process that reads it")
