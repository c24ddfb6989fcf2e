# SPDX-License-Identifier: MIT
"""Handwritten digits: the 10,000 test images of MNIST through a model as a function.

    digits.py MODEL IMAGES LABELS [LIBONNXRUNTIME]
"""

import sys
import time

import numpy as np

import faas


def main(model: str, images: str, labels: str, library: str | None = None) -> None:
    pixels = np.fromfile(images, np.uint8)[16:].reshape(-1, 1, 1, 28, 28).astype(np.float32)
    right = np.fromfile(labels, np.uint8)[8:]
    with faas.App("digits") as app:
        read = app.model(model, library=library)
        begun = time.perf_counter()
        hits = sum(int(read(x).argmax() == y) for x, y in zip(pixels, right, strict=True))
        took = time.perf_counter() - begun
        print(f"{hits} of {len(right)} digits are right: {hits / len(right):.2%}, in {took:.2f} s")
        print(f"loaded {read.model_stats()['loads']} time, p50 {read.stats()['p50_ns'] / 1000:.1f} us")


if __name__ == "__main__":
    main(*sys.argv[1:])
