"""Kernels of neural-tangents, measured in the environment that it needs.

Runs under the Python that ``--neural-tangents`` names, not under that of chione, and shares no code
with it. Reads one JSON object a line and answers each with one, and takes the time itself:

    {"do": "inputs", "npz": PATH, "activation": NAME, "sigma_w": .., "sigma_b": .., "depth": ..}
    {"do": "compile"}                 traces and compiles
    {"do": "run", "k": K, "npz": PATH}  kernels of the K-th inputs; written to PATH if one is given
    {"do": "peak"}                    peak memory of this process in MB

One thread, float64.
"""

import json
import os
import sys
import time
import warnings

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["XLA_FLAGS"] = flags
warnings.filterwarnings("ignore")

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402

jax.config.update("jax_enable_x64", True)
import neural_tangents  # noqa: E402
from neural_tangents import stax  # noqa: E402

# Nodes of its Gauss-Hermite rule in each of two directions. Its own examples take 25; of an odd
# number one lies at zero, where the slope of selu jumps, and one layer's NTK is then 20 % wrong.
DEGREE = 24
LONG_TO_COMPILE = 20  # layers; a hundred take minutes to compile and little less to run


def numerically(function):
    """An activation that it has no closed form for."""
    return stax.ElementwiseNumerical(function, deg=DEGREE)


ACTIVATIONS = {
    "relu": stax.Relu,
    "gelu": stax.Gelu,
    "erf": stax.Erf,
    "leaky": lambda: stax.LeakyRelu(0.1),
    "tanh": lambda: numerically(jnp.tanh),
    "silu": lambda: numerically(jax.nn.silu),
    "elu": lambda: numerically(jax.nn.elu),
    "selu": lambda: numerically(jax.nn.selu),
    "hardtanh": lambda: numerically(lambda x: jnp.clip(x, -1.0, 1.0)),
}


class Server:
    """What one case needs."""

    def inputs(self, npz, activation, sigma_w, sigma_b, depth):
        """Take the inputs and describe the network: `depth` weight matrices."""
        with np.load(npz) as arrays:
            self.x = [jnp.asarray(arrays[name]) for name in sorted(arrays)]
        layers = [stax.Dense(1, W_std=sigma_w, b_std=sigma_b)]
        for _ in range(depth - 1):
            layers += [ACTIVATIONS[activation](), stax.Dense(1, W_std=sigma_w, b_std=sigma_b)]
        kernel = stax.serial(*layers)[2]
        self.kernel = lambda x: kernel(x, None, ("nngp", "ntk"))
        self.compiled, self.deep = self.kernel, depth > LONG_TO_COMPILE
        return {}

    def compile(self):
        """Compile for inputs of that shape; deep networks run operation by operation."""
        wall, cpu = time.perf_counter(), time.process_time()
        if not self.deep:
            self.compiled = jax.jit(self.kernel).lower(self.x[0]).compile()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    def run(self, k, npz=""):
        """Compute the kernels."""
        x = self.x[k % len(self.x)]
        wall, cpu = time.perf_counter(), time.process_time()
        found = self.compiled(x)
        found.ntk.block_until_ready()
        found.nngp.block_until_ready()
        answer = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if npz:
            np.savez(npz, nngp=np.asarray(found.nngp), ntk=np.asarray(found.ntk))
        return answer

    def peak(self):
        """Peak memory of this process."""
        with open("/proc/self/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return {"mb": int(line.split()[1]) / 1000.0}

    def versions(self):
        """What it runs on."""
        python = ".".join(map(str, sys.version_info[:3]))
        return {
            "neural-tangents": neural_tangents.__version__,
            "jax": jax.__version__,
            "Python of neural-tangents": python,
        }


def main():
    """Answer until the input ends."""
    out, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    server = Server()
    for line in sys.stdin:
        asked = json.loads(line)
        do = {
            "inputs": server.inputs,
            "compile": server.compile,
            "run": server.run,
            "peak": server.peak,
            "versions": server.versions,
        }[asked.pop("do")]
        print(json.dumps(do(**asked)), file=out, flush=True)


if __name__ == "__main__":
    main()
