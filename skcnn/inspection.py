"""What a network looks at: gradients with respect to its input, and class activation maps."""

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np

from skcnn._engine.features import with_features
from skcnn._engine.keras_internals import operations_of, output_shape_of
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.estimator import BaseCNN
from skcnn._fit.samples import as_inputs
from skcnn._sklearn.checks import check_X
from skcnn._sklearn.steps import fitted_steps
from skcnn.displays._drawing import aspect_of, label_of, limits_of, panels, show_sample

__all__ = ["SaliencyDisplay", "grad_cam", "saliency"]

WIDTH = 20  # letters above a picture
SAMPLES_AT_ONCE = 64  # of which all activations are kept for the gradient


def saliency(estimator: Any, X: Any, target: Any = None) -> np.ndarray:
    """Return the gradient of the network's output with respect to each input value.

    It is that of the logit, before any softmax or sigmoid (Simonyan, Vedaldi and Zisserman 2014,
    https://arxiv.org/abs/1312.6034), in the unit of the network's input, whether or not the network standardises it.

    Parameters
    ----------
    estimator : fitted CNNClassifier or CNNRegressor
        Or a pipeline whose last step is one, or a search that found one.
    X : array-like of shape (n, n_features) or (n, ..., n_channels)
        Samples. A pipeline transforms them first: the gradient is with respect to the output of its transformers.
    target : label, or array-like of shape (n,), default=None
        Class, one for all samples or one for each; for several labels or targets the number of one. None is the
        predicted class, the most probable label, or the only target.

    Returns
    -------
    ndarray of shape (n, ...), as `input_shape_`
        Gradients, in the shape in which the network sees the samples.

    Raises
    ------
    TypeError
        If `estimator` holds no network of skcnn.
    ValueError
        If `X` or `target` does not fit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn import CNNClassifier
    >>> from skcnn.inspection import saliency
    >>> X, y = load_digits(return_X_y=True)
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=2, random_state=0).fit(X, y)
    >>> saliency(cnn, X[:5]).shape
    (5, 8, 8, 1)
    """
    return _gradients(*_as_seen(estimator, X), target)


def _gradients(cnn: BaseCNN, samples: np.ndarray, target: Any) -> np.ndarray:
    _, keras = start_tensorflow()
    model = cnn.to_keras()
    model = keras.Model(model.inputs, [model.inputs[0], model.outputs[0]])
    return _in_blocks(model, lambda inputs, gradient: gradient, cnn, samples, target)


def grad_cam(estimator: Any, X: Any, target: Any = None, layer: int | str = -1, *, resize: bool = True) -> np.ndarray:
    """Return where the feature maps of a layer are evidence for a class (Grad-CAM).

    Each map is weighted with the mean over its positions of the logit's gradient, and the sum over the maps is clipped
    at 0 (Selvaraju et al. 2017, equations 1 and 2, https://doi.org/10.1109/ICCV.2017.74).

    Parameters
    ----------
    estimator : fitted CNNClassifier or CNNRegressor
        Or a pipeline whose last step is one, or a search that found one.
    X : array-like of shape (n, n_features) or (n, ..., n_channels)
        Samples.
    target : label, or array-like of shape (n,), default=None
        As in `saliency`.
    layer : int or str, default=-1
        Number of a convolution, from 0 or from the end, taken with the normalisation and activation that follow it; or
        the name that a custom network gives to a layer whose output has positions and channels.
    resize : bool, default=True
        Whether to interpolate the maps linearly to the positions of the input.

    Returns
    -------
    ndarray of shape (n, steps), (n, height, width) or (n, depth, height, width)
        Not normalised, at least 0.

    Raises
    ------
    TypeError
        If `estimator` holds no network of skcnn.
    ValueError
        If `X`, `target` or `layer` does not fit.

    Notes
    -----
    The mean over positions is exact for a network that ends in ``pooling="avg"``. In one that flattens, a map may be
    evidence for the class in one place and against it in another, and the result may be 0 everywhere.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn import CNNClassifier
    >>> from skcnn.inspection import grad_cam
    >>> X, y = load_digits(return_X_y=True)
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=2, random_state=0).fit(X, y)
    >>> grad_cam(cnn, X[:5]).shape
    (5, 8, 8)
    >>> grad_cam(cnn, X[:5], resize=False).shape
    (5, 4, 4)
    """
    return _activation_maps(*_as_seen(estimator, X), target, layer, resize)


def _activation_maps(cnn: BaseCNN, samples: np.ndarray, target: Any, layer: int | str, resize: bool) -> np.ndarray:
    model = cnn.to_keras()

    def heat(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        weights = gradient.mean(axis=tuple(range(1, maps.ndim - 1)), keepdims=True)
        return np.maximum((weights * maps).sum(axis=-1), 0)

    found = _in_blocks(with_features(model, _layer_of(model, layer)), heat, cnn, samples, target)
    return _resized(found, cnn.input_shape_[:-1]) if resize else found


class SaliencyDisplay:
    """Samples, and over them what the network looks at.

    Use `from_estimator` to make one.

    Parameters
    ----------
    X : ndarray of shape (n, ...), as `input_shape_`
        Samples as the network sees them.
    maps : ndarray of shape (n, ...), as `input_shape_` without its channels
        How much each position counts, at least 0.
    titles : list of str
        Title of each sample.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes of shape (2, n)
        Axes of the samples, and of the samples under their maps.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn import CNNClassifier
    >>> from skcnn.inspection import SaliencyDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=2, random_state=0).fit(X, y)
    >>> SaliencyDisplay.from_estimator(cnn, X[:4], method="grad_cam").maps.shape
    (4, 8, 8)
    """

    def __init__(self, X: np.ndarray, maps: np.ndarray, titles: list[str]) -> None:
        self.X = X
        self.maps = maps
        self.titles = titles

    def plot(self, ax: Any = None) -> Self:
        """Draw the samples, and below them the samples under their maps, each map scaled to its maximum.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        self : SaliencyDisplay
        """
        n = len(self.X)
        size = (max(3.2, 1.5 * n), 0.5 + 2.9 * aspect_of(self.X))
        self.figure_, self.ax_ = panels(type(self).__name__, ax, (2, n), size=size)
        limits = limits_of(self.X)
        for (above, below), sample, heat, title in zip(self.ax_.T, self.X, self.maps, self.titles, strict=True):
            show_sample(above, sample, limits)
            show_sample(below, sample, limits)
            _show_heat(below, heat, sample)
            above.set_title(title, fontsize=8)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        target: Any = None,
        *,
        method: Literal["saliency", "grad_cam"] = "saliency",
        layer: int | str = -1,
        n_shown: int = 8,
        ax: Any = None,
    ) -> Self:
        """Draw what a fitted network looks at.

        Parameters
        ----------
        estimator : fitted CNNClassifier or CNNRegressor
            Or a pipeline whose last step is one, or a search that found one.
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples, of which the first `n_shown` are drawn.
        target : label, or array-like of shape (n,), default=None
            As in `saliency`.
        method : {"saliency", "grad_cam"}, default="saliency"
            The largest magnitude of the gradient among the channels of a position, or the map of `grad_cam`.
        layer : int or str, default=-1
            Layer for `grad_cam`.
        n_shown : int, default=8
            Samples to show, at most.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        SaliencyDisplay

        Raises
        ------
        ValueError
            If `method` is another, or `X`, `target` or `layer` does not fit.
        """
        if method not in ("saliency", "grad_cam"):
            raise ValueError(f"method={method!r}; expected 'saliency' or 'grad_cam'.")
        X = X[:n_shown]
        if target is not None and np.ndim(target) == 1:
            target = target[:n_shown]
        cnn, samples = _as_seen(estimator, X)
        if method == "saliency":
            maps = np.abs(_gradients(cnn, samples, target)).max(axis=-1)
        else:
            maps = _activation_maps(cnn, samples, target, layer, resize=True)
        return cls(samples, maps, _titles(estimator.predict(X), target)).plot(ax)


def _as_seen(estimator: Any, X: Any) -> tuple[BaseCNN, np.ndarray]:
    """Return the network's estimator and the samples as the network sees them."""
    steps, cnn = fitted_steps(estimator, BaseCNN)
    for step in steps:
        X = step.transform(X)
    fitted = cnn._fitted
    cnn = cnn._as(fitted)  # which another fit does not change
    X = check_X(cnn, X, sample_shape=fitted.layout.sample_shape)
    return cnn, np.asarray(as_inputs(X, cnn.input_shape_, fitted.topology.dtype))


def _in_blocks(
    model: Any, result: Callable[[Any, Any], np.ndarray], cnn: BaseCNN, samples: np.ndarray, target: Any
) -> np.ndarray:
    """Return ``result(features, gradient)`` of all samples, some of them at a time.

    `model` returns features and outputs; the gradient is that of the requested outputs with respect to the features.
    """
    tf, _ = start_tensorflow()
    given = None if target is None else _outputs_of(cnn, target, len(samples))
    results = []
    for start in range(0, len(samples), SAMPLES_AT_ONCE):
        part = slice(start, start + SAMPLES_AT_ONCE)
        inputs = tf.constant(samples[part], cnn._fitted.topology.dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            features, outputs = model(inputs, training=False)
            numbers, signs = _predicted(cnn, outputs.numpy()) if given is None else (one[part] for one in given)
            chosen = tf.gather(outputs, numbers, batch_dims=1)
            total = tf.reduce_sum(chosen * tf.cast(signs, chosen.dtype))
        results.append(result(features.numpy(), tape.gradient(total, features).numpy()))
    return np.concatenate(results)


def _predicted(cnn: BaseCNN, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sample the output that stands for its prediction, and with which sign."""
    n, n_outputs = outputs.shape
    kind = cnn._fitted.target.kind
    if kind == "regression" and n_outputs > 1:
        raise ValueError(f"target=None, but the network has {n_outputs} targets; expected the number of one, from 0.")
    return outputs.argmax(axis=1), np.where(outputs[:, 0] > 0, 1.0, -1.0) if kind == "binary" else np.ones(n)


def _outputs_of(cnn: BaseCNN, target: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sample the output that stands for the target that is asked for, and with which sign."""
    labels = getattr(cnn, "classes_", np.arange(cnn.n_outputs_)).tolist()
    wanted = np.asarray(target)
    if wanted.shape not in ((), (n,)):
        raise ValueError(f"target has shape {wanted.shape}; expected one label, or one for each of {n} samples.")
    unknown = sorted({repr(label) for label in wanted.ravel().tolist() if label not in labels})
    if unknown:
        raise ValueError(f"target holds {', '.join(unknown)}; expected one of {labels}.")
    codes = np.broadcast_to([labels.index(label) for label in wanted.ravel().tolist()], n)
    if cnn._fitted.target.kind == "binary":
        return np.zeros(n, int), np.where(codes == 1, 1.0, -1.0)
    return codes, np.ones(n)


def _layer_of(model: Any, wanted: int | str) -> Any:
    """Find the layer of that name, or the last that has the shape of that convolution's output before the next one."""
    _, keras = start_tensorflow()
    layers = [one for one in operations_of(model) if isinstance(one, keras.Layer) and len(output_shape_of(one)) > 2]
    starts = [i for i, layer in enumerate(layers) if "Conv" in type(layer).__name__]
    if isinstance(wanted, str):
        found = [layer for layer in layers if layer.name == wanted]
    elif -len(starts) <= wanted < len(starts):
        first, stop = starts[wanted], [*starts, len(layers)][starts.index(starts[wanted]) + 1]
        shape = output_shape_of(layers[first])
        found = [layer for layer in layers[first:stop] if output_shape_of(layer) == shape]
    else:
        found = []
    if not found:
        names = [layer.name for layer in layers]
        raise ValueError(
            f"layer={wanted!r}; expected the number of one of the network's {len(starts)} convolutions, or the name "
            f"of a layer with positions and channels: {names}."
        )
    return found[-1]


def _resized(maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate linearly, with pixels as areas, so that the map's border is the input's border."""
    from scipy.ndimage import zoom

    factors = [1.0, *(new / old for new, old in zip(shape, maps.shape[1:], strict=True))]
    return zoom(maps, factors, order=1, mode="nearest", grid_mode=True)


def _titles(predicted: np.ndarray, target: Any) -> list[str]:
    """Return what was predicted for each sample and, if it was requested, what the map is for."""
    shown = [label_of(value if np.ndim(value) == 0 else str(value), WIDTH) for value in predicted]
    if target is None:
        return shown
    asked = np.broadcast_to(np.asarray(target), len(shown))
    return [f"{text}\nmap of {label_of(one, WIDTH - 7)}" for text, one in zip(shown, asked, strict=True)]


def _show_heat(ax: Any, heat: np.ndarray, sample: np.ndarray) -> None:
    """Draw a map over a sample: over its middle slice for volumes, behind the lines for series."""
    from matplotlib.colors import LinearSegmentedColormap

    heat = heat / (heat.max() or 1.0)
    if heat.ndim == 1:
        low, high = ax.get_ylim()
        extent = (-0.5, len(heat) - 0.5, low, high)
        red = LinearSegmentedColormap.from_list("heat", [(0.85, 0, 0, 0), (0.85, 0, 0, 1)])  # transparent at 0
        ax.imshow(heat[None], cmap=red, vmin=0, vmax=1, aspect="auto", extent=extent, zorder=0)
        return
    heat = heat[len(sample) // 2] if heat.ndim == 3 else heat
    ax.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.65)
