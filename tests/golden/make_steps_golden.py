#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes steps.txt: parameters, matrices and coefficients that torchvision makes of our random numbers. Run by hand.

get_params and the functions that make matrices are torchvision's own; coefficients of a perspective are solved in
double precision. A line is one case: policy, height, width, image, number of steps, then each step's kind, number of
values and values. Steps are named as in augment/policy.h.
"""
from unittest import mock

import torch
import torchvision
import torchvision.transforms.functional as F
from torchvision.transforms import ColorJitter, GaussianBlur, RandomAffine, RandomPerspective, RandomRotation

from philox import AUG, Stream, replay

IMAGES = 40


def put(policy, h, w, image, *steps):
    text = "".join(f" {kind} {len(v)}" + "".join(f" {float(x)!r}" for x in v) for kind, *v in steps)
    print(f"{policy} {h} {w} {image} {len(steps)}{text}")


def matrix(angle, translate, scale, shear):
    return F._get_inverse_affine_matrix([0.0, 0.0], angle, [1.0 * t for t in translate], scale, shear)


def rotations(policy, h, w, degrees):
    for image in range(IMAGES):
        angle = replay(Stream(image, AUG), RandomRotation.get_params, [-degrees, degrees])
        put(policy, h, w, image, ("affine", *matrix(-angle, [0, 0], 1.0, [0.0, 0.0])))


def affines(policy, h, w, degrees, translate, scale, shear):
    ranges = [-degrees, degrees], translate, scale, [-shear[0], shear[0], -shear[1], shear[1]]
    for image in range(IMAGES):
        angle, moved, factor, sheared = replay(Stream(image, AUG), RandomAffine.get_params, *ranges, [w, h])
        put(policy, h, w, image, ("affine", *matrix(angle, moved, factor, sheared)))


def perspectives(policy, h, w, distortion, p):
    for image in range(IMAGES):
        stream, steps = Stream(image, AUG), []
        if stream.unit() < p:
            ends = replay(stream, RandomPerspective.get_params, w, h, distortion)
            with mock.patch.object(torch, "float", torch.float64):
                steps.append(("perspective", *F._get_perspective_coeffs(*ends)))
        put(policy, h, w, image, *steps)


def jitters(policy, values):
    kinds = "brightness", "contrast", "saturation", "hue"
    ranges = [None if v == 0 else (-v, v) if k == "hue" else (max(0, 1 - v), 1 + v) for k, v in zip(kinds, values)]
    assert [None if v is None else list(v) for v in ranges] == [
        None if getattr(ColorJitter(*values), k) is None else list(getattr(ColorJitter(*values), k)) for k in kinds]
    for image in range(IMAGES):
        order, *amounts = replay(Stream(image, AUG), ColorJitter.get_params, *ranges)
        put(policy, 64, 64, image, *((kinds[i], amounts[i]) for i in order.tolist() if amounts[i] is not None))


def coins(policy, kind, p):
    for image in range(IMAGES):
        put(policy, 64, 64, image, *([(kind,)] if Stream(image, AUG).unit() < p else []))


def blurs(policy, kernel, lo, hi, p):
    for image in range(IMAGES):
        stream, steps = Stream(image, AUG), []
        if stream.unit() < p:
            steps.append(("blur", replay(stream, GaussianBlur.get_params, lo, hi), kernel))
        put(policy, 64, 64, image, *steps)


print(f"# torchvision {torchvision.__version__}, torch {torch.__version__}")
rotations("rotate(10)", 64, 64, 10)
rotations("rotate(180)", 50, 91, 180)
affines("affine(10,.1,.1,.9,1.1,5,5)", 112, 112, 10, (0.1, 0.1), (0.9, 1.1), (5, 5))
affines("affine(180,.25,.5,.3,3,40,30)", 37, 90, 180, (0.25, 0.5), (0.3, 3), (40, 30))
affines("affine(0,1,0,1,1,20)", 64, 40, 0, (1, 0), (1, 1), (20, 0))
perspectives("perspective(.2,1)", 112, 112, 0.2, 1)
perspectives("perspective", 91, 64, 0.5, 0.5)
jitters("jitter(.2,.4,1.5,.05)", (0.2, 0.4, 1.5, 0.05))
jitters("jitter(0,.4,0,.5)", (0, 0.4, 0, 0.5))
coins("gray(.3)", "gray", 0.3)
coins("flip", "flip", 0.5)
blurs("blur(5)", 5, 0.1, 2.0, 1)
blurs("blur(23,.2,1,.5)", 23, 0.2, 1.0, 0.5)
