"""One training loop and what it stands on: optimisers, schedules, checkpoints, ranks, logs."""

from lineament.engine.batch_norm import synchronise_batch_norm
from lineament.engine.checkpoint import load_weights
from lineament.engine.config import LoopConfig
from lineament.engine.distributed import Ranks, process_group, read_ranks
from lineament.engine.loop import RunResult, fit
from lineament.engine.optim import ModuleRule, OptimConfig
from lineament.engine.prefetch import Prefetcher
from lineament.engine.run import TrainedRun, fit_and_export
from lineament.engine.sampler import BalancedSampler, Sampler, ShuffledSampler, share
from lineament.engine.schedule import ScheduleConfig, learning_rate_factor
from lineament.engine.sharding import Sharded
from lineament.engine.task import StepLoss, Task, WithBatchSize, WithFacts, WithPictures

__all__ = [
    "BalancedSampler",
    "LoopConfig",
    "ModuleRule",
    "OptimConfig",
    "Prefetcher",
    "Ranks",
    "RunResult",
    "Sampler",
    "ScheduleConfig",
    "Sharded",
    "ShuffledSampler",
    "StepLoss",
    "Task",
    "TrainedRun",
    "WithBatchSize",
    "WithFacts",
    "WithPictures",
    "fit",
    "fit_and_export",
    "learning_rate_factor",
    "load_weights",
    "process_group",
    "read_ranks",
    "share",
    "synchronise_batch_norm",
]
