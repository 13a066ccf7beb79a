"""What print and a notebook show of an estimator."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from common import printed_by
from imblearn.over_sampling import SMOTE
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier, CNNRegressor
from skcnn._sklearn.diagram import sparkline
from skcnn._version import GUIDE
from skcnn.networks import Network, Plain
from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler

documented = pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_fitted_attr_html"),
    reason="scikit-learn shows documentation from 1.9 on",
)


class Rows(HTMLParser):
    """The rows of all tables: name, text and class; and the links and charts around them."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.links, self.charts, self._row = {}, [], 0, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "tr":
            self._row = [attrs.get("class"), []]
        elif tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        self.charts += tag == "svg"

    def handle_data(self, data):
        if self._row is not None and data.strip():
            self._row[1].append(data.strip())

    def handle_endtag(self, tag):
        if tag == "tr":
            kind, words = self._row
            self.rows[words[0]] = (kind, " ".join(words[1:]))
            self._row = None


@pytest.fixture(scope="module")
def fitted(few_digits):
    return CNNClassifier(Plain(filters=(4,)), epochs=3, early_stopping=True, random_state=0).fit(*few_digits)


@pytest.mark.parametrize(
    "estimator",
    [
        CNNClassifier(Plain(filters=(4,)), class_weight={0: 2.0}, priors=[0.5, 0.5], sampler=SMOTE(k_neighbors=2)),
        CNNRegressor(loss="huber", input_shape=(8, 8, 1), learning_rate=1e-4),
        NDTransformer(StandardScaler(with_std=False), per="channel"),
    ],
)
def test_print_shows_what_was_changed_and_gives_it_back(estimator):
    made = eval(repr(estimator))
    assert repr(made) == repr(estimator)
    assert str(made.get_params()) == str(estimator.get_params())
    assert "l2" not in repr(estimator)


def test_print_stays_short_when_fitted(fitted):
    assert repr(fitted) == repr(clone(fitted))
    assert len(repr(fitted)) < 120


@documented
def test_diagram_documents_each_parameter_and_attribute(fitted):
    shown = Rows(fitted._repr_html_())
    assert shown.rows["l2"] == ("default", "l2: float, default=0.0 L2 penalty on kernels: ``l2 * sum(kernel ** 2)`` is "
                                "added to the loss. 0.0")  # fmt: skip
    assert shown.rows["epochs"][0] == "user-set"
    assert shown.rows["n_iter_"][1].startswith("n_iter_: int Number of epochs trained.")
    undocumented = {
        name for name in [*fitted.get_params(), "history_", "classes_"] if f"{name}: " not in shown.rows[name][1]
    }
    assert not undocumented
    pages = {link.partition("#")[0] for link in shown.links if "#:~:text" in link}
    assert pages == {f"{GUIDE}/api/skcnn.CNNClassifier.html"}


@documented
def test_diagram_marks_parameters_of_the_network_that_were_changed(fitted):
    rows = Rows(fitted._repr_html_()).rows
    assert rows["network__filters"][0] == "user-set"
    assert rows["network__pooling"][0] == "default"
    assert list(rows).index("network__filters") < list(rows).index("l1") < list(rows).index("n_iter_")


@documented
def test_diagram_of_own_networks_and_of_what_is_around_a_network():
    class Own(Network):
        """One layer.

        Parameters
        ----------
        units : int, default=3
            How <many>.
        """

        def __init__(self, units=3):
            self.units = units

    rows = Rows(CNNClassifier(Own())._repr_html_()).rows
    assert rows["network__units"] == ("default", "network__units: int, default=3 How <many>. 3")
    assert "units: int, default=3" in Own()._repr_html_()
    steps = make_pipeline(NDTransformer(StandardScaler()), CNNClassifier(sampler=NDSampler(SMOTE())))
    html = GridSearchCV(steps, {})._repr_html_()
    assert "network: str, Network or callable" in html
    assert "per: {&quot;position&quot;, &quot;channel&quot;}" in html


def test_diagram_draws_the_history_once_fitted(fitted):
    assert Rows(clone(fitted)._repr_html_()).charts == 0
    html = fitted._repr_html_()
    assert Rows(html).charts == 1
    best, history = fitted.best_iter_, fitted.history_
    assert f"epoch {best} of 3" in html
    assert f"val_loss {history['val_loss'][best - 1]:.4g}" in html
    pipe = make_pipeline(StandardScaler(), fitted)
    assert Rows(pipe._repr_html_()).charts == 1


def test_sparkline_is_true_to_the_losses():
    html = sparkline({"loss": [4.0, 2.0, 0.0], "val_loss": [4.0, np.nan, 1.0], "own": [9.0] * 3}, 2)
    lines = [
        np.array([point.split(",") for point in line.split()], float) for line in re.findall('points="(.*?)"', html)
    ]
    np.testing.assert_allclose(lines[0], [[4, 4], [120, 22], [236, 40]])  # downwards in the picture is less
    np.testing.assert_allclose(lines[1], [[4, 4], [236, 31]])
    assert html.count("<circle") == 1
    assert "own" not in html
    assert sparkline({"loss": [np.nan]}, 1) == sparkline({}, 0) == ""
    assert "<svg" not in sparkline({"loss": [1.0]}, 1)
    long = sparkline({"loss": np.geomspace(1, 1e-3, 100_000).tolist()}, 100_000)
    assert len(long) < 4000
    assert "epoch 100000 of 100000" in long


def test_showing_starts_neither_tensorflow_nor_keras():
    code = """
import sys
from skcnn import CNNClassifier
from skcnn.networks import Plain
model = CNNClassifier(Plain())
print(len(model._repr_html_()) > 1000, repr(model) == str(model))
print(*[name for name in ("tensorflow", "keras") if name in sys.modules])
"""
    assert printed_by(code) == ["True", "True"]
