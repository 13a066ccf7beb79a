"""Names of the networks with their defaults."""

from typing import Any

from skcnn.networks._fcn import FCN
from skcnn.networks._inception import Inception
from skcnn.networks._network import Network
from skcnn.networks._plain import Plain
from skcnn.networks._residual import ImageResNet, ResNet

__all__ = ["NETWORKS", "resolve_network"]

NETWORKS: dict[str, type[Network]] = {
    "plain": Plain,
    "fcn": FCN,
    "resnet": ResNet,
    "inception": Inception,
    "image_resnet": ImageResNet,
}


def resolve_network(network: Any) -> Any:
    """Return a network with its defaults for a name, and anything else as it is."""
    return NETWORKS[network]() if isinstance(network, str) else network
