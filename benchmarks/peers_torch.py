"""The network of `peers` in PyTorch, in a module that workers can import."""

import torch

__all__ = ["Network"]


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
