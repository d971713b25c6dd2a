"""Tests of memory and time: nothing is allocated in a step, nothing grows, plans are what is used.

Each measurement runs in a process of its own, so that what the other tests hold does not count.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import striate as st

# Counts the calls that reach the allocator while `counting` is set: all, those above 16 KiB, and
# those from libstriate.so itself. oneDNN makes small maps of arguments in its own library.
COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
static void *(*next_malloc)(size_t), *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t), *(*next_aligned)(size_t, size_t);
static int (*next_posix)(void **, size_t, size_t);
static char first[4096]; static size_t first_used;
static volatile int counting;
long large, own, all;
static char *own_begin, *own_end;
static void count(size_t n, char *caller) {
  if (!counting) return;
  __atomic_fetch_add(&all, 1, __ATOMIC_RELAXED);
  if (n > 16384) __atomic_fetch_add(&large, 1, __ATOMIC_RELAXED);
  if (caller < own_begin || caller >= own_end) return;
  __atomic_fetch_add(&own, 1, __ATOMIC_RELAXED);
}
static void find(void) {
  if (next_malloc) return;
  next_calloc = dlsym(RTLD_NEXT, "calloc");
  next_realloc = dlsym(RTLD_NEXT, "realloc");
  next_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
  next_posix = dlsym(RTLD_NEXT, "posix_memalign");
  next_malloc = dlsym(RTLD_NEXT, "malloc");
}
#define CALLER ((char *)__builtin_return_address(0))
void *malloc(size_t n) { find(); count(n, CALLER); return next_malloc(n); }
void *calloc(size_t k, size_t n) {
  if (!next_calloc) {  /* dlsym itself asks for a little */
    void *p = first + first_used; first_used += (k * n + 15) / 16 * 16; return p;
  }
  count(k * n, CALLER); return next_calloc(k, n);
}
void *realloc(void *p, size_t n) { find(); count(n, CALLER); return next_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { find(); count(n, CALLER); return next_aligned(a, n); }
void *memalign(size_t a, size_t n) { find(); count(n, CALLER); return next_aligned(a, n); }
int posix_memalign(void **p, size_t a, size_t n) {
  find(); count(n, CALLER); return next_posix(p, a, n);
}
void *_Znwm(size_t n) { find(); count(n, CALLER); return next_malloc(n); }
void *_Znam(size_t n) { find(); count(n, CALLER); return next_malloc(n); }
void own_is(char *begin, char *end) { own_begin = begin; own_end = end; }
void begin(void) { counting = 1; }
void end(void) { counting = 0; }
"""

NETWORK = """
import ctypes, os, sys
import numpy as np
import striate as st

st.seed(0)
random = np.random.default_rng(0)
x = random.random((70, 28, 28, 1), dtype=np.float32)
y = random.integers(0, 10, 70)

def network(norm=True):
    layers = [st.Input((28, 28, 1)), st.Conv2D(16, 3, padding="same", activation="relu")]
    layers += [st.BatchNormalization()] if norm else []
    model = st.Sequential([
        *layers, st.MaxPool2D(2), st.Conv2D(32, 3, activation="relu"), st.Dropout(0.2),
        st.GlobalAveragePool2D(), st.Dense(10)])
    model.compile(st.Adam(st.CosineDecay(1e-3, 1000), global_clipnorm=1.0),
                  "sparse_categorical_crossentropy", ["accuracy", st.TopKAccuracy(3)])
    return model

def watch(counter):
    # Where libstriate.so lies.
    with open("/proc/self/maps") as maps:
        rows = [row.split() for row in maps if row.rstrip().endswith("/libstriate.so")]
    ends = [int(end, 16) for row in rows for end in row[0].split("-")]
    counter.own_is(ctypes.c_void_p(min(ends)), ctypes.c_void_p(max(ends)))

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


def _run(script, *arguments, env=(), timeout=120):
    """Run Python code in a process of its own; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", NETWORK + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **dict(env)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# --- a step ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    compiler = shutil.which("gcc") or shutil.which("cc")
    library = folder / "counter.so"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, folder / "counter.c", "-ldl"],
        check=True,
    )
    return library


SECOND_EPOCH = """
    counter = ctypes.CDLL(sys.argv[1])
    watch(counter)

    class Counting:
        '''The model's C++ side; counts while one of its steps runs, from the second epoch on.'''
        def __init__(self, handle):
            self.handle, self.watching, self.steps = handle, False, 0
        def __getattr__(self, name):
            call = getattr(self.handle, name)
            if name not in ("train_batch", "test_batch") or not self.watching:
                return call
            def counted(*batch):
                self.steps += 1
                before = st.memory_stats()["allocations"]
                counter.begin()
                try:
                    return call(*batch)
                finally:
                    counter.end()
                    assert st.memory_stats()["allocations"] == before
            return counted

    model = network()
    watched = model._handle = Counting(model._handle)
    def after(model, history):
        model._handle, handle = watched.handle, model._handle
        model.save(sys.argv[2], checkpoint=True)
        model._handle, watched.watching = handle, True
    model.fit(x, y, batch_size=32, epochs=3, validation_data=(x[:40], y[:40]), verbose=False,
              callbacks=[after])
    names = ("large", "own", "all")
    print(watched.steps, *(ctypes.c_long.in_dll(counter, name).value for name in names))
"""


def test_second_epoch_allocates_nothing_in_a_step(counter, tmp_path):
    out = _run(SECOND_EPOCH, counter, tmp_path / "c.safetensors", env={"LD_PRELOAD": str(counter)})
    steps, large, own, every = map(int, out.split())
    assert steps == 2 * (3 + 2)
    assert large == 0  # above 16 KiB: nobody, also not oneDNN
    assert own == 0  # by our code: nothing of any size
    assert every < 300 * steps  # the maps, and the lists that Python hands in and out


def test_the_counter_counts(counter):
    out = _run(
        """
        counter = ctypes.CDLL(sys.argv[1])
        watch(counter)
        counter.begin()
        model = network()
        planned = model.memory(32, "train")
        counter.end()
        print(ctypes.c_long.in_dll(counter, "own").value)
        ctypes.c_long.in_dll(counter, "large").value = 0
        counter.begin()
        kept = [bytearray(20_000 + i) for i in range(10)]
        counter.end()
        more = [bytearray(20_000 + i) for i in range(10)]
        print(ctypes.c_long.in_dll(counter, "large").value)
        """,
        counter,
        env={"LD_PRELOAD": str(counter)},
    )
    own, large = map(int, out.split())
    assert own > 1000 and 10 <= large < 20


def test_short_epochs_do_not_grow():
    out = _run(
        """
        model = network()
        sizes = []
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            for epoch in range(200):
                model.fit(x, y, batch_size=32, epochs=1, initial_epoch=epoch, verbose=False,
                          validation_data=(x[:40], y[:40]))
                if epoch % 10 == 0:
                    model.save(folder + "/c.safetensors", checkpoint=True)
                sizes.append(resident())
        print(sizes[40], sizes[-1])
        """
    )
    early, late = map(int, out.split())
    assert late - early < 1 << 20


# --- plans ----------------------------------------------------------------------------------------


def test_planned_bytes_are_used_bytes():
    out = _run(
        """
        model = network()
        for purpose in ("train", "test", "predict"):
            memory = model.memory(32, purpose)
            print(memory["planned"], memory["used"])
        planned = max(model.memory(32, purpose)["planned"] for purpose in ("train", "predict"))
        before = st.memory_stats()["bytes"]
        model.train_step()(x[:32], y[:32])
        model.predict(x[:32])
        state = model.memory(32, "train")["state"]
        kept = sum(model.memory(32, purpose)["persistent"] for purpose in ("train", "predict"))
        print(planned, st.memory_stats()["bytes"] - before, state, kept)
        """
    )
    *rows, last = [list(map(int, line.split())) for line in out.splitlines()]
    for planned, used in rows:
        assert planned == used > 0
    planned, had, state, kept = last
    # The arena is what was planned; besides it there are the moments, packed filters and small
    # outputs.
    assert planned + kept <= had <= planned + state + kept + 8192


def test_plan_of_resnet18_takes_less_than_a_second():
    model = st.zoo.resnet18()
    model.compile("sgd", "sparse_categorical_crossentropy")
    shape = [([32, 224, 224, 3], "float32")]
    before = st.memory_stats()["bytes"]
    train = model._handle.plan_seconds("train", shape, [([32], "int64")])
    predict = model._handle.plan_seconds("predict", shape, [])
    assert train < 1 and predict < 1
    memory = model.memory(32, "train")
    assert memory["planned"] == memory["used"] > 32 * 112 * 112 * 64 * 4
    assert st.memory_stats()["bytes"] - before < 100e6  # planned, not had


# --- operations -----------------------------------------------------------------------------------


def test_ten_thousand_shapes_do_not_grow():
    out = _run(
        """
        def pass_through(begin, end):
            for i in range(begin, end):
                st.ops.relu(np.zeros((1 + i % 100, 1 + i // 100), np.float32))
        pass_through(0, 1000)
        early = resident()
        pass_through(1000, 10_000)
        print(early, resident())
        """
    )
    early, late = map(int, out.split())
    assert late - early < 2 << 20


def _shortest(call, rounds=3000):
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - begin)
    return best / 1000


def test_a_cached_operation_costs_microseconds():
    one = st.Tensor(np.ones(1, np.float32))
    array = np.ones((1, 4, 4, 1), np.float32)
    assert _shortest(lambda: st.ops.relu(one)) < 30
    assert _shortest(lambda: one + one) < 30
    assert _shortest(lambda: st.ops.max_pool2d(array, pool_size=2, strides=2)) < 30
    assert _shortest(lambda: st.ops.softmax(array)) < 30


# --- Python ---------------------------------------------------------------------------------------


def test_import_takes_at_most_150_ms_more_than_numpys():
    code = (
        "import time, numpy; t = time.perf_counter(); import striate; "
        "print(time.perf_counter() - t)"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                             check=True, env=os.environ).stdout)
        for _ in range(7)
    ]  # fmt: skip
    assert min(seconds) <= 0.150, seconds


def test_import_brings_nothing_that_is_not_needed():
    out = _run("print(*sorted({name.split('.')[0] for name in sys.modules}))").split()
    assert not {"tqdm", "PIL", "matplotlib", "torch", "safetensors"} & set(out)


def test_other_threads_run_during_a_step():
    out = _run(
        """
        import threading, time
        model = network()
        big = np.zeros((512, 28, 28, 1), np.float32)
        labels = np.zeros(512, np.int64)
        step = model.train_step()
        step(big, labels)
        stop, counts, inside = threading.Event(), [], []
        def count():
            while not stop.is_set():
                counts.append(time.perf_counter())
                time.sleep(0.0005)
        thread = threading.Thread(target=count)
        thread.start()
        for _ in range(10):
            begin = time.perf_counter()
            step(big, labels)
            inside.append((begin, time.perf_counter()))
        stop.set()
        thread.join()
        print(sum(any(b < c < e for c in counts) for b, e in inside))
        """
    )
    assert int(out) >= 8


def test_ctrl_c_stops_within_a_step():
    script = textwrap.dedent(
        """
        import signal
        # A shell starts commands in the background with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        model = network()
        step = model.train_step()
        step(x, y)
        print("begun", flush=True)
        try:
            model.fit(np.zeros((60_000, 28, 28, 1), np.float32), np.zeros(60_000, np.int64),
                      batch_size=64, epochs=1000, verbose=False)
        except KeyboardInterrupt:
            print("stopped", model.step > 1, flush=True)
            model.predict(x)
            raise
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", NETWORK + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "begun\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        begin = time.perf_counter()
        out, err = process.communicate(timeout=30)
        seconds = time.perf_counter() - begin
    finally:
        process.kill()
    assert out == "stopped True\n" and "KeyboardInterrupt" in err
    # Python ends itself by the signal, which a shell shows as 130.
    assert process.returncode in (-signal.SIGINT, 130)
    assert seconds < 5
