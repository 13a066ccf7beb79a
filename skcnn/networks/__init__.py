"""Networks as objects with parameters, so that they are tuned like any nested estimator.

``CNNClassifier(network=Plain(filters=(16, 32)))`` makes ``network__filters`` a parameter of a grid.

============================ =========================================================================
``"plain"``, `Plain`         convolution blocks and pooling: series, images and volumes; the default
``"fcn"``, `FCN`             fully convolutional network (Wang, Yan and Oates 2017): series above all
``"resnet"``, `ResNet`       residual network for series (Wang, Yan and Oates 2017)
``"inception"``, `Inception` Inception network for series (Ismail Fawaz et al. 2020)
``"image_resnet"``,          residual network for images and volumes (He et al. 2016, the small form
`ImageResNet`                for CIFAR)
============================ =========================================================================

`summary` counts a network's parameters and multiply-adds and finds how far its features see, before any training.
"""

from skcnn.networks.base import Network
from skcnn.networks.building import NetworkBuilder, build_model
from skcnn.networks.fcn import FCN
from skcnn.networks.inception import Inception
from skcnn.networks.names import NETWORKS, resolve_network
from skcnn.networks.plain import Plain
from skcnn.networks.residual import ImageResNet, ResNet
from skcnn.networks.sizes import Summary, summary

__all__ = [
    "FCN",
    "NETWORKS",
    "ImageResNet",
    "Inception",
    "Network",
    "NetworkBuilder",
    "Plain",
    "ResNet",
    "Summary",
    "build_model",
    "resolve_network",
    "summary",
]
