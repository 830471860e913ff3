"""What counts as divergence."""

import json
import math
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from lineament.engine.watch import LossWatch, stop_requests


def test_a_loss_that_falls_with_noise_is_fine() -> None:
    rng = np.random.default_rng(0)
    watch = LossWatch(10.0)
    for step in range(2000):
        loss = 12 * math.exp(-step / 200) * rng.lognormal(0, 0.5) + 1e-4
        assert watch.fault(loss, 1.0, may_skip=False) is None


def test_a_tiny_loss_may_jump_but_not_above_the_first_ones() -> None:
    watch = LossWatch(10.0, [8.0] * 10 + [0.01] * 50)
    assert watch.fault(3.0, 1.0, may_skip=False) is None
    fault = watch.fault(9.0, 1.0, may_skip=False)
    assert fault is not None
    assert "running median 0.01" in fault


def test_it_goes_on_as_if_never_interrupted() -> None:
    rng = np.random.default_rng(1)
    whole = LossWatch(3.0)
    for loss in rng.uniform(1, 2, 150):
        whole.fault(float(loss), 1.0, may_skip=False)
    again = LossWatch(3.0, json.loads(json.dumps(whole.losses)), whole.skipped)
    assert again.losses == whole.losses
    assert len(whole.losses) == 110
    for loss in (1.0, 5.0, 1.9):
        assert again.fault(loss, 1.0, may_skip=False) == whole.fault(loss, 1.0, may_skip=False)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_only_a_scaled_gradient_may_overflow_and_not_for_ever(value: float) -> None:
    assert LossWatch(10.0).fault(1.0, value, may_skip=False) == f"the gradient norm is {value}"
    watch = LossWatch(10.0)
    for _ in range(20):
        assert watch.fault(1.0, value, may_skip=True) is None
    assert watch.fault(1.0, value, may_skip=True) is not None
    assert watch.fault(1.0, 1.0, may_skip=True) is None
    assert watch.skipped == 0
    assert watch.fault(value, 1.0, may_skip=True) == f"the loss is {value}"


@pytest.fixture
def _python_interrupts() -> Iterator[None]:
    """Ctrl-C as Python handles it: started behind a pipe, a process may ignore it or be ended by it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_python_interrupts")
def test_a_second_request_acts_as_usual() -> None:
    with stop_requests() as wanted:
        assert not wanted.is_set()
        signal.raise_signal(signal.SIGINT)
        assert wanted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_other_threads_catch_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stop_requests() as wanted:
            seen.append((signal.getsignal(signal.SIGTERM), wanted.is_set()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
