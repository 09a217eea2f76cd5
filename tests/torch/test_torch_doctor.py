"""`chione doctor` on files of a user."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch")

from click.testing import CliRunner

from chione.cli import main

FILE = """
import torch
from sizes import WIDTH

def deep(activation=torch.nn.Tanh, depth=30):
    layers = [torch.nn.Flatten()]
    for i in range(depth):
        layers += [torch.nn.Linear(48 if i == 0 else WIDTH, WIDTH), activation()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, 10))

class Shallow(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(48, 20), torch.nn.ReLU(),
                         torch.nn.Linear(20, 5))

made = Shallow()

def words():
    return torch.nn.Sequential(torch.nn.Embedding(50, 16), torch.nn.Linear(16, 50))

def softplus():
    return deep(torch.nn.Softplus)

def overflows():
    model = deep(torch.nn.ReLU)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1e6)
    return model

def fails():
    raise RuntimeError("no weights found")

number = 3
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "net.py").write_text(FILE)
    (tmp_path / "sizes.py").write_text("WIDTH = 40\n")

    def call(factory, *options, shape="3,4,4"):
        arguments = ["doctor", f"{tmp_path}/net.py:{factory}", "--input-shape", shape, *options]
        return CliRunner().invoke(main, arguments)

    return call


@pytest.mark.parametrize("factory", ["Shallow", "made"])
def test_a_trainable_model_gives_exit_code_zero(run, factory):
    result = run(factory, "--batch", "16")
    assert result.exit_code == 0
    assert "Trainable" in result.output


def test_an_untrainable_model_gives_exit_code_one_and_the_reason(run):
    result = run("deep", "--batch", "16")
    assert result.exit_code == 1
    assert "Not trainable, vanishing gradient at layer '1'" in result.output


def test_fix_initialises_and_looks_again(run):
    result = run("deep", "--batch", "16", "--fix")
    assert result.exit_code == 0
    assert "Initialised by theory" in result.output
    assert "chione.torch.initialize_(model, batch)" in result.output


@pytest.mark.slow
def test_what_cannot_be_fixed_stays_at_one(run):
    result = run("softplus", "--batch", "16", "--fix")
    assert result.exit_code == 1
    assert "softplus" in result.output


def test_a_model_that_overflows_is_not_trainable_and_can_be_fixed(run):
    result = run("overflows", "--batch", "16")
    assert result.exit_code == 1
    assert "is the first to produce NaN or infinite values" in result.output
    fixed = run("overflows", "--batch", "16", "--fix", "--json")
    assert fixed.exit_code == 0
    assert json.loads(fixed.stdout)["before"]["verdict"]["trainable"] is False


def test_json_is_one_object_with_both_reports(run):
    result = run("deep", "--batch", "16", "--fix", "--json")
    document = json.loads(result.stdout)
    assert document["command"] == "doctor"
    assert document["before"]["verdict"]["trainable"] is False
    assert document["result"]["verdict"]["trainable"] is True
    assert document["initialization"]["changes"][0]["activation"] == "tanh"
    assert document["parameters"]["input_shape"] == [3, 4, 4]


def test_token_models_are_fed_numbers_below_the_vocabulary(run):
    assert run("words", "--tokens", "50", shape="7").exit_code == 0


@pytest.mark.parametrize(
    ("factory", "shape", "message"),
    [
        ("missing", "3,4,4", "defines no 'missing'"),
        ("number", "3,4,4", "gives an object of type int, not a torch.nn.Module"),
        ("fails", "3,4,4", "could not make the model (RuntimeError: no weights found)"),
        ("deep", "3,4,5", "rejects the batch in layer '1'"),
        ("deep", "3,x", "is no list of sizes such as 1,28,28"),
        ("words", "7", "rejects the batch in layer '0'"),
    ],
)
def test_bad_usage_gives_exit_code_two_and_one_sentence(run, factory, shape, message):
    result = run(factory, shape=shape)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("argument", ["net.py", "nowhere.py:make"])
def test_a_wrong_file_argument_is_bad_usage(argument):
    result = CliRunner().invoke(main, ["doctor", argument, "--input-shape", "3"])
    assert result.exit_code == 2
    assert "FILE.py:FACTORY" in result.output or "no file" in result.output


MODEL = "import torch\nmodel = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 2))\n"
LOUD = """
import os
print("loading")
os.system("echo from a child")
os.write(1, b"straight to the descriptor")

class Loud(torch.nn.Linear):
    def forward(self, x):
        print("forward")
        return super().forward(x)

loud = torch.nn.Sequential(Loud(8, 8), torch.nn.Linear(8, 2))
"""


def doctor(tmp_path, text, factory="model", *options, program=("-m", "chione")):
    """The command as a program of its own, with an end."""
    (tmp_path / "own.py").write_text(MODEL + text)
    arguments = [f"{tmp_path}/own.py:{factory}", "--input-shape", "8", *options]
    return subprocess.run(
        [sys.executable, *program, "doctor", *arguments],
        capture_output=True, text=True, timeout=120, input="a line on standard input\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(0)", "ends the program"),
        ("raise SystemExit('nothing to do')", "says: nothing to do"),
        ("import os; os._exit(0)", "ends the program"),
        ("from os import _exit as leave; leave(0)", "ends the program"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("input('more? ')", "EOFError"),
        ("def model(): raise BaseException('odd')", "BaseException: odd"),
        ("def model(): return 'a string'", "gives an object of type str"),
        ("def model(): exit()", "ends the program"),
        ("import sys; sys.path.clear(); model = 7", "gives an object of type int"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def model(:", "SyntaxError"),
    ],
)
def test_a_file_cannot_end_the_command_with_a_verdict_of_its_own(run, tmp_path, text, message):
    (tmp_path / "net.py").write_text(MODEL + text)
    result = run("model", "--json", shape="8")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_what_a_file_prints_stays_out_of_the_answer(tmp_path):
    done = doctor(tmp_path, LOUD, "loud", "--json")
    assert json.loads(done.stdout)["command"] == "doctor"
    for words in ("loading", "from a child", "straight to the descriptor", "forward"):
        assert words in done.stderr


@pytest.mark.parametrize(
    "way_out", [pytest.param("os._exit(0)", marks=pytest.mark.slow), "sys.exit(0)"]
)
def test_a_forward_pass_cannot_end_the_command_either(tmp_path, way_out):
    text = f"""
import os, sys
class Leaves(torch.nn.Linear):
    def forward(self, x):
        {way_out}
model = torch.nn.Sequential(torch.nn.Linear(8, 8), Leaves(8, 2))
"""
    done = doctor(tmp_path, text)
    assert done.returncode == 2
    assert "ends the program" in " ".join(done.stderr.split())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs an alarm")
@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "import time; time.sleep(1e6)",
        "def model():\n    while True:\n        try: sum(range(1000))\n        except: pass",
        """
class Turns(torch.nn.Linear):
    def forward(self, x):
        while True:
            x = super().forward(x)
model = torch.nn.Sequential(Turns(8, 8))
""",
    ],
)
def test_a_file_that_never_ends_is_stopped_after_the_time_allowed(tmp_path, text):
    impatient = "import chione.cli.user_code as u; u.SECONDS = 0.6; u.sys.argv[0] = 'chione'; "
    program = ("-c", impatient + "from chione.cli import main; main()")
    done = doctor(tmp_path, text, "model", "--json", program=program)
    assert (done.returncode, done.stdout) == (2, "")
    assert "was still running after 0.6 s" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_ctrl_c_reaches_a_file_that_never_ends(tmp_path):
    (tmp_path / "own.py").write_text(
        "import sys, time\nprint('begun', file=sys.stderr, flush=True)\ntime.sleep(1000)\n"
    )
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from chione.cli import main; main()"
    arguments = ["doctor", f"{tmp_path}/own.py:model", "--input-shape", "8"]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 60.0
        while child.stderr.readline() != "begun\n" and time.monotonic() < end:
            pass
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait(timeout=10)
    assert child.returncode == 130
    assert "Interrupted." in stderr


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ("1000000,1000000", (), "above the limit"),
        ("10000000000000000000000000000000", (), "below 2^63"),
        ("8", ("--batch", "1000000000000"), "A batch of 37500000 fits"),
        ("8", ("--tokens", "100000000000000000000"), "below 2^63"),
        ("1e9", (), "is no list of sizes"),
        ("8,0", (), "is no list of sizes"),
        ("", (), "is no list of sizes"),
        ("9" * 5000, (), "is no list of sizes"),
    ],
)
def test_sizes_beyond_all_memory_are_refused_before_the_file_is_run(run, shape, options, message):
    result = run("Shallow", *options, shape=shape)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())


def test_depth_and_full_say_how_much_of_the_table_is_shown(run):
    short, one, full = (
        run("deep", "--batch", "4", *options).output
        for options in ((), ("--depth", "1"), ("--full",))
    )
    assert "3..59 (29 x)" in short
    assert "3..59 (29 x)" in one
    assert all(f"\n{2 * i + 1} " in full for i in range(30))
