"""Transformers of scikit-learn's kind for images, series and volumes."""

from skcnn.preprocessing._channels_last import ChannelsLast
from skcnn.preprocessing._nd_transformer import NDTransformer
from skcnn.preprocessing._network_features import NetworkFeatures
from skcnn.preprocessing._standard_normal_variate import StandardNormalVariate

__all__ = ["ChannelsLast", "NDTransformer", "NetworkFeatures", "StandardNormalVariate"]
