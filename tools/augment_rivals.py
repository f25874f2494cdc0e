# SPDX-License-Identifier: MIT
"""The other libraries of tools/compare-augment: each in a process of its own, doing what it is told line by line.

    python3 augment_rivals.py NAME PHOTOS THREADS

Answers one line of JSON a line of standard input: first its versions or why it is missing, then the images a second
of processor time of {"op": NAME, "seconds": S} or {"chain": true, "seconds": S}.

All get 8-bit RGB pixels in memory, but torchvision-files, which decodes photographs of the result's size; all make
8-bit batches, as fv does. Every library is set up as its own documentation advises for speed on a processor: OpenCV
and torch on one thread where worker processes share the processors, one composed matrix and one colour operator in
DALI, raw pixels in FFCV.
"""
import inspect
import json
import os
import random
import resource
import sys
import tempfile
import time

BATCH = 32
# Rows of the table of ops; the parameters are those of the same row of compare-augment.
OPS = ("flip", "rotate", "affine", "perspective", "rrc", "brightness", "contrast", "saturation", "hue", "jitter",
       "gray", "blur", "erase")


def cpu():
    """Processor seconds of this process and its workers, dead or alive."""
    total = 0
    for who in resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN:
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        for pid in f.read().split():
            with open(f"/proc/{pid}/stat") as stat:
                user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
            total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


def photo_files(folder):
    """(path, label) of each photo, in a fixed order."""
    people = sorted(d for d in os.listdir(folder) if os.path.isdir(os.path.join(folder, d)))
    return [(os.path.join(folder, who, f), label) for label, who in enumerate(people)
            for f in sorted(os.listdir(os.path.join(folder, who)))]


def photo_arrays(folder, most):
    import numpy
    from PIL import Image

    files = photo_files(folder)
    step = max(1, len(files) // most)
    return [(numpy.array(Image.open(path).convert("RGB")), label) for path, label in files[::step]]


def cutmix(x, labels, channels_last):
    """torchvision's CutMix of every other batch, in place: one box a batch, partner k-1. A numpy array or a tensor."""
    if random.random() < 0.5:
        return x, labels, labels, 1
    h, w = (x.shape[1], x.shape[2]) if channels_last else (x.shape[2], x.shape[3])
    lam, cx, cy = random.random(), random.randrange(w), random.randrange(h)
    r = 0.5 * (1 - lam) ** 0.5
    x1, x2 = max(cx - int(r * w), 0), min(cx + int(r * w), w)
    y1, y2 = max(cy - int(r * h), 0), min(cy + int(r * h), h)
    box = (slice(None), slice(y1, y2), slice(x1, x2)) if channels_last else \
        (slice(None), slice(None), slice(y1, y2), slice(x1, x2))
    part = x[box]
    x[box] = part.roll(1, 0) if hasattr(part, "roll") else _rolled(part)
    partner = labels.roll(1, 0) if hasattr(labels, "roll") else _rolled(labels)
    return x, labels, partner, 1 - (x2 - x1) * (y2 - y1) / (w * h)


def _rolled(a):
    import numpy

    return numpy.roll(a, 1, 0)


# --- torchvision ----------------------------------------------------------------------------------


class Torchvision:
    """Its tensor path, or Pillow's pictures from files."""

    def __init__(self, photos, threads, files=False):
        import torch
        import torchvision
        try:
            from torchvision.transforms import v2 as T
        except ImportError:
            from torchvision import transforms as T
        self.versions = f"torchvision {torchvision.__version__}, torch {torch.__version__}"
        self.torch, self.T, self.threads, self.files = torch, T, threads, files
        self.bilinear = torchvision.transforms.InterpolationMode.BILINEAR
        torch.set_num_threads(1)
        self.size = None
        if files:
            self.items = photo_files(photos)
        else:
            self.items = [(torch.from_numpy(a).permute(2, 0, 1).contiguous(), y) for a, y in photo_arrays(photos, 2000)]
            self.size = self.items[0][0].shape[1]

    def op(self, name):
        T, bilinear = self.T, self.bilinear
        make = {
            "flip": lambda: T.RandomHorizontalFlip(1),
            "rotate": lambda: T.RandomRotation(10, interpolation=bilinear),
            "affine": lambda: T.RandomAffine(10, (.1, .1), (.9, 1.1), 10, interpolation=bilinear),
            "perspective": lambda: T.RandomPerspective(.2, 1),
            "rrc": lambda: T.RandomResizedCrop(self.size, (.08, 1), antialias=True),
            "brightness": lambda: T.ColorJitter(.2),
            "contrast": lambda: T.ColorJitter(0, .2),
            "saturation": lambda: T.ColorJitter(0, 0, .2),
            "hue": lambda: T.ColorJitter(0, 0, 0, .1),
            "jitter": lambda: T.ColorJitter(.2, .2, .2, .1),
            "gray": lambda: T.RandomGrayscale(1),
            "blur": lambda: T.GaussianBlur(5, (.1, 2)),
            "erase": lambda: T.RandomErasing(1),
        }
        transform = make[name]()
        return lambda i: transform(self.items[i][0])

    def chain(self):
        torch, T, bilinear = self.torch, self.T, self.bilinear
        to_tensor = [T.PILToTensor()] if self.files else []
        ops = T.Compose([T.RandomHorizontalFlip(), T.RandomRotation(10, interpolation=bilinear),
                         T.ColorJitter(.2, .2, .2),
                         T.RandomAffine(0, (.1, .1), (.9, 1.1), interpolation=bilinear), *to_tensor,
                         T.RandomErasing(.25, value=127)])
        return torch_loader(torch, Items(self.items, ops, self.files),
                            lambda items: cutmix(*torch.utils.data.default_collate(items), False), self.threads)


class Items:
    """A map-style data set: pictures in memory or in files."""

    def __init__(self, items, ops, files):
        self.items, self.ops, self.files = items, ops, files

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        picture, label = self.items[i]
        if self.files:
            from PIL import Image

            picture = Image.open(picture).convert("RGB")
        return self.ops(picture), label


def torch_loader(torch, data, collate, threads):
    """One endless epoch, so that workers start once."""
    endless = torch.utils.data.RandomSampler(data, replacement=True, num_samples=1 << 30)
    loader = torch.utils.data.DataLoader(data, BATCH, sampler=endless, num_workers=threads, collate_fn=collate)
    return (batch[0] for batch in loader)


def torchvision_files(photos, threads):
    return Torchvision(photos, threads, files=True)


# --- Albumentations -------------------------------------------------------------------------------


class Albumentations:
    def __init__(self, photos, threads):
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A
        import cv2
        import numpy

        cv2.setNumThreads(0)
        self.A, self.np, self.threads = A, numpy, threads
        self.versions = f"Albumentations {A.__version__}, OpenCV {cv2.__version__}"
        self.items = photo_arrays(photos, 2000)
        self.size = self.items[0][0].shape[0]

    def make(self, name, p=1.0, **values):
        """Parameters by the names that this version has: `rotate=10` is limit=(-10, 10) or angle_range=(-10, 10)."""
        kind = getattr(self.A, name)
        known = inspect.signature(kind.__init__).parameters
        chosen = {}
        for names, value in values.items():
            chosen[next(n for n in names.split("__") if n in known)] = value
        return kind(p=p, **chosen)

    def jitter(self, b, c, s, h):
        return self.make("ColorJitter", brightness__brightness_range=(1 - b, 1 + b),
                         contrast__contrast_range=(1 - c, 1 + c), saturation__saturation_range=(1 - s, 1 + s),
                         hue__hue_range=(-h, h))

    def affine(self, rotate, shear):
        return self.make("Affine", scale=(.9, 1.1), translate_percent=(-.1, .1),
                         rotate__rotate_range=(-rotate, rotate),
                         shear__shear_range={"x": (-shear, shear), "y": (0, 0)})

    def op(self, name):
        make = {
            "flip": lambda: self.make("HorizontalFlip"),
            "rotate": lambda: self.make("Rotate", limit__angle_range=(-10, 10)),
            "affine": lambda: self.affine(10, 10),
            "perspective": lambda: self.make("Perspective", scale=(.05, .1)),
            "rrc": lambda: self.make("RandomResizedCrop", size=(self.size, self.size), scale=(.08, 1)),
            "brightness": lambda: self.jitter(.2, 0, 0, 0),
            "contrast": lambda: self.jitter(0, .2, 0, 0),
            "saturation": lambda: self.jitter(0, 0, .2, 0),
            "hue": lambda: self.jitter(0, 0, 0, .1),
            "jitter": lambda: self.jitter(.2, .2, .2, .1),
            "gray": lambda: self.make("ToGray"),
            "blur": lambda: self.make("GaussianBlur", blur_limit__blur_range=(5, 5), sigma_limit__sigma_range=(.1, 2)),
            "erase": lambda: self.make("Erasing"),
        }
        transform = make[name]()
        return lambda i: transform(image=self.items[i][0])["image"]

    def chain(self):
        import torch

        np = self.np
        ops = self.A.Compose([self.make("HorizontalFlip", .5), self.make("Rotate", limit__angle_range=(-10, 10)),
                              self.jitter(.2, .2, .2, 0), self.affine(0, 0), self.make("Erasing", .25, fill=127)])

        def collate(items):
            x = torch.from_numpy(np.stack([x for x, _ in items]))
            return cutmix(x, torch.tensor([y for _, y in items]), True)

        torch.set_num_threads(1)
        return torch_loader(torch, Items(self.items, lambda x: ops(image=x)["image"], False), collate, self.threads)


# --- DALI -----------------------------------------------------------------------------------------


class Dali:
    """Its CPU pipeline: flip, rotation and affine as one matrix and one warp, all colours in one operator."""

    def __init__(self, photos, threads):
        import numpy
        import nvidia.dali

        self.np, self.dali, self.threads = numpy, nvidia.dali, threads
        self.versions = f"DALI {nvidia.dali.__version__}"
        self.items = photo_arrays(photos, 2000)

    def source(self):
        np, n = self.np, len(self.items)
        picture, label = [x for x, _ in self.items], np.array([y for _, y in self.items])
        order = np.random.default_rng(1)
        while True:
            chosen = order.integers(0, n, BATCH)
            yield [picture[i] for i in chosen], label[chosen]

    def chain(self):
        fn, math, types = self.dali.fn, self.dali.math, self.dali.types
        h, w, _ = self.items[0][0].shape
        centre = [w / 2, h / 2]

        def uniform(lo, hi, **more):
            return fn.random.uniform(range=[lo, hi], **more)

        pipe = self.dali.Pipeline(BATCH, self.threads, None, seed=1, exec_async=True, exec_pipelined=True)
        with pipe:
            image, label = fn.external_source(source=self.source(), num_outputs=2, batch=True, no_copy=True)
            mirror = 1.0 - 2.0 * fn.random.coin_flip(probability=.5)
            matrix = fn.transforms.scale(scale=fn.stack(fn.cast(mirror, dtype=types.FLOAT), 1.0), center=centre)
            matrix = fn.transforms.rotation(matrix, angle=uniform(-10, 10), center=centre)
            matrix = fn.transforms.scale(matrix, scale=fn.stack(*[uniform(.9, 1.1)] * 2), center=centre)
            matrix = fn.transforms.translation(matrix, offset=uniform(-.1 * w, .1 * w, shape=[2]))
            image = fn.warp_affine(image, matrix, fill_value=0, inverse_map=False,
                                   interp_type=types.INTERP_LINEAR)
            image = fn.color_twist(image, brightness=uniform(.8, 1.2), contrast=uniform(.8, 1.2),
                                   saturation=uniform(.8, 1.2))
            on = fn.cast(fn.random.coin_flip(probability=.25), dtype=types.FLOAT)
            area, ratio = uniform(.02, .33), math.exp(uniform(-1.2, 1.2))
            shape = fn.stack(on * math.sqrt(area * ratio), on * math.sqrt(area / ratio))
            image = fn.erase(image, anchor=uniform(0, .7, shape=[2]), shape=shape, axis_names="HW",
                             normalized_anchor=True, normalized_shape=True, fill_value=127)
            pipe.set_outputs(image, label)
        pipe.build()
        while True:
            image, label = pipe.run()
            yield cutmix(self.np.array(image.as_tensor()), self.np.array(label.as_tensor()), True)[0]


# --- FFCV -----------------------------------------------------------------------------------------


class Ffcv:
    """Raw pixels, and those ops of the chain that it has: no rotation or affine; its cutout for erasing."""

    def __init__(self, photos, threads):
        import ffcv.fields
        import ffcv.fields.basics
        import ffcv.fields.rgb_image
        import ffcv.loader
        import ffcv.transforms
        import ffcv.writer
        import torch
        from importlib.metadata import version

        torch.set_num_threads(1)
        self.ffcv, self.threads = ffcv, threads
        self.versions = f"FFCV {version('ffcv')}"
        items = photo_arrays(photos, 2000)
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "photos.beton")
        writer = ffcv.writer.DatasetWriter(
            self.path, {"image": ffcv.fields.RGBImageField(write_mode="raw"), "label": ffcv.fields.IntField()},
            num_workers=1)
        writer.from_indexed_dataset(items)

    def chain(self):
        f, t = self.ffcv, self.ffcv.transforms
        decode = f.fields.rgb_image.SimpleRGBImageDecoder()
        pipelines = {
            "image": [decode, t.RandomHorizontalFlip(), t.RandomBrightness(.2, 1), t.RandomContrast(.2, 1),
                      t.RandomSaturation(.2, 1), t.Cutout(32), t.ToTensor()],
            "label": [f.fields.basics.IntDecoder(), t.ToTensor()],
        }
        loader = f.loader.Loader(self.path, BATCH, num_workers=self.threads, order=f.loader.OrderOption.RANDOM,
                                 os_cache=True, drop_last=True, pipelines=pipelines)
        while True:
            for image, label in loader:
                yield cutmix(image, label, True)[0]


# --- the process ----------------------------------------------------------------------------------

RIVALS = {"torchvision": Torchvision, "torchvision-files": torchvision_files, "albumentations": Albumentations,
          "dali": Dali, "ffcv": Ffcv}


def rate_of_op(op, images, seconds):
    """Images a second of processor time, on this thread; at least a warm-up and a round of each."""
    n, start, end = 0, None, time.process_time() + seconds / 5
    while True:
        now = time.process_time()
        if now >= end:
            if start is not None:
                return n / (now - start)
            n, start, end = 0, now, now + seconds
        for i in range(16):
            op((n + i * 7919) % images)
        n += 16


def rate_of_chain(batches, seconds):
    warm = time.monotonic() + seconds / 5
    while time.monotonic() < warm:
        next(batches)
    start, wall = cpu(), time.monotonic()
    n, end = 0, wall + seconds
    while time.monotonic() < end:
        n += len(next(batches))
    return {"per_core": n / (cpu() - start), "per_s": n / (time.monotonic() - wall)}


def main():
    name, photos, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer

    def say(what):
        print(json.dumps(what), file=answer, flush=True)

    try:
        rival = RIVALS[name](photos, threads)
    except Exception as e:  # whatever a broken installation raises: the reason is what is wanted
        say({"missing": f"{type(e).__name__}: {str(e).strip().splitlines()[0] if str(e) else ''}"})
        return
    say({"versions": rival.versions})
    batches = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if "op" in order:
                say({"per_core": rate_of_op(rival.op(order["op"]), len(rival.items), order["seconds"])})
            else:
                batches = batches or rival.chain()
                say(rate_of_chain(batches, order["seconds"]))
        except Exception as e:
            say({"failed": f"{type(e).__name__}: {e}"})
    os._exit(0)  # without waiting for anyone's workers


main()
