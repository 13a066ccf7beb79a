"""The network of `peers` and data sets of images in PyTorch, in a module that workers can import."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

__all__ = ["Files", "Mapped", "Network"]


class Network(torch.nn.Module):
    """Takes images with channels last and outputs logits; PyTorch's own order of weights has channels first."""

    def __init__(self, problem: tuple, dropout: float = 0.0, channels_last: bool = False) -> None:
        super().__init__()
        (height, width, channels), filters, n_classes = problem
        layers = []
        for n in filters:
            layers += [torch.nn.Conv2d(channels, n, 3, padding="same"), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
            channels, height, width = n, height // 2, width // 2
        layers += [torch.nn.Flatten(), torch.nn.Dropout(dropout), torch.nn.Linear(channels * height * width, n_classes)]
        self.layers = torch.nn.Sequential(*layers)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.layers(X.permute(0, 3, 1, 2))


class Files(torch.utils.data.Dataset):
    """Images in [0, 1] that are decoded whenever they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[np.ndarray]:
        from PIL import Image

        with Image.open(self.paths[i]) as image:
            return (np.asarray(image, np.float32) / 255,)


class Mapped(torch.utils.data.Dataset):
    """Images in [0, 1] from a memory map."""

    def __init__(self, path: str) -> None:
        self.images = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[np.ndarray]:
        return (self.images[i].astype(np.float32) / 255,)
