#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Arrays over the loader's memory: zero copies, and valid for as long as anyone keeps them."""
import gc
import random
import threading
import unittest

import demo

demo.needs("numpy")
import numpy as np  # noqa: E402

import fv  # noqa: E402


def open_loader(**settings):
    return fv.Loader(demo.whole, batch=8, aug=demo.POLICY, threads=2, **settings)


EXPECTED = demo.c_batches(demo.whole, 8, demo.POLICY, count=45)
PIXELS = 8 * demo.SIDE * demo.SIDE * 3


class Views(unittest.TestCase):
    def test_are_of_a_few_slots(self):
        """The pixels lie where the ring has them: as many addresses as slots, used in turn."""
        addresses = []
        for batch in open_loader(slots=3):
            addresses.append(batch.pixels.ctypes.data)
            self.assertFalse(batch.pixels.flags.owndata)
            self.assertTrue(batch.pixels.flags.c_contiguous)
            self.assertEqual(batch.pixels.dtype, np.uint8)
        self.assertEqual(len(set(addresses)), 3)
        self.assertEqual(addresses, [addresses[i % 3] for i in range(len(addresses))])

    def test_outlive_their_batch_and_loader(self):
        loader = open_loader()
        iterator = iter(loader)
        views = [next(iterator).pixels[1:3, ::2] for _ in range(3)]
        loader.close()
        del loader, iterator
        gc.collect()
        for view, raw in zip(views, EXPECTED):
            pixels = np.frombuffer(raw[:PIXELS], np.uint8).reshape(8, demo.SIDE, demo.SIDE, 3)
            np.testing.assert_array_equal(view, pixels[1:3, ::2])

    def test_kept_one_by_one_do_not_stop_the_loader(self):
        loader, kept, k = open_loader(slots=3), {}, 0
        for _ in range(3):
            for batch in loader:
                self.assertEqual(demo.raw(batch), EXPECTED[k])
                if k % 7 == 0:
                    kept[k] = batch
                k += 1
        for k, batch in kept.items():
            self.assertEqual(demo.raw(batch), EXPECTED[k])
        self.assertEqual(loader.stats()["batches"], 45)

    def test_kept_in_a_row_are_an_error(self):
        loader = open_loader(slots=3)
        with self.assertRaisesRegex(fv.UsageError, "all 3 batches of the loader are kept"):
            list(loader)
        self.assertEqual(demo.raw(next(iter(loader))), EXPECTED[15])  # goes on with the next epoch

    def test_dropped_by_any_thread_in_any_order(self):
        """Which threads let go of batches, and when, changes nothing of what comes."""
        rng, lock, kept = random.Random(1), threading.Lock(), []
        done = threading.Event()

        def drop():
            while not done.is_set() or kept:
                with lock:
                    batch, expected = kept.pop(rng.randrange(len(kept))) if kept else (None, None)
                if batch is not None and demo.raw(batch) != expected:
                    wrong.append(expected)

        wrong, droppers = [], [threading.Thread(target=drop) for _ in range(3)]
        for thread in droppers:
            thread.start()
        loader, k = open_loader(slots=6), 0
        try:
            for _ in range(3):
                for batch in loader:
                    with lock:
                        if len(kept) < 3:
                            kept.append((batch, EXPECTED[k]))
                    self.assertEqual(demo.raw(batch), EXPECTED[k])
                    k += 1
            del batch
        finally:
            done.set()
        for thread in droppers:
            thread.join()
        self.assertEqual(wrong, [])

    def test_leave_nothing_behind(self):
        """Loaders that were dropped, with views and without, end their threads."""
        def threads():
            with open("/proc/self/status") as f:
                return next(int(line.split()[1]) for line in f if line.startswith("Threads:"))

        before = threads()
        for k in range(10):
            loader = open_loader()
            for batch in loader:
                if batch.step == k:
                    break
            view = batch.pixels
            del loader, batch
            self.assertGreater(threads(), before)
            self.assertEqual(view.tobytes(), EXPECTED[k][:PIXELS])
            del view
        self.assertEqual(threads(), before)


class DLPack(unittest.TestCase):
    def test_is_the_same_memory(self):
        batch = next(iter(open_loader()))
        for source in (batch, batch.pixels):
            array = np.from_dlpack(source)
            self.assertEqual(array.ctypes.data, batch.pixels.ctypes.data)
            self.assertEqual(array.shape, batch.pixels.shape)
        self.assertEqual(batch.__dlpack_device__(), (1, 0))  # kDLCPU

    def test_keeps_the_batch(self):
        loader = open_loader(slots=2)
        kept = np.from_dlpack(next(iter(loader)))
        for _ in loader:
            pass
        gc.collect()
        self.assertEqual(kept.tobytes(), EXPECTED[0][:PIXELS])


if __name__ == "__main__":
    demo.main()
