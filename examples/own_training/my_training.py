"""A training of one's own: scikit-learn's multilayer perceptron, with no torch in it."""

import numpy as np
from sklearn.neural_network import MLPClassifier


def train(index, train_images, train_labels, test_images, seed, width=32, steps=60):
    """Train on the samples of a trial's subset; logits of all samples."""
    train_x, test_x = (x.reshape(len(x), -1) / 255 for x in (train_images, test_images))
    model = MLPClassifier((width,), learning_rate_init=0.01, batch_size=50, random_state=seed)
    classes = np.unique(train_labels)
    order = np.random.default_rng(seed)
    for _ in range(steps):  # each a pass over the subset
        rows = order.permutation(index)
        model.partial_fit(train_x[rows], train_labels[rows], classes=classes)
    return tuple(np.log(model.predict_proba(x).clip(1e-12)) for x in (train_x, test_x))
