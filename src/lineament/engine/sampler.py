"""Which pictures make the batch of a step: pure functions of the seed and the step.

A resumed run, and a run on another number of ranks with the same global batch, see the same pictures in the same
order without any state to save.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import ConfigError

Indices = NDArray[np.int64]


def share(batch: int, rank: int, ranks: int) -> range:
    """Places of one rank's pictures in a global batch.

    Args:
        batch: pictures in the global batch.
        rank: number of the rank, 0-based.
        ranks: their number.

    Raises:
        ConfigError: the batch is no multiple of the ranks.
    """
    if batch % ranks:
        raise ConfigError(
            f"data.batch: expected a multiple of the {ranks} ranks, got {batch}; choose another batch or number of "
            "ranks"
        )
    each = batch // ranks
    return range(rank * each, (rank + 1) * each)


class Sampler(Protocol):
    """The global batch of each step.

    Attributes:
        batch: pictures in a global batch.
    """

    @property
    def batch(self) -> int: ...  # noqa: D102

    def indices(self, step: int) -> Indices:
        """(B,) indices of the pictures of a step, 0-based."""
        ...


class ShuffledSampler:
    """Every picture once an epoch, in an order drawn for each epoch; batches run on across epochs."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        """Plan the batches.

        Args:
            count: pictures in the set.
            batch: pictures in a global batch; more than ``count`` are drawn from several epochs.
            seed: of the orders.
        """
        if count < 1 or batch < 1:
            raise ValueError(f"a sampler needs pictures and a batch, got {count} and {batch}")
        self.batch = batch
        self._count, self._seed = count, seed
        self._latest: tuple[int, Indices] = (-1, np.empty(0, np.int64))

    def indices(self, step: int) -> Indices:
        """(B,) indices of the pictures of a step."""
        positions = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs, places = np.divmod(positions, self._count)
        chosen = np.empty(self.batch, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            chosen[here] = self._order_of(int(epoch))[places[here]]
        return chosen

    def _order_of(self, epoch: int) -> Indices:
        known, order = self._latest  # one tuple, so that threads never see the order of another epoch
        if known != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(self._count)
            self._latest = (epoch, order)
        return order


class BalancedSampler:
    """P subjects with K pictures each in every batch: triplets and pairs need positives (FaceNet).

    Subjects come in an order drawn for each round over all of them; the K pictures of a subject are drawn without
    repetition, or with, when it has fewer. Subjects of one picture are left out. A batch across the end of a round
    may hold a subject twice.
    """

    def __init__(self, labels: NDArray[np.int64], subjects: int, pictures: int, seed: int) -> None:
        """Plan the batches.

        Args:
            labels: (N,) subject of each picture.
            subjects: P, subjects in a global batch.
            pictures: K, pictures of each, 2 or more.
            seed: of the draws.

        Raises:
            ValueError: fewer than P subjects have two pictures.
        """
        if pictures < 2 or subjects < 2:
            raise ValueError(
                f"needs two subjects and two pictures of each or more, got {subjects}, {pictures}"
            )
        order = np.argsort(labels, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self._groups = [g.astype(np.int64) for g in groups if len(g) > 1]
        if len(self._groups) < subjects:
            raise ValueError(
                f"expected {subjects} subjects with two pictures or more, the set has {len(self._groups)}; lower "
                "the number of subjects in a batch"
            )
        self.batch = subjects * pictures
        self._pictures, self._seed = pictures, seed
        self._rounds = ShuffledSampler(len(self._groups), subjects, seed)

    def indices(self, step: int) -> Indices:
        """(P * K,) indices of the pictures of a step, the pictures of a subject side by side."""
        rng = np.random.default_rng([self._seed, 1, step])
        groups = (self._groups[k] for k in self._rounds.indices(step))
        drawn = [rng.choice(g, self._pictures, replace=len(g) < self._pictures) for g in groups]
        return np.concatenate(drawn)
