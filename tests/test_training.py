"""The engine against Keras' own training, and what it promises: traces, equality to the bit, bounds."""

import gc
import random
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from skcnn._engine.blueprint import Topology, trace_count
from skcnn._engine.fingerprint import object_key
from skcnn._engine.loop import Plan, Progress, Told, _rates, train
from skcnn._engine.pool import Pool
from skcnn._engine.program import Program
from skcnn._engine.transformations import mix
from skcnn.networks import NetworkBuilder, Plain

N_SAMPLES, SHAPE, N_CLASSES, BATCH = 45, (6, 6, 2), 3, 16  # the last batch is short


def topology(network=None, loss="softmax", optimizer="sgd", dtype="float32", **strengths):
    network = network or Plain(filters=(4, 6))
    rates = {"dropout": 0.5} if "dropout" in strengths else {}
    return Topology(
        network=object_key(network),
        input_shape=SHAPE,
        n_outputs=N_CLASSES,
        loss=loss,
        optimizer=optimizer,
        dtype=dtype,
        knobs=tuple(sorted(strengths)),
        build=NetworkBuilder(network, SHAPE, N_CLASSES, rates),
    )


def in_order(epoch):
    return np.arange(N_SAMPLES)


class Data(NamedTuple):
    """The same samples in each epoch, in an order that may be another."""

    X: np.ndarray
    y: np.ndarray
    w: np.ndarray
    order: Callable[[int], np.ndarray]

    def at(self, epoch):
        return self.X, self.y, self.w, self.order(epoch)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, *SHAPE)).astype("float32")
    codes = rng.integers(0, N_CLASSES, N_SAMPLES).astype("int32")
    w = rng.uniform(0.2, 2, (N_SAMPLES, 1))
    return X, codes, (w / w.mean()).astype("float32")


def plan(strengths, *, epochs=1, learning_rate=0.05, schedule="constant", seed=0, **kwargs):
    settings = {"patience": 10, "tol": 0.0, "stop_early": False, "batch_size": BATCH} | kwargs
    return Plan(
        epochs=epochs, seed=seed, learning_rate=learning_rate, schedule=schedule, strengths=strengths, **settings
    )


def keras_layer(layer):
    return layer.plain({}) if hasattr(layer, "plain") else type(layer).from_config(layer.get_config())


def keras_twin(program, **penalties):
    """Return a Keras model with the program's weights, its kernels regularised by Keras itself."""
    model = keras.models.clone_model(program.blueprint.model, clone_function=keras_layer)
    if penalties:
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.regularizer = keras.regularizers.L1L2(**penalties)
    model.set_weights(program.weights())
    return model


def largest_difference(program, model):
    pairs = zip(program.weights(), model.get_weights(), strict=True)
    return max(np.abs(ours - theirs).max() for ours, theirs in pairs)


def smoothed(codes, smoothing):
    return np.eye(N_CLASSES)[codes] * (1 - smoothing) + smoothing / N_CLASSES


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov"])
def test_sgd_epoch_equals_keras_fit(problem, normalization, rule):
    X, codes, w = problem
    momentum = 0.0 if rule == "sgd" else 0.9
    strengths = {"l1": 1e-3, "l2": 1e-2, "label_smoothing": 0.1} | ({"momentum": momentum} if momentum else {})
    program = Program(topology(Plain(filters=(4, 6), normalization=normalization), optimizer=rule, **strengths))
    program.reset(1)
    model = keras_twin(program, l1=1e-3, l2=1e-2)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=momentum, nesterov=rule == "nesterov"),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    model.fit(X, smoothed(codes, 0.1), sample_weight=w[:, 0], batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    before = program.weights()
    train(program, Data(X, codes, w, in_order), plan(strengths), Progress())
    assert largest_difference(program, model) < 1e-6
    assert max(np.abs(new - old).max() for new, old in zip(program.weights(), before, strict=True)) > 1e-2


@pytest.mark.parametrize("loss", ["sigmoid", "squared_error", "absolute_error", "huber"])
def test_losses_of_outputs_train_as_in_keras(problem, loss):
    X, codes, w = problem
    y = np.eye(N_CLASSES, dtype="float32")[codes] * (1 if loss == "sigmoid" else 3)
    program = Program(topology(loss=loss))
    program.reset(1)
    model = keras_twin(program)
    theirs = {
        "sigmoid": keras.losses.BinaryCrossentropy(from_logits=True),
        "squared_error": keras.losses.MeanSquaredError(),
        "absolute_error": keras.losses.MeanAbsoluteError(),
        "huber": keras.losses.Huber(),
    }[loss]
    model.compile(keras.optimizers.SGD(0.05), theirs)
    history = model.fit(X, y, sample_weight=w[:, 0], batch_size=N_SAMPLES, shuffle=False, verbose=0).history
    progress = Progress()
    train(program, Data(X, y, w, in_order), plan({}, batch_size=N_SAMPLES), progress)
    assert largest_difference(program, model) < 1e-6
    assert progress.history["loss"][0] == pytest.approx(history["loss"][0], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("adam", keras.optimizers.Adam), ("rmsprop", keras.optimizers.RMSprop)],
)
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_adaptive_steps_equal_keras_from_the_same_state(problem, name, optimizer, normalization):
    """In float64, since rounding in float32 differs by more than the bound on some processors."""
    X, codes, w = (part.astype("float64") if part.dtype == "float32" else part for part in problem)
    network = Plain(filters=(4, 6), normalization=normalization)
    program = Program(topology(network, optimizer=name, dtype="float64"))
    program.reset(1)
    progress = Progress()
    model = keras_twin(program)
    model.compile(optimizer(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64"))
    model.optimizer.build(model.trainable_variables)
    slots_of = _keras_slots(model)
    for step in range(5):
        part = slice(step * 8, step * 8 + 8)
        model.set_weights(program.weights())
        for slot, value in zip(slots_of, program.optimizer_state(), strict=True):
            if slot is not None:
                slot.assign(value)
        model.train_on_batch(X[part], codes[part], sample_weight=w[part, 0])
        data = Data(X[part], codes[part], w[part], lambda epoch: np.arange(8))
        before = program.weights()
        train(program, data, plan({}, epochs=step + 1, learning_rate=0.01, batch_size=8), progress)
        assert largest_difference(program, model) < 1e-7  # Keras itself rounds 0.999 to float32
        assert max(np.abs(new - old).max() for new, old in zip(program.weights(), before, strict=True)) > 1e-3


def _keras_slots(model):
    """Keras' slots in the order of ours; None where ours has one (RMSprop's momentum) that Keras leaves out."""
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.Adam):
        moments = optimizer._momentums, optimizer._velocities
        return [slot for pair in zip(*moments, strict=True) for slot in pair]
    return [slot for velocity in optimizer._velocities for slot in (velocity, None)]


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_weight_decay_is_decoupled_and_spares_what_is_no_kernel(problem, name):
    X, codes, w = problem
    program = Program(topology(optimizer=name, weight_decay=0.5))
    program.reset(1)
    model = keras_twin(program)
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}
    optimizer = kinds[name](0.02, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, codes, sample_weight=w[:, 0], batch_size=N_SAMPLES, shuffle=False, verbose=0)
    train(
        program, Data(X, codes, w, in_order), plan({"weight_decay": 0.5}, learning_rate=0.02, batch_size=64), Progress()
    )
    assert largest_difference(program, model) < 1e-6


def test_clipnorm_equals_keras(problem):
    X, codes, w = problem
    program = Program(topology(clipnorm=0.05))
    program.reset(1)
    model = keras_twin(program)
    model.compile(
        keras.optimizers.SGD(0.5, clipnorm=0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(X, codes, sample_weight=w[:, 0], batch_size=BATCH, shuffle=False, verbose=0)
    train(program, Data(X, codes, w, in_order), plan({"clipnorm": 0.05}, learning_rate=0.5), Progress())
    assert largest_difference(program, model) < 1e-6


@pytest.mark.parametrize("alphas", [{"mixup": 0.5}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_a_step_on_mixed_samples_equals_keras_on_the_same_ones(problem, alphas):
    X, codes, _ = problem
    program = Program(topology(**alphas))
    program.reset(1)
    model = keras_twin(program)
    model.compile(keras.optimizers.SGD(0.05), keras.losses.CategoricalCrossentropy(from_logits=True))
    mixed, partner, share = (part.numpy() for part in mix(tf.constant(X), tf.constant([0, 0]), **alphas))
    targets = np.eye(N_CLASSES)[codes]
    targets = share * targets + (1 - share) * targets[partner]
    model.fit(mixed, targets, batch_size=N_SAMPLES, shuffle=False, verbose=0)
    data = Data(X, codes, np.ones((N_SAMPLES, 1), "float32"), in_order)
    train(program, data, plan(alphas, batch_size=N_SAMPLES), Progress())
    assert largest_difference(program, model) < 1e-6


def test_averages_are_those_of_the_weights_of_all_steps(problem):
    X, codes, w = problem
    momentum, steps = 0.8, []
    for n in range(1, 6):
        program = Program(topology(frozen_first))
        program.reset(1)
        train(program, Data(X, codes, w, in_order), plan({}, epochs=n, batch_size=N_SAMPLES), Progress())
        steps.append(program.weights())
    program = Program(topology(frozen_first, ema_momentum=momentum))
    program.reset(1)
    progress = Progress()
    kept = []
    train(
        program,
        Data(X, codes, w, in_order),
        plan({"ema_momentum": momentum}, epochs=5, batch_size=N_SAMPLES),
        progress,
        Told(lambda program: kept.append(program.weights()) or {"val_loss": 0.0}),
    )
    for n in range(1, 6):
        shares = momentum ** np.arange(n - 1, -1, -1.0)
        expected = [np.tensordot(shares / shares.sum(), values, 1) for values in zip(*steps[:n], strict=True)]
        for ours, theirs in zip(kept[n - 1], expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert all(map(np.array_equal, progress.weights, kept[-1]))
    assert all(map(np.array_equal, program.weights(), steps[-1]))
    np.testing.assert_array_equal(progress.weights[0], steps[0][0])  # frozen, to the bit


def frozen_first(input_shape, n_outputs):
    model = Plain(filters=(4, 6))(input_shape, n_outputs)
    model.layers[1].trainable = False
    return model


def rates_of(n_epochs, steps=10, **kwargs):
    """Learning rates of all steps of a run at rate 1."""
    settings = plan({}, epochs=n_epochs, learning_rate=1.0, **kwargs)
    return np.concatenate([_rates(settings, Progress(epoch=epoch), steps) for epoch in range(n_epochs)])


def test_warm_up_rises_to_where_the_schedule_begins():
    warm = rates_of(8, schedule="cosine", warmup_epochs=3)
    np.testing.assert_allclose(warm[:30], np.arange(1, 31) / 30)
    keras_schedule = keras.optimizers.schedules.CosineDecay(1.0, 50)
    np.testing.assert_allclose(warm[30:], [float(keras_schedule(step)) for step in range(50)], atol=1e-6)
    np.testing.assert_allclose(rates_of(4, warmup_epochs=1.5)[:20], np.minimum(1, np.arange(1, 21) / 15))


def test_one_cycle_rises_for_three_tenths_and_falls_to_almost_nothing():
    rates = rates_of(10, schedule="one_cycle")
    assert rates[0] == pytest.approx(1 / 25)
    assert np.argmax(rates) == 30
    assert rates[30] == 1
    assert rates[15] == pytest.approx((1 + 1 / 25) / 2)  # half way of half a cosine
    assert rates[65] == pytest.approx((1 + 4e-6) / 2)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()
    assert rates[-1] < 1e-3


def test_cosine_schedule_equals_keras(problem):
    X, codes, w = problem
    program = Program(topology(dtype="float64"))
    program.reset(1)
    with_policy = keras.config.dtype_policy()
    assert with_policy.name == "float32"  # building in float64 left the user's policy alone
    model = keras_twin(program)
    steps = 3 * -(-N_SAMPLES // BATCH)
    model.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.05, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(X, codes, sample_weight=w[:, 0], batch_size=BATCH, epochs=3, shuffle=False, verbose=0)
    progress = Progress()
    data = Data(X.astype("float64"), codes, w.astype("float64"), in_order)
    train(program, data, plan({}, epochs=3, schedule="cosine"), progress)
    assert largest_difference(program, model) < 1e-6  # the twin's schedule is computed in float32
    assert progress.history["learning_rate"] == sorted(progress.history["learning_rate"], reverse=True)


def test_dropout_mask_has_its_rate_and_is_a_function_of_the_seed(problem):
    import tensorflow as tf

    from skcnn._engine.layers import Dropout, step_inputs

    layer, ones = Dropout(0.5), tf.ones((200, 500))

    def masked(rate, seed):
        with step_inputs(dropout=tf.constant(rate), seed=tf.constant(seed)):
            return layer(ones, training=True).numpy()

    for rate in (0.1, 0.7):
        out = masked(rate, [3, 4])
        share = (out == 0).mean()
        assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / out.size)
        np.testing.assert_allclose(out[out != 0], 1 / (1 - rate), rtol=1e-6)
    np.testing.assert_array_equal(masked(0.5, [3, 4]), masked(0.5, [3, 4]))
    assert (masked(0.5, [3, 4]) != masked(0.5, [3, 5])).any()
    np.testing.assert_array_equal(layer(ones, training=False), ones)


def run(strengths, seed=0, program=None, epochs=2, network=None, problem=None):
    X, codes, w = problem
    program = program or Program(topology(network, optimizer="adam", **strengths))
    program.reset(seed)
    progress = Progress()
    order = lambda epoch: np.random.default_rng([seed, epoch]).permutation(N_SAMPLES)  # noqa: E731
    train(program, Data(X, codes, w, order), plan(strengths, epochs=epochs, seed=seed), progress)
    return progress


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True)) and a.history == b.history


def test_nothing_of_one_fit_reaches_the_next(problem):
    strengths = {"dropout": 0.3, "l2": 1e-3}
    program = Program(topology(optimizer="adam", **strengths))
    first = run(strengths, 0, program, problem=problem)
    other = run({"dropout": 0.6, "l2": 1e-1}, 5, program, problem=problem)
    again = run(strengths, 0, program, problem=problem)
    assert same(first, again)
    assert same(first, run(strengths, 0, problem=problem))
    assert not same(first, other)


def test_continued_run_equals_one_in_one_go(problem):
    strengths = {"dropout": 0.3}
    whole = run(strengths, epochs=4, problem=problem)
    part = run(strengths, epochs=2, problem=problem)
    program = Program(topology(optimizer="adam", **strengths))
    program.reset(99)
    program.load_weights(part.weights)
    program.load_optimizer_state(part.optimizer_state)
    X, codes, w = problem
    order = lambda epoch: np.random.default_rng([0, epoch]).permutation(N_SAMPLES)  # noqa: E731
    train(program, Data(X, codes, w, order), plan(strengths, epochs=4), part)
    assert same(whole, part)


def test_length_of_a_call_changes_nothing(problem, monkeypatch):
    whole = run({"dropout": 0.3}, problem=problem)
    monkeypatch.setattr("skcnn._engine.loop.CALL_SECONDS", 0.0)
    monkeypatch.setattr("skcnn._engine.loop.FIRST_CALL_STEPS", 1)
    assert same(whole, run({"dropout": 0.3}, problem=problem))


def custom_network(input_shape, n_outputs):
    """Layers with random state of their own, weights that are set and a frozen layer."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dropout(0.5)(x)
    frozen = keras.layers.Dense(5, trainable=False, kernel_initializer="ones", name="frozen")
    x = frozen(x)
    pretrained = keras.layers.Dense(4, name="pretrained")
    x = pretrained(x)
    pretrained.set_weights([np.full((5, 4), 0.25), np.arange(4.0)])
    fixed = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=3), name="fixed")
    return keras.Model(inputs, keras.layers.Dense(n_outputs, name="drawn")(fixed(x)))


def test_custom_network_keeps_what_was_set_and_draws_the_rest_from_the_seed(problem):
    program = Program(topology(custom_network, optimizer="adam"))

    def start(seed):
        program.reset(seed)
        names = [variable.path for variable in program.blueprint.model.weights]
        return dict(zip(names, program.weights(), strict=True))

    a, b, again = start(1), start(2), start(1)
    for name in a:
        np.testing.assert_array_equal(a[name], again[name])
        changes = not np.array_equal(a[name], b[name])
        assert changes == (name == "drawn/kernel"), name
    np.testing.assert_array_equal(a["pretrained/kernel"], np.full((5, 4), 0.25))
    np.testing.assert_array_equal(a["fixed/kernel"], keras.initializers.GlorotUniform(seed=3)((4, 4)))

    trained = run({}, 1, program, network=custom_network, problem=problem)
    elsewhere = run({}, 1, network=custom_network, problem=problem)
    assert same(trained, elsewhere)  # also the masks of Keras' own dropout
    frozen = [v.path for v in program.blueprint.model.weights].index("frozen/kernel")
    np.testing.assert_array_equal(trained.weights[frozen], np.ones_like(trained.weights[frozen]))
    assert not same(trained, run({}, 2, program, network=custom_network, problem=problem))


def test_nothing_global_is_touched(problem):
    python = random.getstate()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    policy = keras.config.dtype_policy()
    run({"dropout": 0.2}, problem=problem, network=Plain(filters=(3,)))
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert keras.config.dtype_policy() is policy


def test_own_regularisers_and_embeddings_train(problem):
    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        x = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))

    X, codes, w = problem
    program = Program(topology(network))
    program.reset(0)
    model = keras_twin(program)
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, codes, sample_weight=w[:, 0], batch_size=N_SAMPLES, shuffle=False, verbose=0)
    train(program, Data(X, codes, w, in_order), plan({}, batch_size=N_SAMPLES), Progress())
    assert largest_difference(program, model) < 1e-6


@pytest.mark.parametrize("dims", [(7, 2), (6, 6, 2), (4, 4, 4, 1)])
@pytest.mark.parametrize("pooling", [None, "avg"])
def test_a_sample_is_predicted_alike_in_any_company(dims, pooling, rng):
    network = Plain(filters=(8, 16), pooling=pooling, dense_units=(32,))
    build = NetworkBuilder(network, dims, 4)
    program = Program(Topology(object_key(network), dims, 4, "softmax", "adam", "float32", (), build))
    program.reset(0)
    X = rng.normal(size=(700, *dims)).astype("float32")
    whole = program.predict(X)
    traces = trace_count()
    for n in (1, 2, 7, 8, 9, 12, 13, 64, 65, 72, 73, 255, 256, 257, 288, 289):
        np.testing.assert_array_equal(program.predict(X[300 : 300 + n]), whole[300 : 300 + n])
    assert trace_count() == traces
    np.testing.assert_allclose(whole, program.blueprint.model(X, training=False), rtol=1e-5, atol=1e-5)


def test_divergence_says_where_and_what_to_do(problem):
    X, codes, w = problem
    program = Program(topology(loss="squared_error"))
    program.reset(0)
    y = np.eye(N_CLASSES, dtype="float32")[codes]
    with pytest.raises(FloatingPointError, match=r"epoch \d+ at learning rate 1e\+06.*lower learning_rate"):
        train(program, Data(X, y, w, in_order), plan({}, epochs=50, learning_rate=1e6), Progress())


def test_pool_is_bounded_and_frees_what_it_drops():
    pool = Pool(capacity=2)
    references = []
    for filters in range(2, 6):
        with pool.lend(topology(Plain(filters=(filters,)))) as program:
            references.append(weakref.ref(program))
        del program
    gc.collect()
    assert len(pool) == 2
    assert [reference() is None for reference in references] == [True, True, False, False]


def test_pool_lends_one_program_to_one_fit_at_a_time():
    pool, barrier, lent = Pool(), threading.Barrier(3), []

    def borrow():
        with pool.lend(topology()) as program:
            lent.append(program)
            barrier.wait(60)

    threads = [threading.Thread(target=borrow) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(program) for program in lent}) == 3
    with pool.lend(topology()) as program:
        assert any(program is one for one in lent)


@pytest.mark.parametrize("network", [Plain(filters=(4,)), custom_network], ids=["plain", "own"])
def test_programs_share_their_graphs_and_nothing_else(network, problem):
    alone = [run({}, seed, network=network, problem=problem) for seed in (0, 1)]
    pool = Pool()
    with pool.lend(topology(network, optimizer="adam")) as one, pool.lend(topology(network, optimizer="adam")) as other:
        traces = trace_count()
        together = [run({}, 0, one, problem=problem)]
        weights = one.weights()
        together.append(run({}, 1, other, problem=problem))
        assert trace_count() - traces == 1
        for before, after in zip(weights, one.weights(), strict=True):
            np.testing.assert_array_equal(before, after)
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    assert not same(*alone)


class Interrupted:
    """A variable that is interrupted when it is to change."""

    def __init__(self, variable):
        self.variable = variable

    def assign(self, value):
        raise KeyboardInterrupt

    def __getattr__(self, name):
        return getattr(self.variable, name)


CHANGES = {
    "reset": lambda program, weights: program.reset(1),
    "load_weights": lambda program, weights: program.load_weights([*weights]),
    "set_units": lambda program, weights: program.set_units(np.ones(2), np.ones(2)),
    "load_optimizer_state": lambda program, weights: program.load_optimizer_state(program.optimizer_state()),
    "averaged": lambda program, weights: program.averaged().__enter__(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_in_part_is_not_taken_for_loaded(change, problem):
    X, codes, w = problem
    strengths = {"ema_momentum": 0.5}
    program = Program(replace(topology(optimizer="adam", **strengths), standardize="channel"))
    program.reset(0)
    train(program, Data(X, codes, w, in_order), plan(strengths), Progress())
    weights = program.weights()
    program.load_weights(weights)
    assert program.loaded is weights
    for variables in (program._weights, program._slots, program._variables):
        variables[-1] = Interrupted(variables[-1])
    program._weights[0] = Interrupted(program._weights[0])
    with pytest.raises(KeyboardInterrupt):
        CHANGES[change](program, weights)
    assert program.loaded is None


def test_weights_loaded_while_averages_are_held_do_not_count_as_loaded(problem):
    X, codes, w = problem
    strengths = {"ema_momentum": 0.5}
    program = Program(topology(**strengths))
    program.reset(0)
    train(program, Data(X, codes, w, in_order), plan(strengths), Progress())
    weights = program.weights()
    with program.averaged():
        program.load_weights(weights)
    assert program.loaded is None


def test_object_key_sees_code_and_parameters():
    def make(units, relu):
        def network(input_shape, n_outputs):
            activation = "relu" if relu else "tanh"
            return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(units, activation=activation)])

        return network

    assert object_key(make(3, True)) == object_key(make(3, True))
    assert object_key(make(3, True)) != object_key(make(4, True))
    assert object_key(make(3, True)) != object_key(make(3, False))
    assert object_key(Plain(filters=(4,))) == object_key(Plain(filters=(4,)))
    assert object_key(Plain(filters=(4,))) != object_key(Plain(filters=(5,)))
    assert object_key(lambda s, n: 1) != object_key(lambda s, n: 2)
