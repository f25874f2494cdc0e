# SPDX-License-Identifier: MIT
"""The loader: epochs of batches whose arrays are views of the memory that fv's threads wrote them to."""
from __future__ import annotations

import ctypes as C
import logging
import os
import threading
import weakref
from collections import deque
from typing import Iterator

import numpy as np

from fv import _lib
from fv._lib import Error, UsageError, check, check_process, lib
from fv.dataset import Dataset, Path, hold, let_go

log = logging.getLogger("fv")


def options() -> dict[str, str]:
    """What a Loader may be given by name, with a sentence about each."""
    name, about, rows = C.c_char_p(), C.c_char_p(), {}
    while lib.fv_loader_options_row(len(rows), C.byref(name), C.byref(about)):
        rows[name.value.decode()] = about.value.decode()
    return rows


class _Options:
    """struct fv_loader_options from keyword arguments: split_images=3 is "split-images", "3"."""

    def __init__(self, values: dict):
        self.ptr = C.c_void_p()
        check(lib.fv_loader_options_new(C.byref(self.ptr)))
        for name, value in values.items():
            if value is not None:
                check(lib.fv_loader_options_set(self.ptr, name.replace("_", "-").encode(), self._text(value)))

    def __del__(self):
        lib.fv_loader_options_free(C.byref(self.ptr))

    @staticmethod
    def _text(value) -> bytes:
        if isinstance(value, bool):
            return b"yes" if value else b"no"
        if isinstance(value, (list, tuple)):
            return ",".join(map(str, value)).encode()
        return str(value).encode()

    def lines(self) -> dict[str, str]:
        """What decides which batches come. The rank is left out: one state serves all ranks."""
        room = check(lib.fv_loader_options_text(self.ptr, None, 0)) + 1
        text = C.create_string_buffer(room)
        check(lib.fv_loader_options_text(self.ptr, text, room))
        rows = dict(line.split(" = ", 1) for line in text.value.decode().splitlines())
        rows.pop("rank", None)
        return rows


class _Spent(Exception):
    """A ring that cannot go on: another must take over."""


class _Ring:
    """An open loader of the C library and the batches of it that are out.

    It is closed when the Loader and the last array of its batches have let go of it, so no view ever points to freed
    memory. A batch is out until its _Slot is gone. The library takes batches back in order, from one thread at a time:
    who lets go of one gives back what can be, unless someone is at it; what that misses is for the next call.

    A signal's exception may strike between any two steps. `busy` is then left as it is, and a ring that is still busy
    under its lock gives nothing back and hands nothing out any more: it is spent, but its views stay valid.
    """

    def __init__(self, dataset: Dataset, opts: _Options, slots: int):
        self.ptr, self.pid, self.slots = C.c_void_p(), os.getpid(), slots
        handle = dataset.handle
        self.lock = threading.RLock()  # garbage is collected at any time, even by the thread that has it
        self.busy = False
        self.at = 0  # ticket of the next batch
        self.held: "deque[weakref.ref[_Slot]]" = deque()  # oldest first
        me = weakref.ref(self)  # neither what is held nor the report may keep the ring
        self.let_go = lambda _: me()._tidy()
        said = self.said = []
        self.message = _lib.Report.MESSAGE(lambda ctx, level, text: said.append(text.decode(errors="replace")))
        self.report = _lib.Report(None, self.message, None)
        lib.fv_loader_options_report(opts.ptr, C.byref(self.report))
        self.file = hold(handle.file)  # before there are threads that read it
        try:
            check(lib.fv_loader_open_options(C.byref(self.ptr), handle.ptr, opts.ptr))
            self.source = lib.fv_loader_source(self.ptr).contents
        except Error:
            let_go(self.file)
            raise

    def __del__(self):
        if self.ptr and os.getpid() == self.pid:
            lib.fv_loader_close(C.byref(self.ptr))
            let_go(self.file)

    def _give_back(self) -> None:
        """With the lock, and busy."""
        while self.held and self.held[0]() is None:
            self.held.popleft()
            self.source.release(self.source.ctx)

    def _tidy(self) -> None:
        if os.getpid() != self.pid or self.busy:
            return
        with self.lock:
            if not self.busy:
                self.busy = True
                self._give_back()
                self.busy = False

    def next(self) -> "tuple[_Slot, _lib.Batch] | None":
        """The next batch, None at the end of a single pass; _Spent when the oldest batch that is out is in the way of
        later ones that are not."""
        found, slot, result = C.POINTER(_lib.Batch)(), None, 0
        with self.lock:
            if self.busy:
                raise _Spent
            self.busy = True
            self._give_back()
            full = len(self.held) >= self.slots
            spent = full and any(out() is None for out in self.held)
            if not full:
                result = self.source.next(self.source.ctx, C.byref(found))
            if result > 0:
                slot = _Slot(self)
                self.held.append(weakref.ref(slot, self.let_go))
                self.at = found.contents.ticket + 1
            self.busy = False
        try:
            check(result)
        finally:
            while self.said:
                log.warning("%s", self.said.pop(0))
        if spent:
            raise _Spent
        if full:
            raise UsageError(f"all {self.slots} batches of the loader are kept, or arrays or tensors over them: keep "
                             "copies, or open the loader with more slots")
        return (slot, found.contents) if slot else None

    def seek(self, ticket: int) -> None:
        """_Spent while batches are out: their memory would be written to."""
        if ticket == self.at:
            return
        with self.lock:
            if self.busy:
                raise _Spent
            self.busy = True
            self._give_back()
            out = bool(self.held)
            result = 0 if out else self.source.seek(self.source.ctx, ticket)
            if not out and result >= 0:
                self.at = ticket
            self.busy = False
        check(result)
        if out:
            raise _Spent

    def stats(self) -> dict[str, int]:
        name, value, found = C.c_char_p(), C.c_uint64(), {}
        while lib.fv_loader_stat_row(len(found), C.byref(name)):
            check(lib.fv_loader_stat(self.ptr, name, C.byref(value)))
            found[name.value.decode()] = value.value
        return found


class _Slot:
    """A batch that is out: kept by its views, and keeps the ring."""
    __slots__ = ("ring", "__weakref__")

    def __init__(self, ring: _Ring):
        self.ring = ring


class _Memory:
    """What NumPy keeps alive for a view."""
    __slots__ = ("slot", "__array_interface__")

    def __init__(self, slot: _Slot, address: int, shape: tuple, kind: type):
        self.slot = slot
        self.__array_interface__ = {"version": 3, "data": (address, False), "shape": shape,
                                    "typestr": np.dtype(kind).str}


class Batch:
    """A batch of images. Its arrays are views of the loader's memory: nothing is copied.

    A view stays valid until it is gone: a batch goes back to the loader when nothing refers to it or to its arrays,
    tensors made from them included. Keeping one keeps the memory of `slots` batches; keeping `slots` of them in a row
    is an error: keep copies. Views may be written to. The soft label of image i is lam[i] on label[i] and 1 - lam[i]
    on label_mix[i]. ``torch.from_dlpack(batch)`` is the pixels without a copy.
    """

    def __init__(self, dataset: Dataset, slot: _Slot, b: _lib.Batch):
        def view(address, shape, kind):
            return np.asarray(_Memory(slot, address, shape, kind))

        self._dataset = dataset
        self.epoch: int = b.epoch
        self.step: int = b.step  #: within the epoch
        self.ticket: int = b.ticket  #: among all batches
        self.pixels: np.ndarray = view(b.pixels, (b.n, b.height, b.width, 3), np.uint8)  #: (n, height, width, RGB)
        self.label: np.ndarray = view(b.label, (b.n,), np.int32)
        self.label_mix: np.ndarray = view(b.label_mix, (b.n,), np.int32)
        self.lam: np.ndarray = view(b.lam, (b.n,), np.float32)
        self.image: np.ndarray = view(b.image, (b.n,), np.uint32)  #: ids in the data set

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        n, h, w, _ = self.pixels.shape
        return f"<fv.Batch {self.epoch}.{self.step}: {n} images of {w}x{h}>"

    def names(self) -> list[str]:
        """The source names of the images."""
        return [self._dataset.image(int(i)).name for i in self.image]

    def __dlpack__(self, **asked):
        return self.pixels.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self.pixels.__dlpack_device__()


class _Epoch:
    """The rest of an epoch."""

    def __init__(self, loader: "Loader", end: int):
        self._loader, self._end = loader, end
        self._turn = loader._turn

    def __iter__(self):
        return self

    def __len__(self) -> int:
        return self._end - self._loader._next if self._turn == self._loader._turn else 0

    def __next__(self) -> Batch:
        if self._turn != self._loader._turn:
            raise UsageError("this iteration is over: a later one, a seek or a close came between")
        if self._loader._next >= self._end:
            raise StopIteration
        return self._loader._take()


class Loader:
    """Epochs of batches from a data set: ``for batch in loader`` is one epoch.

    dataset    a path, several paths, or a Dataset; loaders of one data set share it
    batch      images in a batch
    aug        the augmentation policy, such as "rrc(0.8,1),flip,rotate(10),cutmix(1)"
    seed       what all random decisions follow from: equal settings and data, equal batches, for any `threads`
    threads    that make batches; 0: as many as there are processors to spare
    slots      batches in memory at once, at least 2
    split      "train", "val", "holdout", or several
    shuffle    whether an epoch is in an order of its own; None: only of "train"
    drop_last  True: whole batches, and every epoch draws anew. False: every epoch is the same single pass over all
               images, with a last batch that may be short, as evaluation wants. None: as `shuffle`
    options    the rest, by the names that fv.options() tells: size=112, on_error="fail", ...

    An epoch that was left early is not gone on with: the next iteration begins the next epoch. The exception is the
    first iteration after seek() or load_state_dict(), which goes on where they point to. May be used by one thread
    at a time and not after a fork.
    """

    def __init__(self, dataset: "Dataset | Path", *, batch: int = 32, aug: str = "none", seed: int = 1,
                 threads: int = 0, slots: int = 4, split="train", shuffle: bool | None = None,
                 drop_last: bool | None = None, **options):
        self._ring: _Ring | None = None
        self.dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
        if slots < 2:
            raise UsageError(f"slots={slots}: a loop holds a batch while it asks for the next: use 2 or more")
        if "endless" in options:
            raise UsageError("endless: give drop_last instead, which means the same here")
        if shuffle is None:
            shuffle = split in ("train", ["train"], ("train",))
        if drop_last is None:
            drop_last = shuffle
        options.setdefault("order", "shuffle" if shuffle else "sequential")
        self._options = _Options({"batch": batch, "aug": aug, "seed": seed, "loader-threads": threads, "slots": slots,
                                  "split": split, "endless": drop_last, **options})
        self._slots, self._endless = slots, drop_last
        self._turn = 0  # of iterating: an iterator of an earlier one is stale
        self._next = 0  # ticket of the next batch
        self._placed = False  # by the user: the next iteration begins here
        self._figures: dict[str, int] = {}  # of rings that were left
        self._open()
        source = self._ring.source
        self.images: int = source.images_per_epoch
        self.height: int = source.height
        self.width: int = source.width
        self.classes: int = source.classes  #: of the data set
        self._length: int = source.batches_per_epoch

    def _open(self) -> None:
        self._ring = _Ring(self.dataset, self._options, self._slots)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._length

    def __repr__(self) -> str:
        return f"<fv.Loader of {self.dataset.path!r}: {len(self)} batches an epoch, at {self.epoch}.{self.step}>"

    @property
    def epoch(self) -> int:
        """Of the next batch. Without drop_last all epochs are epoch 0."""
        return self._next // self._length if self._endless else 0

    @property
    def step(self) -> int:
        """Of the next batch, within its epoch."""
        return self._next % self._length if self._endless else self._next

    # --- iterating

    def __iter__(self) -> Iterator[Batch]:
        self._opened()
        if not self._placed:
            self._go_to(-(-self._next // self._length) * self._length if self._endless else 0)
        self._placed = False
        self._turn += 1
        return _Epoch(self, self._next - self._next % self._length + self._length)

    def _opened(self) -> _Ring:
        if self._ring is None:
            raise UsageError("the loader is closed")
        check_process(self._ring.pid, "the loader")
        return self._ring

    def _take(self) -> Batch:
        try:
            self._opened().seek(self._next)
            found = self._ring.next()
        except _Spent:
            self._leave_ring(self._next)
            found = self._ring.next()
        if found is None:
            raise Error("the pass ended early")
        batch = Batch(self.dataset, *found)
        self._next = batch.ticket + 1
        return batch

    def _go_to(self, ticket: int) -> None:
        try:
            self._opened().seek(ticket)
        except _Spent:
            self._leave_ring(ticket)
        self._next = ticket

    def _leave_ring(self, ticket: int) -> None:
        """To those who keep views of it. Another takes over."""
        self._figures = self.stats()
        self._open()
        self._ring.seek(ticket)

    # --- the position

    def seek(self, epoch: int, step: int = 0) -> None:
        """The next iteration begins there, at no cost that grows with the distance."""
        if not 0 <= step < self._length or not 0 <= epoch < (1 << 32 if self._endless else 1):
            raise UsageError(f"there is no batch {epoch}.{step}: an epoch has {self._length}"
                             + (", and epochs go to 2^32 - 1" if self._endless else
                                " and without drop_last there is only epoch 0"))
        self._go_to(epoch * self._length + step)
        self._turn += 1
        self._placed = True

    def state_dict(self) -> dict:
        """The position, and what it is a position in. Small, and of plain types."""
        return {"version": 1, "next": self._next, "data": self.dataset.digest, "settings": self._options.lines()}

    def load_state_dict(self, state: dict) -> None:
        """Goes to a position that state_dict told: the next iteration goes on with that very batch.

        The data and the settings must be the same, but for threads and slots, which do not matter.
        """
        if state.get("version") != 1:
            raise UsageError("this is no state of a fv.Loader")
        if state["data"] != self.dataset.digest:
            raise UsageError(f"the state is of other data than {self.dataset.path}: {state['data']}, not "
                             f"{self.dataset.digest}")
        now, then = self._options.lines(), state["settings"]
        for name in sorted(now.keys() | then.keys()):
            if now.get(name) != then.get(name):
                raise UsageError(f"the state is of other settings: {name} was {then.get(name)}, here it is "
                                 f"{now.get(name)}")
        end = self._length
        epoch, step = divmod(int(state["next"]), end) if self._endless else (0, int(state["next"]) % end)
        self.seek(epoch, step)

    # --- the rest

    def stats(self) -> dict[str, int]:
        """Images and batches delivered, bad images, how often another one stood in or one was left out, nanoseconds of
        each stage over all threads, and those that threads and consumer waited."""
        now = self._opened().stats()
        return {name: value + (0 if name == "threads" else self._figures.get(name, 0)) for name, value in now.items()}

    def close(self) -> None:
        """No more batches. The threads end when the last view of a batch is gone; views stay valid."""
        self._ring = None
        self._turn += 1

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def __reduce__(self):
        raise TypeError("a fv.Loader cannot be pickled: its threads are of this process; open it where it is used")
