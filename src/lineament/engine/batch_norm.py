"""Batch normalisation over the batches of all ranks, on any backend."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


def _moments(images: Tensor, axes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and count () over the batches of all ranks.

    Means and squares around them are combined as in Chan, Golub and LeVeque (1979): the difference of two
    large sums would lose the variance of channels whose mean is large.
    """
    channels = images.shape[1]
    variance, mean = torch.var_mean(images, axes, correction=0)
    count = images.new_tensor([images.numel() / channels])
    told = torch.cat([mean, variance, count])
    gathered = [torch.empty_like(told) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, told)
    means, variances, counts = torch.stack(gathered).split_with_sizes([channels, channels, 1], dim=1)
    weights = counts / counts.sum()
    mean = (weights * means).sum(0)
    variance = (weights * (variances + (means - mean).square())).sum(0)
    return mean, variance, counts.sum()


class _Normalise(torch.autograd.Function):
    """Forward and backward of Ioffe and Szegedy, Batch normalization (2015), with sums over all ranks."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor | None, moments: tuple[Tensor, ...], eps: float
    ) -> Tensor:
        mean, variance, count = moments
        ctx.save_for_backward(images, weight, mean, torch.rsqrt(variance + eps), count)
        return functional.batch_norm(images, mean, variance, weight, None, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        images, weight, mean, inverse, count = ctx.saved_tensors
        axes = [axis for axis in range(images.ndim) if axis != 1]
        shape = [1, -1] + [1] * (images.ndim - 2)
        centred = images - mean.view(shape)
        own = torch.stack([gradient.sum(axes), (gradient * centred).sum(axes)])
        # Every rank's loss depends on the statistics, so on every rank's images.
        everyone = own.clone()
        dist.all_reduce(everyone)
        total, moment = everyone / count
        scale = inverse if weight is None else inverse * weight
        slope = (moment * inverse.square()).view(shape)
        change = (gradient - total.view(shape) - centred * slope) * scale.view(shape)
        return change, None if weight is None else own[1] * inverse, None, None


class _SynchronisedBatchNorm(_BatchNorm):
    """What batch normalisations become; the same parameters, buffers and state."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        if input.ndim < 2:
            raise ValueError(f"batch normalisation needs (N, C, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if not (self.training or self.running_mean is None) or not dist.is_initialized():
            return super().forward(input)
        self._check_input_dim(input)
        images = input.float()
        with torch.no_grad(), torch.autocast(input.device.type, enabled=False):
            moments = _moments(images, [axis for axis in range(input.ndim) if axis != 1])
            self._remember(*moments)
        with torch.autocast(input.device.type, enabled=False):
            out: Tensor = _Normalise.apply(images, self.weight, moments, self.eps)  # type: ignore[no-untyped-call]
            if self.bias is not None:
                out = out + self.bias.view([1, -1] + [1] * (input.ndim - 2))
        return out.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101
        self.num_batches_tracked += 1
        share = 1.0 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)  # the running one is unbiased


def synchronise_batch_norm(module: nn.Module) -> None:
    """Let every batch normalisation in a module use the batches of all ranks when it trains.

    torch's own ``SyncBatchNorm`` runs on a GPU only; this runs wherever all-gather does. In float32 also under
    autocast. Ranks may have batches of different sizes. Parameters, buffers, hooks and names stay.

    Args:
        module: changed in place.
    """
    for layer in module.modules():
        if isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm):
            # Another class for the same object: whoever refers to the layer or hooked into it need not know.
            layer.__class__ = _SynchronisedBatchNorm
