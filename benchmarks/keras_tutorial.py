"""Keras' tutorial "Simple MNIST convnet", watched by `benchmarks/images.py --peers-python`: run with the peers' Python.

    KERAS_BACKEND=torch PEERS/bin/python benchmarks/keras_tutorial.py ARRAYS.npz SEED EPOCHS BATCH EVERY [THREADS]

Prints its versions, then a line "steps wall processor accuracy" every `EVERY` steps; the clocks stand still meanwhile.
The clock starts with the first step: what building and tracing cost is not counted.
"""

from __future__ import annotations

import sys
import time

import keras
import numpy as np
import torch
from keras import layers


class Watch(keras.callbacks.Callback):
    """Judges the test pictures every `every` steps."""

    def __init__(self, images: np.ndarray, answers: np.ndarray, every: int) -> None:
        super().__init__()
        self.images, self.answers, self.every = images, answers, every
        self.steps, self.paused, self.began = 0, np.zeros(2), now()

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if self.steps == 0:
            self.began = now()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.steps += 1
        if self.steps % self.every:
            return
        before = now()
        shown = before - self.began - self.paused
        found = self.model.predict(self.images, batch_size=1_000, verbose=0).argmax(1)
        print(self.steps, *shown.tolist(), float((found == self.answers).mean()), flush=True)
        self.paused += now() - before


def now() -> np.ndarray:
    """Seconds on the wall, and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    """Train as the tutorial does, on the arrays that were handed over."""
    path, *numbers = sys.argv[1:]
    seed, epochs, batch, every, *threads = map(int, numbers)
    if threads:
        torch.set_num_threads(threads[0])
    arrays = np.load(path)
    images, tests = (np.moveaxis(arrays[name], 1, -1).astype("float32") / 255 for name in ("images", "tests"))
    classes = int(arrays["labels"].max()) + 1
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        keras.Input(shape=images.shape[1:]), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5),
        layers.Dense(classes, activation="softmax"),
    ])  # fmt: skip
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    backend = f"{keras.backend.backend()} {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"keras: {model.count_params():,} knobs, Keras {keras.__version__} on {backend}", flush=True)
    watch = Watch(tests, arrays["answers"], every)
    targets = keras.utils.to_categorical(arrays["labels"], classes)
    model.fit(images, targets, batch_size=batch, epochs=epochs, verbose=0, callbacks=[watch])


if __name__ == "__main__":
    main()
