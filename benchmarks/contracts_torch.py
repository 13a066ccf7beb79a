"""The networks of ``contracts.py`` in PyTorch, for skorch."""

from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

__all__ = ["ClassCounter", "Network"]


class Network(nn.Module):
    """A multi-layer perceptron or a small convolutional network that outputs logits."""

    def __init__(self, network: str, dtype: str, n_axes: int = 2, n_classes: int = 2) -> None:
        super().__init__()
        self.shape = n_axes, n_classes
        self.convolutional = network == "CNN"
        convolution = nn.LazyConv2d if n_axes == 4 else nn.LazyConv1d
        body = [convolution(8, 3, padding=1), nn.ReLU()] if self.convolutional else []
        hidden = [] if self.convolutional else [nn.LazyLinear(16), nn.ReLU()]
        self.layers = nn.Sequential(*body, nn.Flatten(), *hidden, nn.LazyLinear(n_classes))
        self.dtype = getattr(torch, dtype)
        self.to(self.dtype)

    def forward(self, x: Any) -> Any:
        x = x.to(self.dtype)
        if self.convolutional:  # channels first
            x = x.movedim(-1, 1) if x.ndim == 4 else x[:, None]
        return self.layers(x)


class ClassCounter(Callback):
    """Sets the numbers of classes and axes from the data, as skorch documents it."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        shape = np.ndim(X), len(np.unique(y))
        if net.module_.shape != shape:
            net.set_params(module__n_axes=shape[0], module__n_classes=shape[1])
