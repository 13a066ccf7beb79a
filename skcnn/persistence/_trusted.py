"""Types that a saved estimator holds."""

from skcnn.networks import NETWORKS

__all__ = ["TRUSTED_TYPES"]

#: What a fitted estimator of skcnn holds beside arrays, numbers and scikit-learn's own objects, for
#: ``skops.io.load(file, trusted=TRUSTED_TYPES)``. None of them runs code of the file's choosing when it is loaded.
TRUSTED_TYPES = (
    "skcnn.estimators.CNNClassifier",
    "skcnn.estimators.CNNRegressor",
    "skcnn.networks._backbone.Backbone",
    "skcnn.networks._builder.NetworkBuilder",
    "skcnn.preprocessing._channels_last.ChannelsLast",
    "skcnn.preprocessing._nd_transformer.NDTransformer",
    "skcnn.preprocessing._network_features.NetworkFeatures",
    "skcnn.preprocessing._standard_normal_variate.StandardNormalVariate",
    "skcnn.sampling.NDSampler",
    "skcnn.sampling.Pipeline",
    "skcnn._fit.fitted.Fitted",
    "skcnn._fit.samples.Layout",
    "skcnn._fit.targets.ClassTarget",
    "skcnn._fit.targets.RegressionTarget",
    "skcnn._engine.blueprint.Topology",
    "skcnn._engine.loop.Progress",
    *(f"{network.__module__}.{network.__qualname__}" for network in NETWORKS.values()),
)
