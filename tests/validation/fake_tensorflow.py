"""A tiny stand-in for TensorFlow, and models that misbehave, for watching the worker's ends.

TensorFlow itself takes seconds to import; how a worker crashes, hangs or fills the memory does not
depend on it.
"""

from __future__ import annotations

from pathlib import Path

LIBRARY = """
__version__ = "2.99.0"

class saved_model:
    pass

class train:
    pass

class Module:
    pass

class Variable:
    pass

class keras:
    class metrics:
        pass
    class Model:
        pass

def constant(values, dtype=None):
    return values
"""

MODELS = """
import os, signal, subprocess, sys, time

class Answer:
    def __call__(self, x):
        return x

def fine():
    return Answer()

def talks():
    print("printed by Python")
    os.write(1, b"written to descriptor 1\\\\n")
    subprocess.run([sys.executable, "-S", "-c", "print('printed by a child')"], check=True)
    assert sys.stdin.read() == ""
    return Answer()

def exits():
    print("before the end", flush=True)
    os._exit(7)

def leaves():
    sys.exit("enough")

def raises():
    raise KeyError("no such thing")

def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)

def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)

def sleeps():
    time.sleep(600)

def has_children():
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    print("child", child.pid, flush=True)
    time.sleep(600)

def allocates():
    kept = []
    while len(kept) < 64:  # and no further, whoever fails to watch
        kept.append(bytearray(os.urandom(1)) * (16 << 20))
        time.sleep(0.005)
    time.sleep(600)

def babbles():
    piece = b"x" * 65535 + b"\\\\n"
    for _ in range(400):
        os.write(1, piece)
    return Answer()
""".replace("\\\\n", "\\n")


def write(directory: Path) -> None:
    """Write the library and `models.py` into a directory."""
    (directory / "tensorflow.py").write_text(LIBRARY)
    (directory / "models.py").write_text(MODELS)
