import inspect
import re

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as SamplingPipeline
from scipy.stats import loguniform, uniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcnn import CNNClassifier, CNNRegressor, check_grid
from skcnn.networks import FCN, ImageResNet, Inception, Network, Plain, ResNet
from skcnn.preprocessing import NDTransformer

PIPE = Pipeline([("scale", NDTransformer(StandardScaler())), ("cnn", CNNClassifier())])


class Wide(Network):
    def __init__(self, units=8):
        self.units = units


def problems(search):
    with pytest.raises(ValueError, match="in the grid of") as error:
        check_grid(search)
    first, *lines = str(error.value).splitlines()
    assert first.startswith(f"{len(lines)} problem")
    return lines


# set_params ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "name", "meant"),
    [
        (CNNClassifier(), "droput", "dropout"),
        (CNNClassifier(), "network__filtrs", "network__filters"),
        (CNNClassifier(Wide()), "network__unit", "network__units"),
        (CNNClassifier(sampler=SMOTE()), "sampler__neighbors", "sampler__k_neighbors"),
        (PIPE, "cnn__class_wieght", "class_weight"),
    ],
)
def test_an_unknown_parameter_suggests_the_nearest(estimator, name, meant):
    with pytest.raises(ValueError, match=f"^Invalid parameter .* for CNNClassifier; did you mean '{meant}'\\?"):
        estimator.set_params(**{name: 1})


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [(CNNClassifier, "droput", "dropout"), (CNNRegressor, "learn_rate", "learning_rate"), (Plain, "filter", "filters"),
     (Wide, "unit", "units")],
)  # fmt: skip
def test_an_unknown_argument_suggests_the_nearest(kind, name, meant):
    message = f"^{kind.__name__} got an unexpected argument '{name}'; did you mean '{meant}'"
    with pytest.raises(TypeError, match=message):
        kind(**{name: 1})
    with pytest.raises(TypeError, match=r"unexpected argument 'qqq'\.$"):
        kind(qqq=1)
    assert meant in inspect.signature(kind).parameters


def test_networks_may_take_any_argument():
    class Free(Network):
        def __init__(self, **settings):
            self.settings = settings

    assert Free(anything=3).settings == {"anything": 3}


def test_parameters_of_what_has_none():
    with pytest.raises(ValueError, match="'sampler__k' for CNNClassifier: sampler=None has no parameters"):
        CNNClassifier().set_params(sampler__k=3)
    with pytest.raises(ValueError, match=r"Invalid parameter 'x' for CNNClassifier\. Valid parameters are: \["):
        CNNClassifier().set_params(x=3)


def test_what_is_valid_is_set():
    cnn = CNNClassifier().set_params(network=Wide(), network__units=3, sampler=SMOTE(), sampler__k_neighbors=2, l2=0.1)
    assert (cnn.network.units, cnn.sampler.k_neighbors, cnn.l2) == (3, 2, 0.1)


# input_shape --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample_shape", "input_shape", "named"),
    [
        ((784,), (32, 32, 1), r"\(28, 28, 1\)"),
        ((3072,), (28, 28, 3), r"\(32, 32, 3\)"),
        ((120,), (60, 4), r"\(30, 4\), \(60, 2\)"),
        ((4, 4, 2), (8, 8, 1), r"\(4, 4, 2\)"),
        ((7,), (5, 1), r"\(7, 1\)"),
    ],
)
def test_an_input_shape_that_does_not_fit_names_shapes_that_do(sample_shape, input_shape, named):
    X, y = np.zeros((4, *sample_shape)), [0, 1, 0, 1]
    with pytest.raises(ValueError, match=f"such as .*{named}") as error:
        CNNClassifier(input_shape=input_shape).fit(X, y)
    for shape in re.findall(r"\(([\d, ]+)\)", str(error.value).partition("such as")[2]):
        assert np.prod([int(size) for size in shape.split(",")]) == np.prod(sample_shape)


# check_grid ---------------------------------------------------------------------------------------------------------


def test_a_right_grid_is_handed_back():
    grid = {"cnn__l2": [0, 0.1], "cnn__network__filters": [(8,), (16, 32)], "scale__transformer__with_mean": [True]}
    for search in [GridSearchCV(PIPE, grid), HalvingGridSearchCV(PIPE, [grid, {"cnn": [SVC()], "cnn__C": [1.0]}])]:
        assert check_grid(search) is search
    cnn = CNNClassifier()
    space = {"l2": loguniform(1e-5, 1e-1), "class_weight": [None, "balanced"]}
    for search in [RandomizedSearchCV(cnn, space), HalvingRandomSearchCV(cnn, space)]:
        assert check_grid(search) is search
    assert cnn.get_params() == CNNClassifier().get_params()


def test_every_problem_is_listed_once_with_its_step_and_a_candidate():
    grid = {
        "cnn__l2": [0.0, -1.0],
        "cnn__network__activation": ["relu", 3],
        "cnn__droput": [0.1, 0.2],
        "scale__per": ["pixel"],
        "cn__l1": [0.1],
    }
    lines = problems(GridSearchCV(PIPE, grid))
    assert len(lines) == 5
    assert "- 'cnn__droput': no such parameter; did you mean 'cnn__dropout'?" in lines
    assert "- 'cn__l1': no such parameter; did you mean 'cnn__l1'?" in lines
    for start, value in [
        (
            "- cnn: The 'l2' parameter of CNNClassifier must be a float in the range [0.0, inf). Got -1.0",
            "'cnn__l2': -1.0",
        ),
        ("- scale: The 'per' parameter of NDTransformer must be a str among", "'scale__per': 'pixel'"),
        ("- cnn__network: The 'activation' parameter of Plain must be an instance of 'str'", "activation': 3"),
    ]:
        line = next(line for line in lines if line.startswith(start))
        assert value in line.partition("Candidate: ")[2]


def test_problems_of_drawn_candidates():
    space = {"dropout": uniform(0.5, 1), "loss": ["log_loss"] * 15 + ["hinge"]}
    lines = problems(RandomizedSearchCV(CNNClassifier(), space, n_iter=2))
    assert any("The 'loss' parameter" in line and "Got 'hinge'" in line for line in lines)
    assert any("The 'dropout' parameter" in line for line in lines)


@pytest.mark.parametrize(
    ("resource", "settings", "problem"),
    [
        ("cnn__epoch", {"max_resources": 9}, "'cnn__epoch': no such parameter; did you mean 'cnn__epochs'?"),
        ("cnn__epochs", {}, "max_resources='auto', with resource='cnn__epochs'; expected the largest value"),
        ("cnn__epochs", {"max_resources": 9, "min_resources": -3}, "cnn: The 'epochs' parameter .* Got -3"),
        ("cnn__l2", {"max_resources": 9}, "'cnn__l2' is the resource, which the search itself sets"),
    ],
)
def test_a_resource_that_is_a_parameter(resource, settings, problem):
    search = HalvingGridSearchCV(PIPE, {"cnn__l2": [0.0, 0.1]}, resource=resource, **settings)
    (found,) = problems(search)
    assert re.match(f"- {problem}", found)


def test_a_right_resource():
    for estimator, resource in ((PIPE, "cnn__epochs"), (PIPE, "n_samples"), (SVC(), "max_iter")):
        settings = {} if resource == "n_samples" else {"max_resources": 27}
        search = HalvingGridSearchCV(estimator, {}, resource=resource, **settings)
        assert check_grid(search) is search


def test_parameters_belong_to_the_network_of_their_own_candidate():
    grid = [{"network": [Wide()], "network__units": [4]}, {"network": ["plain", Plain()], "network__filters": [(8,)]}]
    check_grid(GridSearchCV(CNNClassifier(), grid))
    lines = problems(GridSearchCV(CNNClassifier(), {"network": [Wide(), "plain"], "network__units": [4]}))
    assert len(lines) == 1
    assert "'network__units': no such parameter" in lines[0]


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        (
            {"network__filters": [(8,), (8, -1)]},
            "network: The 'filters' parameter of Plain must be a sequence of positive",
        ),
        ({"network": [FCN()], "network__kernel_sizes": [(3,)]}, "'kernel_sizes' parameter of FCN must have 3 entries"),
        ({"network": [ImageResNet()], "network__depth": [9]}, "Got 9; the nearest are 8 and 14"),
        ({"network": [ResNet(), Inception()], "network__kernel_sizes": [(0, 3)]}, "must be a sequence of positive"),
        ({"augmentation": [None, ["zoom", "rotate"]]}, "unknown name 'rotate'; did you mean 'rotation'?"),
        ({"sampler": [SMOTE]}, "sampler is the class SMOTE; expected an instance of it, such as SMOTE()."),
    ],
)
def test_values_are_looked_into(grid, problem):
    lines = problems(GridSearchCV(CNNClassifier(), grid))
    assert any(problem in line for line in lines)
    assert len(lines) == len(grid.get("network", [1]))


def test_fit_says_the_same_as_check_grid():
    X, y = np.zeros((4, 8)), [0, 1, 0, 1]
    with pytest.raises(TypeError, match="sampler is the class SMOTE; expected an instance"):
        CNNClassifier(sampler=SMOTE).fit(X, y)
    with pytest.raises(ValueError, match="'filters' parameter of Plain must be a sequence of positive integers"):
        CNNClassifier(Plain(filters=(8, -1))).fit(X, y)


def test_nothing_is_trained_and_samplers_are_looked_at():
    pipe = SamplingPipeline([("balance", SMOTE()), ("cnn", CNNClassifier())])
    lines = problems(GridSearchCV(pipe, {"balance__k_neighbors": [0], "cnn__epochs": [0]}))
    assert len(lines) == 2
    assert not hasattr(pipe[-1], "classes_")


def test_what_is_no_search_is_refused():
    with pytest.raises(TypeError, match="check_grid got CNNClassifier; expected a search with a param_grid"):
        check_grid(CNNClassifier())
