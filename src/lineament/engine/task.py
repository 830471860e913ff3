"""What the loop asks of the thing that is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class StepLoss:
    """Loss of one batch on one rank.

    Attributes:
        total: () tensor to differentiate: mean over the batch of this rank.
        parts: detached () tensors by name, for the log.
        histograms: detached (N,) tensors by name, for the log.
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    histograms: Mapping[str, Tensor] = field(default_factory=dict)


class Task(Protocol):
    """Modules, batches, a loss and a measure. Embedders, restorers and detectors are trained through it.

    Attributes:
        modules: what is trained and saved, by name ("backbone", "head"). A module with a truthy attribute
            ``sharded`` holds other weights on every rank: its gradients are never averaged.
    """

    modules: nn.ModuleDict

    def batch(self, step: int) -> Any:
        """The batch of this rank for a step, in plain memory (numpy or CPU tensors).

        When k batches are accumulated, step s uses the batches k * s ... k * s + k - 1.

        A pure function of the step (and the seed and rank that the task was made with), safe to call from a
        worker thread: a resumed run sees what an uninterrupted one would have seen.
        """
        ...

    def loss(self, batch: Any) -> StepLoss:
        """Forward pass on a batch that :meth:`batch` made; the loop has set autocast and the modules' device."""
        ...

    def measure(self) -> Mapping[str, float]:
        """How good the modules are now, in evaluation mode; on rank zero only. Empty when nothing is measured."""
        ...


@runtime_checkable
class WithFacts(Protocol):
    """A task that can say what its data are."""

    def facts(self) -> Mapping[str, str | int | float]:
        """Digests and counts of the data, for the run card. A run goes on only with the same facts, so that
        nothing belongs here that differs between ranks or between the parts of a run.
        """
        ...


@runtime_checkable
class WithPictures(Protocol):
    """A task whose batches can be looked at."""

    def pictures(self, batch: Any) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8 RGB pictures of a batch, as they are trained on."""
        ...


@runtime_checkable
class WithBatchSize(Protocol):
    """A task that tells how many pictures a batch holds, so that the log can tell pictures per second.

    Attributes:
        batch_size: pictures in a batch of this rank.
    """

    batch_size: int
