# SPDX-License-Identifier: BSD-3-Clause
"""Train a small convolutional network on handwritten digits, forward and backward through chanconv alone.

    python examples/digits.py

The data are 1,797 images of 8x8 pixels, shipped beside this file (see data/README.md); a fifth of them is kept back to
test the network. One picture is written to examples/output: the kernels that the first layer has learned, and what they
see in a digit.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from tqdm import tqdm

from chanconv.activations import log_softmax
from chanconv.layers import Conv2D, Sequential

HERE = Path(__file__).resolve().parent


def load_digits(rng):
    """Images (N, 8, 8, 1) in 0 .. 1 and labels, in random order: four fifths to train with and a fifth to test with."""
    with np.load(HERE / "data" / "digits.npz") as file:
        images, labels = file["images"][..., np.newaxis] / np.float32(16), file["labels"].astype(np.intp)
    order = rng.permutation(len(images))
    test, train = np.split(order, [len(order) // 5])
    return (images[train], labels[train]), (images[test], labels[test])


def moved(images, rng):
    """Half of the images as they are, the others moved by up to a pixel each way: it makes the data seem larger."""
    windows = sliding_window_view(np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1))), (8, 8), axis=(1, 2))
    down, right = np.where(rng.random(len(images)) < 0.5, 1, rng.integers(0, 3, (2, len(images))))
    return windows[np.arange(len(images)), down, right][..., np.newaxis]


def build(rng):
    """Three convolutions, and a dense layer: a convolution whose kernels are as large as the remaining 4x4 map."""
    return Sequential(
        Conv2D(1, 16, 3, padding="same", activation="relu", rng=rng),
        Conv2D(16, 32, 3, padding="same", activation="relu", rng=rng),
        Conv2D(32, 32, 3, stride=2, padding="same", activation="relu", rng=rng),
        Conv2D(32, 10, 4, rng=rng),
    )


def cross_entropy(scores, labels):
    """The mean of -log softmax(scores)[label], and its gradient (softmax(scores) - onehot(labels)) / N.

    Parameters
    ----------
    scores : ndarray, shape (N, 1, 1, 10)
    labels : ndarray, shape (N,)
    """
    log_p = log_softmax(scores)
    rows = np.arange(len(labels))
    grad = np.exp(log_p)
    grad[rows, 0, 0, labels] -= 1
    return -log_p[rows, 0, 0, labels].mean(), grad / len(labels)


class Adam:
    """The optimiser of Kingma and Ba (2015): steps of the mean gradient over the root of the mean squared gradient."""

    def __init__(self, network, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.pairs = [(network.parameters[name], network.gradients[name]) for name in network.parameters]
        self.means = [(np.zeros_like(p), np.zeros_like(p)) for p, _ in self.pairs]
        self.beta1, self.beta2, self.epsilon, self.steps = beta1, beta2, epsilon, 0

    def step(self, rate):
        self.steps += 1
        rate *= np.sqrt(1 - self.beta2**self.steps) / (1 - self.beta1**self.steps)
        for (parameter, gradient), (mean, square) in zip(self.pairs, self.means, strict=True):
            mean += (1 - self.beta1) * (gradient - mean)
            square += (1 - self.beta2) * (gradient**2 - square)
            parameter -= rate * mean / (np.sqrt(square) + self.epsilon)


def correct(scores, labels):
    """How many images have their highest score at their label."""
    return np.count_nonzero(scores.argmax(axis=-1).ravel() == labels)


def train(network, images, labels, epochs, batch, rng, rate=0.003):
    """Trains with a learning rate that falls to 0 linearly; returns the seconds that each step took."""
    optimiser, seconds = Adam(network), []
    steps = epochs * -(-len(images) // batch)
    with tqdm(total=steps, unit="step", desc="training") as bar:
        for epoch in range(epochs):
            loss_sum = right = seen = 0
            for chosen in np.split(rng.permutation(len(images)), range(batch, len(images), batch)):
                shown = moved(images[chosen], rng)
                start = time.perf_counter()
                scores = network.forward(shown)
                loss, grad = cross_entropy(scores, labels[chosen])
                network.backward(grad)
                optimiser.step(rate * (1 - len(seconds) / steps))
                seconds.append(time.perf_counter() - start)

                seen += len(chosen)
                loss_sum += loss * len(chosen)
                right += correct(scores, labels[chosen])
                status = f"epoch {epoch + 1}, loss {loss_sum / seen:.4f}, accuracy {right / seen:.2%}"
                bar.set_postfix_str(status, refresh=False)
                bar.update()
    return seconds


def draw(network, image, label, path):
    """One picture: the kernels of the first layer, and the maps that it makes of a digit."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kernels = network.parameters["0.kernel"][:, :, 0]
    maps = network[0](image)
    scores = np.exp(log_softmax(network(image))).ravel()

    figure = plt.figure(figsize=(13, 5.4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.05, 2, 2))
    left.suptitle("A digit of the test set")
    middle.suptitle("Learned 3x3 kernels of the first layer\n(blue negative, red positive)")
    right.suptitle("Feature maps: the digit after each kernel and relu\n(dark 0, bright large)")

    top, bottom = left.subplots(2, 1)
    top.imshow(image[..., 0], cmap="gray_r")
    top.set_title(f"label {label}", fontsize=10)
    top.set(xticks=(), yticks=())
    bottom.bar(range(10), scores, color="#4c72b0")
    bottom.set(xticks=range(10), ylim=(0, 1), xlabel="digit", title="the network's probabilities")
    bottom.title.set_fontsize(10)

    tiles(middle, kernels, cmap="RdBu_r", vmin=-np.abs(kernels).max(), vmax=np.abs(kernels).max())
    tiles(right, maps, cmap="magma", vmin=0, vmax=maps.max())
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def tiles(figure, planes, **options):
    """The channels of (H, W, 16) in four rows of four."""
    grid = figure.subplots(4, 4, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for index, axes in enumerate(grid.flat):
        shown = axes.imshow(planes[..., index], **options)
        axes.set_title(str(index), fontsize=8, pad=2)
        axes.set_axis_off()
    figure.colorbar(shown, ax=figure.axes, location="bottom", shrink=0.6, pad=0.02, aspect=30)


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training images (default %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images per step (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first kernels and the order of images")
    parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for the picture")
    return parser.parse_args(argv)


def main(argv=None):
    options = arguments(argv)
    rng = np.random.default_rng(options.seed)
    (images, labels), (test_images, test_labels) = load_digits(rng)
    network = build(rng)
    print(network.summary(images.shape[1:]))

    seconds = train(network, images, labels, options.epochs, options.batch, rng)
    right = correct(network(test_images), test_labels)
    print(f"time per step: {1000 * np.median(seconds):.2f} ms (median of {len(seconds)}, {options.batch} images each)")
    print(f"test accuracy: {right / len(test_labels):.2%} ({right} of {len(test_labels)} images kept back)")

    path = options.output / "digits.png"
    draw(network, test_images[0], test_labels[0], path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
