"""Compare the speed of training with what the processor can do.

    python benchmarks/floor.py            # writes its section of RESULTS.md
    python benchmarks/floor.py --quick    # fewer rounds, prints only

One thread. The ceiling is the best rate of a matrix product and of convolutions (forward, and the gradients of kernel
and input) of several sizes, measured in the same process in turns with the training. Operations of training are counted
by hand: two per multiply-add, forward once, backward twice, but once in the first layer, whose input needs no gradient;
taps of a kernel on the padding are no operations.
The time of training is that of ten epochs more, so that building and compiling are left out; the share of all else in a
fit is stated beside. The profile is TensorFlow's own, of the operations inside the graph.
"""

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peers
from report import markdown_table, parse_quick, publish

import skcnn
from skcnn._engine.program import Program

QUESTION = "How close does training come to what the processor can do, and where does the rest of the time go?"
KINDS = {
    "convolution": ("Conv2D", "convolution"),
    "matrix product": ("MatMul",),
    "normalisation": ("BatchNorm",),
    "pooling": ("MaxPool",),
    "activation": ("Relu",),
    "update": ("ResourceApply", "Assign"),
    "batches": ("GatherV2", "StridedSlice"),
}


def operations_per_sample(problem: peers.Problem) -> float:
    """Count the floating-point operations of a training sample: convolutions, dense."""
    height, width, channels = problem.shape
    operations = 0.0
    for i, filters in enumerate(problem.filters):
        multiply_adds = (3 * height - 2) * (3 * width - 2) * channels * filters
        operations += 2 * multiply_adds * (2 if i == 0 else 3)
        height, width, channels = height // 2, width // 2, filters
    return operations + 2 * 3 * height * width * channels * problem.n_classes


def probes() -> dict[str, tuple[Callable[[], Any], float]]:
    """Return compiled functions of one kind of arithmetic each, and their operations."""
    import tensorflow as tf

    found: dict[str, tuple[Callable[[], Any], float]] = {}

    def add(name: str, operation: Callable[..., Any], inputs: list[Any], operations: float) -> None:
        n = max(3, int(5e9 / operations))

        def body(i: Any, last: Any) -> tuple[Any, Any]:
            with tf.control_dependencies([last]):
                out = operation(*[tf.identity(one) for one in inputs[:-1]], inputs[-1] + 0 * last)
            return i + 1, tf.reshape(out, [-1])[0]

        def run() -> Any:
            return tf.while_loop(lambda i, _: i < n, body, [0, tf.constant(0.0)], parallel_iterations=1)[1]

        compiled = tf.function(run, autograph=False)
        compiled()
        found[name] = compiled, n * operations

    a = tf.random.stateless_normal([1024, 1024], [0, 0])
    add("matrix product 1024", tf.matmul, [a, a], 2 * 1024**3)
    for batch, size, inputs, outputs in ((32, 4, 32, 64), (32, 16, 64, 128), (32, 8, 64, 128), (32, 28, 16, 32)):
        x = tf.random.stateless_normal([batch, size, size, inputs], [0, 0])
        y = tf.random.stateless_normal([batch, size, size, outputs], [0, 0])
        kernel = tf.random.stateless_normal([3, 3, inputs, outputs], [0, 0])
        operations = 2.0 * batch * (3 * size - 2) ** 2 * inputs * outputs
        name = f"{size}x{size}, {inputs} to {outputs} channels"
        add(f"convolution {name}", lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), [x, kernel], operations)
        shape, of = tf.shape(kernel), {"strides": [1, 1, 1, 1], "padding": "SAME"}
        add(
            f"kernel gradient {name}",
            lambda x, y, shape=shape, of=of: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=shape, out_backprop=y, **of
            ),
            [x, y],
            operations,
        )
        add(
            f"input gradient {name}",
            lambda k, y, x=x, of=of: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x), filter=k, out_backprop=y, **of
            ),
            [kernel, y],
            operations,
        )
    return found


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def share_of_steps(fit: Callable[[], Any]) -> float:
    """Return the share of a fit that its calls of the graph take."""
    spent, run = [], Program.steps

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = run(*arguments)
        spent.append(time.perf_counter() - start)
        return result

    Program.steps = timed  # type: ignore[method-assign]
    try:
        whole = seconds(fit)
    finally:
        Program.steps = run  # type: ignore[method-assign]
    return sum(spent) / whole


def profile(fit: Callable[[], Any]) -> dict[str, float]:
    """Return the profiled seconds of each kind of operation, and of the whole graph."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    found: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3, python_tracer_level=0)
        with tf.profiler.experimental.Profile(folder, options):
            fit()
        space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if name.startswith("KernelAndDeviceFunc::Run"):
                    found["graph"] += event.duration_ps / 1e12
                elif name.startswith(("while/", "StatefulPartitionedCall/while/")) and ":" in name:
                    operation = name.rpartition(":")[2]
                    kind = next((kind for kind, parts in KINDS.items() if any(p in operation for p in parts)), "other")
                    found[kind] += event.duration_ps / 1e12
    return found


def measure(problem: peers.Problem, rounds: int, ceilings: dict[str, tuple[Callable[[], Any], float]]) -> list[str]:
    X, y = problem.load()
    more = 10 if problem.name.startswith("digits 8") else 2

    def fit(epochs: int) -> Any:
        return peers.skcnn(problem, epochs)[0].fit(X, y)

    fit(1)
    fits, rates = [], defaultdict(list)
    for _ in range(rounds):
        for name, (function, operations) in ceilings.items():
            rates[name].append(operations / seconds(function) / 1e9)
        fits.append((seconds(lambda: fit(1)), seconds(lambda: fit(1 + more))))
    ceiling_name, ceiling = max(((k, max(v)) for k, v in rates.items()), key=lambda pair: pair[1])
    per_epoch = statistics.median((long - short) / more for short, long in fits)
    rate = operations_per_sample(problem) * len(X) / per_epoch / 1e9
    parts = profile(lambda: fit(1 + more))
    traced = sum(value for kind, value in parts.items() if kind != "graph")
    arithmetic = parts["convolution"] + parts["matrix product"]
    inside = statistics.median(share_of_steps(lambda: fit(1 + more)) for _ in range(3))
    shares = ", ".join(
        f"{kind} {parts[kind] / traced:.1%}" for kind in [*KINDS, "other"] if parts[kind] / traced > 0.001
    )
    return [
        problem.name,
        f"{1e3 * per_epoch / -(-len(X) // peers.BATCH):.2f}",
        f"{rate:.0f}",
        f"{ceiling:.0f} ({ceiling_name})",
        f"{rate / ceiling:.0%}",
        f"{inside:.0%}",
        f"{arithmetic / traced:.0%}",
        shares,
    ]


def main() -> None:
    quick = parse_quick(__doc__)
    skcnn.set_threads(1)
    ceilings = probes()
    names = ["digits"] if quick else ["digits", "medium", "large"]
    rows = []
    for name in names:
        rows.append(measure(peers.PROBLEMS[name], 3 if quick else 9, ceilings))
        print(rows[-1], file=sys.stderr)
    header = ["network", "ms a step", "GFLOP/s", "ceiling, GFLOP/s", "reached"]
    body = f"""
Medians of rounds that take turns; of the ceiling the best.

{markdown_table(header, [row[:5] for row in rows])}

Where the time of a fit goes. "In the steps" is the share of a whole fit on a compiled network that its training steps
take; the rest is Python, hashing, resetting and copying weights. The shares of operations are TensorFlow's profile of
the steps.

{markdown_table(["network", "in the steps", "of them arithmetic", "shares"], [[row[0], *row[5:]] for row in rows])}
"""
    packages = ("skcnn", "tensorflow", "keras")
    publish("floor", "How close to the processor", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()
