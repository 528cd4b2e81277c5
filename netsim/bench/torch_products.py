"""The three products with weights in PyTorch, with their feedback through R in place of the transposed W.

The increment of W (and of R) comes out as the gradient of W. Only the measuring processes import this module: it
imports torch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

#: A convolution's gradients need no filters turned by hand: one call gives both products.
_convolution_backward = torch.ops.aten.convolution_backward


class ConvProduct(torch.autograd.Function):
    """Convolution whose feedback runs through R. The increment of W comes out as W's gradient; R shares it."""

    @staticmethod
    def forward(ctx, x, W, R, padding):
        ctx.save_for_backward(x, W, R)
        ctx.padding = padding
        return F.conv2d(x, W, padding=padding)

    @staticmethod
    def backward(ctx, signal):
        x, _, R = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[0], True, False]
        # The signal to the units below does not depend on W; so R may stand where W is asked for.
        below, increment, _ = _convolution_backward(
            signal, x, R, None, [1, 1], list(ctx.padding), [1, 1], False, [0, 0], 1, wanted
        )
        return below, increment, None, None


class Product(torch.autograd.Function):
    """x Wᵗ, with the feedback through R."""

    @staticmethod
    def forward(ctx, x, W, R):
        ctx.save_for_backward(x, R)
        return x @ W.t()

    @staticmethod
    def backward(ctx, signal):
        x, R = ctx.saved_tensors
        return (signal @ R if ctx.needs_input_grad[0] else None), signal.t() @ x, None


class LocalProducts(torch.autograd.Function):
    """A product per location: columns (P, B, K) by W (P, K, C_out), with the feedback through R."""

    @staticmethod
    def forward(ctx, columns, W, R):
        ctx.save_for_backward(columns, R)
        return torch.bmm(columns, W)

    @staticmethod
    def backward(ctx, signal):
        columns, R = ctx.saved_tensors
        below = torch.bmm(signal, R.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return below, torch.bmm(columns.transpose(1, 2), signal), None
