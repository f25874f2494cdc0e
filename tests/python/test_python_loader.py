#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The loader from Python: the C loader's batches, epochs, resuming, errors."""
import ctypes
import json
import logging
import os
import pickle
import shutil
import signal
import sys
import threading
import unittest
from unittest import mock

import demo

demo.needs("numpy")
import numpy as np  # noqa: E402

import fv  # noqa: E402
from fv import _lib  # noqa: E402


def some(loader, count):
    """The bytes of the next batches, over the ends of epochs."""
    found = []
    while len(found) < count:
        for batch in loader:
            found.append(demo.raw(batch))
            if len(found) == count:
                break
    return found


class Batches(unittest.TestCase):
    def test_are_those_of_the_c_loader(self):
        for batch, policy, seed, size in ((16, demo.POLICY, 1, 0), (7, "flip,rotate(20)", 5, 20), (120, "none", 2, 0)):
            expected = demo.c_batches(demo.whole, batch, policy, seed, size, threads=2, count=20)
            for threads in (1, 3):
                with fv.Loader(demo.whole, batch=batch, aug=policy, seed=seed, size=size, threads=threads) as loader:
                    self.assertEqual(some(loader, 20), expected)

    def test_of_a_damaged_data_set_too(self):
        expected = demo.c_batches(demo.damaged, 16, demo.POLICY, count=14)
        with self.assertLogs("fv", logging.WARNING) as said:
            loader = fv.Loader(demo.damaged, batch=16, aug=demo.POLICY, threads=3)
            self.assertEqual(some(loader, 14), expected)
        self.assertEqual(len(said.records), 1)
        self.assertIn("person000/0007.jpg", said.output[0])
        self.assertEqual(loader.stats()["replaced"], 2)

    def test_say_what_is_in_them(self):
        dataset = fv.Dataset(demo.whole)
        for batch in fv.Loader(dataset, batch=16, threads=1):
            for pixels, label, image, name in zip(batch.pixels, batch.label, batch.image, batch.names()):
                self.assertEqual(name, f"person{label:03}/{image % demo.PER_LABEL:04}.jpg")
                np.testing.assert_array_equal(pixels, dataset.read(int(image)))
            np.testing.assert_array_equal(batch.label, batch.label_mix)
            np.testing.assert_array_equal(batch.lam, 1)

    def test_of_two_loaders_at_once(self):
        a = fv.Loader(demo.whole, batch=16, aug=demo.POLICY, threads=1)
        b = fv.Loader(demo.whole, batch=16, aug=demo.POLICY, threads=2, seed=9)
        pairs = [(demo.raw(x), demo.raw(y)) for x, y in zip(a, b)]
        self.assertEqual([x for x, _ in pairs], demo.c_batches(demo.whole, 16, demo.POLICY, 1, count=7))
        self.assertEqual([y for _, y in pairs], demo.c_batches(demo.whole, 16, demo.POLICY, 9, count=7))


class Epochs(unittest.TestCase):
    def test_of_training_hold_every_image_once_and_differ(self):
        loader = fv.Loader(demo.whole, batch=24, threads=2)
        self.assertEqual((len(loader), loader.images, loader.classes), (5, demo.TRAIN, demo.CLASSES))
        orders = []
        for epoch in range(3):
            self.assertEqual((loader.epoch, loader.step), (epoch, 0))
            orders.append([int(i) for batch in loader for i in batch.image])
            self.assertEqual(len(set(orders[-1])), demo.TRAIN)
        self.assertEqual(len({tuple(o) for o in orders}), 3)

    def test_of_validation_are_one_pass_in_order(self):
        with fv.Loader(demo.whole, batch=16, split="val") as loader:
            for _ in range(2):
                batches = [(len(b), list(b.image)) for b in loader]
                self.assertEqual([n for n, _ in batches], [16, demo.VAL - 16])
                images = [int(i) for _, part in batches for i in part]
                self.assertEqual(images, sorted(images))
                self.assertTrue(all(loader.dataset.image(i).split == "val" for i in images))

    def test_are_shuffled_of_training_alone_however_it_is_named(self):
        whole = [list(b.image) for b in fv.Loader(demo.whole, batch=16)]
        for split in (["train"], ("train",)):
            self.assertEqual([list(b.image) for b in fv.Loader(demo.whole, batch=16, split=split)], whole)
        both = [int(i) for b in fv.Loader(demo.whole, batch=16, split=["train", "val"]) for i in b.image]
        self.assertEqual(both, sorted(both))

    def test_may_be_left_early(self):
        loader = fv.Loader(demo.whole, batch=16, aug=demo.POLICY, threads=2)
        expected = demo.c_batches(demo.whole, 16, demo.POLICY, count=21)
        for batch in loader:
            if batch.step == 2:
                break  # and keep it
        self.assertEqual([demo.raw(b) for b in loader], expected[7:14])
        self.assertEqual(demo.raw(batch), expected[2])
        iterator = iter(loader)
        next(iterator)
        self.assertEqual([demo.raw(b) for b in loader], demo.c_batches(demo.whole, 16, demo.POLICY, start=21, count=7))
        with self.assertRaisesRegex(fv.UsageError, "this iteration is over"):
            next(iterator)
        stats = loader.stats()  # of more than one ring, since batches were kept
        self.assertGreaterEqual(stats["batches"], 18)
        self.assertEqual(stats["threads"], 2)

    def test_go_on_after_an_interrupt(self):
        """Wherever a signal's exception strikes, the next batch is the one that was not delivered."""
        def interrupt(*_):
            raise KeyboardInterrupt

        expected = demo.c_batches(demo.whole, 16, demo.POLICY, count=70)
        handler, hook = signal.signal(signal.SIGALRM, interrupt), sys.unraisablehook
        sys.unraisablehook = lambda _: None  # one that strikes while garbage is collected is lost: Python's rule
        loader, found, struck = fv.Loader(demo.whole, batch=16, aug=demo.POLICY, threads=1, slots=2), [], 0
        try:
            for k in range(1, 120):
                try:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, k * 5e-5)
                        loader.seek(*divmod(len(found), len(loader)))
                        for batch in loader:
                            found.append(demo.raw(batch))
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    struck += 1
                if len(found) > 60:
                    self.assertEqual(found, expected[:len(found)])
                    found = []
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
            sys.unraisablehook = hook
        self.assertEqual(found, expected[:len(found)])
        self.assertGreater(struck, 5)

    def test_begin_where_seek_says(self):
        loader = fv.Loader(demo.whole, batch=16, aug=demo.POLICY, threads=2)
        loader.seek(1000000, 4)
        self.assertEqual([(b.epoch, b.step) for b in loader], [(1000000, s) for s in (4, 5, 6)])
        self.assertEqual(loader.epoch, 1000001)
        for bad in ((0, 7), (-1, 0), (0, -1)):
            with self.assertRaisesRegex(fv.UsageError, "there is no batch"):
                loader.seek(*bad)
        last = (1 << 32) - 1
        loader.seek(last, 6)
        self.assertEqual([(b.epoch, b.step) for b in loader], [(last, 6)])
        for beyond in (1 << 32, 1 << 64):  # whose ticket would be that of an early batch
            with self.assertRaisesRegex(fv.UsageError, "there is no batch"):
                loader.seek(beyond, 3)


class State(unittest.TestCase):
    def test_resumes_anywhere(self):
        settings = {"batch": 16, "aug": demo.POLICY, "seed": 3}
        expected = demo.c_batches(demo.whole, 16, demo.POLICY, 3, count=25)
        for stop in (0, 1, 6, 7, 8, 20):
            first = fv.Loader(demo.whole, threads=3, **settings)
            self.assertEqual(some(first, stop), expected[:stop])
            state = json.loads(json.dumps(first.state_dict()))
            again = fv.Loader(demo.whole, threads=1, slots=2, **settings)
            again.load_state_dict(state)
            self.assertEqual(some(again, 25 - stop), expected[stop:])

    def test_resumes_a_single_pass(self):
        first = fv.Loader(demo.whole, batch=8, split="val")
        iterator = iter(first)
        part = [list(next(iterator).image) for _ in range(2)]
        again = fv.Loader(demo.whole, batch=8, split="val")
        again.load_state_dict(first.state_dict())
        part += [list(b.image) for b in again]
        self.assertEqual(part, [list(b.image) for b in first])
        again.load_state_dict(first.state_dict())  # at the end: the next pass
        self.assertEqual(len(list(map(len, again))), 4)

    def test_of_something_else_is_refused(self):
        state = fv.Loader(demo.whole, batch=16).state_dict()
        with self.assertRaisesRegex(fv.UsageError, "batch was 16, here it is 8"):
            fv.Loader(demo.whole, batch=8).load_state_dict(state)
        with self.assertRaisesRegex(fv.UsageError, "of other data"):
            fv.Loader(demo.whole, batch=16).load_state_dict({**state, "data": "0" * 16})
        with self.assertRaisesRegex(fv.UsageError, "no state of"):
            fv.Loader(demo.whole, batch=16).load_state_dict({})


class Errors(unittest.TestCase):
    def test_of_settings(self):
        for settings, sentence in (({"aug": "flap"}, "flap"), ({"aug": "rotate(x)"}, "rotate"), ({"aug": 3}, "3"),
                                   ({"batch": 0}, "batch: '0' is not within 1 to"),
                                   ({"batch": "many"}, "batch: 'many' is not a whole number"),
                                   ({"batch": 121}, "has 120 images, fewer than a batch"),
                                   ({"split": "trian"}, "'trian' is not one of train, val, holdout"),
                                   ({"slots": 1}, "use 2 or more"), ({"endless": False}, "drop_last"),
                                   ({"colour": 1}, "no option 'colour': there are")):
            with self.assertRaisesRegex(fv.Error, sentence) as caught:
                fv.Loader(demo.whole, **settings)
            self.assertTrue(caught.exception.kind)

    def test_of_files(self):
        with self.assertRaisesRegex(fv.NotFoundError, "nowhere.lmdb"):
            fv.Loader(os.path.join(demo.folder, "nowhere.lmdb"))
        with self.assertRaisesRegex(fv.Error, "a,,b|between its commas"):
            fv.Dataset("a,,b")
        junk = os.path.join(demo.folder, "junk.lmdb")
        with open(junk, "wb") as f:
            f.write(os.urandom(20000))
        with self.assertRaisesRegex(fv.Error, "junk.lmdb"):
            fv.Dataset(junk)

    def test_of_a_bad_record(self):
        loader = fv.Loader(demo.damaged, batch=16, shuffle=False, drop_last=True, on_error="fail")
        with self.assertRaisesRegex(fv.CorruptError, "damaged.lmdb"):
            list(loader)
        with self.assertRaises(fv.CorruptError):
            loader.dataset.read(7)

    def test_of_use_after_close(self):
        with fv.Loader(demo.whole, batch=16) as loader:
            iterator = iter(loader)
            next(iterator)
        for use in (lambda: iter(loader), loader.stats, lambda: loader.seek(0, 1)):
            with self.assertRaisesRegex(fv.UsageError, "closed"):
                use()
        with self.assertRaisesRegex(fv.UsageError, "iteration is over"):
            next(iterator)
        loader.close()

    def test_of_a_child_process(self):
        loader = fv.Loader(demo.whole, batch=16, threads=2)
        iterator = iter(loader)
        kept = next(iterator)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            said = b""
            for use in (lambda: next(iterator), lambda: loader.dataset.read(0)):
                try:
                    use()
                except fv.UsageError as e:
                    said += f"{e}\n".encode()
            with fv.Loader(demo.whole, batch=16, threads=2) as own:
                said += str(len(list(map(len, own)))).encode()
            os.write(write, said)
            del kept, iterator, loader  # which must neither wait for threads nor close what is the parent's
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        said = os.read(read, 4096).decode()
        self.assertEqual(said.count("must not be used in its child"), 2, said)
        self.assertEqual(said.splitlines()[2], "7")
        self.assertEqual(len(list(map(len, iterator))), 6)
        for pickled in (loader, loader.dataset):
            with self.assertRaisesRegex(TypeError, "cannot be pickled"):
                pickle.dumps(pickled)


    def test_of_a_child_while_its_parent_reads(self):
        """It does not have the thread that would give the lock back."""
        dataset = fv.Dataset(demo.whole)
        dataset.read(0)
        with dataset._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # the end of a child that hangs
                dataset.close()
                os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(dataset.read(0).shape, (demo.SIDE, demo.SIDE, 3))

    def test_of_an_interrupt_where_a_loader_ends(self):
        """Its threads then go on: the data set that they read stays open."""
        path = shutil.copy(demo.whole, os.path.join(demo.folder, "own.lmdb"))  # which nobody else has open
        dataset = fv.Dataset(path)
        loader = fv.Loader(dataset, batch=16, threads=2)
        file, ring = dataset.handle.file, loader._ring
        ptr = ring.ptr
        with mock.patch.object(type(ring), "__del__", lambda self: None):  # struck before it did anything
            del loader, ring
        dataset.close()
        self.assertTrue(file.ptr)
        _lib.lib.fv_loader_close(ctypes.byref(ptr))
        fv.dataset.let_go(file)
        self.assertFalse(file.ptr)
        with fv.Loader(path, batch=16) as other:  # which opens it anew
            self.assertEqual(len(list(map(len, other))), 7)


class Info(unittest.TestCase):
    def test_of_a_data_set(self):
        with fv.Dataset(demo.whole) as dataset:
            self.assertEqual((len(dataset), dataset.classes, dataset.identities), (180, 10, 12))
            self.assertEqual((dataset.height, dataset.width, dataset.codec), (demo.SIDE, demo.SIDE, "pixels"))
            self.assertEqual(dataset.split_images, {"train": 120, "val": 30, "holdout": 30})
            self.assertEqual(dataset.label_names, [f"person{i:03}" for i in range(12)])
            self.assertEqual(dataset.image(19), ("person001/0004.jpg", 1, "val"))
            self.assertEqual(dataset.find("person001/0004.jpg"), 19)
            with self.assertRaisesRegex(fv.NotFoundError, "nobody.jpg"):
                dataset.find("nobody.jpg")
            for bad in (-1, 180):
                with self.assertRaisesRegex(IndexError, "has images 0 to 179"):
                    dataset.image(bad)
        with self.assertRaisesRegex(fv.UsageError, "closed"):
            dataset.image(0)

    def test_opened_and_closed_by_many_threads(self):
        """Those who share a file neither close it for each other nor find it open when the last one has closed it."""
        failed = []

        def use(k):
            try:
                for i in range(40):
                    with fv.Dataset(demo.whole) as dataset:
                        self.assertEqual(dataset.image(k * 10 + i % 10).label, (k * 10 + i % 10) // 15)
            except Exception as e:
                failed.append(e)

        threads = [threading.Thread(target=use, args=(k,)) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])

    def test_of_the_structs_that_c_has(self):
        """Members lie where tests/api/abi.txt says, which another test compares with the library."""
        mine = {"fv_batch": _lib.Batch, "fv_batch_source": _lib.Source, "fv_report": _lib.Report,
                "fv_store_info": _lib.StoreInfo, "fv_store_image": _lib.StoreImage, "fv_store_label": _lib.StoreLabel}
        compared = 0
        with open(os.path.join(os.path.dirname(__file__), "..", "api", "abi.txt")) as f:
            rows = [line.split() for line in f if line.startswith("struct ") and len(line.split()) == 5]
        for _, struct, member, offset, size in rows:
            if struct in mine:
                field = getattr(mine[struct], {"lambda": "lam"}.get(member, member))
                self.assertEqual((field.offset, field.size), (int(offset), int(size)), f"{struct}.{member}")
                compared += 1
        self.assertEqual(compared, sum(len(s._fields_) for s in mine.values()))

    def test_of_the_options(self):
        self.assertLessEqual({"batch", "aug", "seed", "split", "order", "on-error"}, fv.options().keys())


if __name__ == "__main__":
    demo.main()
