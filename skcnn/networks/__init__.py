"""Networks as objects with parameters, so that they are tuned like any nested estimator.

``CNNClassifier(network=Plain(filters=(16, 32)))`` makes ``network__filters`` a parameter of a grid.

============================ =========================================================================
``"plain"``, `Plain`         convolution blocks and pooling: series, images and volumes; the default
``"fcn"``, `FCN`             fully convolutional network (Wang, Yan and Oates 2017): series above all
``"resnet"``, `ResNet`       residual network for series (Wang, Yan and Oates 2017)
``"inception"``, `Inception` Inception network for series (Ismail Fawaz et al. 2020)
``"image_resnet"``,          residual network for images and volumes (He et al. 2016, the small form
`ImageResNet`                for CIFAR)
`Backbone`                   a pretrained network, of Keras' applications or one's own
============================ =========================================================================

`summary` counts a network's parameters and multiply-adds and finds how far its features see, before any training.

A custom network may use the layers `Dropout`, `spatial_dropout` and `stochastic_depth`, whose rates the estimator sets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skcnn.networks._backbone import Backbone
from skcnn.networks._builder import NetworkBuilder, build_model
from skcnn.networks._fcn import FCN
from skcnn.networks._inception import Inception
from skcnn.networks._names import NETWORKS, resolve_network
from skcnn.networks._network import Network
from skcnn.networks._plain import Plain
from skcnn.networks._residual import ImageResNet, ResNet
from skcnn.networks._summary import Summary, summary

if TYPE_CHECKING:
    from skcnn._engine.layers import Dropout, spatial_dropout, stochastic_depth

__all__ = [
    "FCN",
    "NETWORKS",
    "Backbone",
    "Dropout",
    "ImageResNet",
    "Inception",
    "Network",
    "NetworkBuilder",
    "Plain",
    "ResNet",
    "Summary",
    "build_model",
    "resolve_network",
    "spatial_dropout",
    "stochastic_depth",
    "summary",
]


def __getattr__(name: str) -> Any:
    """Load the layers for custom networks on first use: they import Keras (PEP 562)."""
    if name in ("Dropout", "spatial_dropout", "stochastic_depth"):
        return getattr(import_module("skcnn._engine.layers"), name)
    raise AttributeError(f"module 'skcnn.networks' has no attribute {name!r}")
