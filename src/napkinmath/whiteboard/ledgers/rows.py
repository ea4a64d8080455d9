"""What every family lays its ledger out with."""

from __future__ import annotations

import math
from dataclasses import replace

from ...dtypes import bytes_per_value
from ...elementwise import FLOPS_PER_ELEMENT
from ...ledger import SUMMED, Ledger, Op
from .. import conv, linear, windows
from .. import transformer as forms

NOTES = (
    "FLOPs are matmuls, convolutions and attention, every (query, key) pair counted; norms, activations and biases are in other_flops.",
    "Bytes count every operand once per operation and ignore caches.",
)


class Rows:
    """Collects rows of one dtype; each method appends one :class:`Op` for one execution."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.width = bytes_per_value(dtype)
        self.ops: list[Op] = []

    def add(self, name: str, kind: str, *, read: float = 0, written: float = 0, **fields: object) -> None:
        """Append a row; ``read`` and ``written`` are in values, not bytes."""
        row = Op(name, kind, bytes_read=int(read * self.width), bytes_written=int(written * self.width), dtype=self.dtype, **fields)  # type: ignore[arg-type]
        self.ops.append(row)

    def matmul(self, name: str, tokens: int, d_in: int, d_out: int, bias: bool, *, tied: bool = False, overhead: bool = False) -> None:
        weight = d_in * d_out
        self.add(
            name,
            "matmul",
            flops=linear.linear_flops(tokens, d_in, d_out),
            other_flops=bias * tokens * d_out,
            read=tokens * d_in + weight + bias * d_out,
            written=tokens * d_out,
            params=0 if tied else linear.linear_params(d_in, d_out, bias),
            shape=((1, tokens, d_in), (1, d_in, d_out)),
            overhead=overhead,
        )

    def matmul_of_each(self, name: str, copies: int, tokens: int, d_in: int, d_out: int) -> None:
        """``[copies, tokens, d_in] @ [copies, d_in, d_out]``: each head has weights of its own."""
        weights = copies * d_in * d_out
        self.add(
            name, "matmul", flops=copies * linear.linear_flops(tokens, d_in, d_out), read=copies * tokens * d_in + weights,
            written=copies * tokens * d_out, params=weights, shape=((copies, tokens, d_in), (copies, d_in, d_out)),
        )  # fmt: skip

    def pointwise(self, name: str, kind: str, function: str, values: int, *, inputs: int = 1, params: int = 0) -> None:
        self.add(
            name,
            kind,
            other_flops=FLOPS_PER_ELEMENT[function] * values,
            read=inputs * values + params,
            written=values,
            params=params,
            op=function,
            shape=((values,),) * inputs,
        )

    def gather(self, name: str, rows: int, table_rows: int, width: int) -> None:
        self.add(name, "gather", read=rows * width, written=rows * width, params=table_rows * width, shape=((table_rows, width), (rows,)))

    def conv2d(
        self, name: str, batch: int, height: int, width: int, d_in: int, d_out: int, kernel: int, *,
        stride: int = 1, padding: int | None = None, dilation: int = 1, groups: int = 1, bias: bool = False,
    ) -> tuple[int, int]:  # fmt: skip
        """A square convolution over ``[batch, d_in, height, width]``; returns the output's height and width.

        ``padding`` keeps the size at stride 1 when not given.
        """
        pad = dilation * (kernel // 2) if padding is None else padding
        out_height, out_width = self.conv(
            name, batch, (height, width), d_in, d_out, (kernel, kernel),
            stride=(stride, stride), padding=(pad, pad), dilation=dilation, groups=groups, bias=bias,
        )  # fmt: skip
        return out_height, out_width

    def conv(
        self, name: str, batch: int, extent: tuple[int, ...], d_in: int, d_out: int, kernel: tuple[int, ...], *,
        stride: tuple[int, ...], padding: tuple[int, ...], dilation: int = 1, groups: int = 1, bias: bool = False,
    ) -> tuple[int, ...]:  # fmt: skip
        """A convolution over ``[batch, d_in, *extent]`` of one, two or three dimensions; returns the output's extent."""
        out = tuple(conv.conv_output_size(side, k, s, p, dilation) for side, k, s, p in zip(extent, kernel, stride, padding, strict=True))
        weights = d_out * (d_in // groups) * math.prod(kernel)
        results = batch * d_out * math.prod(out)
        params = weights + bias * d_out
        self.add(
            name,
            "conv",
            flops=2 * batch * math.prod(out) * weights,
            other_flops=bias * results,
            read=batch * d_in * math.prod(extent) + params,
            written=results,
            params=params,
            shape=((batch, d_in, *extent), (d_out, d_in // groups, *kernel)),
            layout=(("stride", stride), ("padding", padding), ("dilation", (dilation,) * len(kernel)), ("groups", groups)),
        )
        return out

    def attention(
        self, name: str, batch: int, n_heads: int, seq: int, context: int, d_head: int, *,
        n_kv_heads: int | None = None, d_value: int | None = None, causal: bool = False, window: int = 0, how: str = "fused",
        values_in_keys: bool = False,
    ) -> None:  # fmt: skip
        """Scores, softmax and weighted values: one row when ``fused``, three when ``eager`` sends every intermediate through memory.

        With ``values_in_keys``, the values are the first ``d_value`` of each key, which a fused kernel reads once.
        All ``seq * context`` pairs are computed; a causal mask, with a ``window`` or without, says which of them are useful.
        """
        kv_heads, d_value = n_kv_heads or n_heads, d_value or d_head
        pairs = visible = seq * context
        if causal:
            visible = windows.window_visible_pairs(seq, context, window) if window else forms.visible_pairs(seq, context)
        scores = batch * n_heads * pairs
        query, keys = batch * n_heads * seq * d_head, batch * kv_heads * context * d_head
        values, out = batch * kv_heads * context * d_value, batch * n_heads * seq * d_value
        softmax = (FLOPS_PER_ELEMENT["softmax"] + FLOPS_PER_ELEMENT["mul"]) * scores
        q_shape, k_shape = (batch, n_heads, seq, d_head), (batch, kv_heads, context, d_head)
        v_shape, score_shape = (batch, kv_heads, context, d_value), (batch, n_heads, seq, context)

        def work(width: int) -> dict[str, int]:
            return {"flops": 2 * batch * n_heads * pairs * width, "useful_causal_flops": 2 * batch * n_heads * visible * width}

        if how == "fused":
            self.add(
                f"{name}/scores", "attention", **work(d_head + d_value), other_flops=softmax,
                read=query + keys + (0 if values_in_keys else values), written=out,
                shape=(q_shape, k_shape, v_shape), layout=(("causal", causal),),
            )  # fmt: skip
            return
        self.add(f"{name}/scores", "attention", **work(d_head), read=query + keys, written=scores, shape=(q_shape, k_shape))
        self.add(f"{name}/softmax", "softmax", other_flops=softmax, read=scores, written=scores, shape=(score_shape,))
        self.add(f"{name}/weighted_values", "attention", **work(d_value), read=scores + values, written=out, shape=(score_shape, v_shape))

    def repeat(self, count: int, since: int) -> None:
        """Turn the rows added after index ``since`` into rows executed ``count`` times."""
        self.ops[since:] = [times(op, count) for op in self.ops[since:]]

    def again(self, count: int, since: int) -> None:
        """Turn the rows added after index ``since`` into rows executed ``count`` times, one after the other, with the same weights."""
        self.ops[since:] = [replace(times(op, count), params=op.params) for op in self.ops[since:]]

    def ledger(self, name: str) -> Ledger:
        """The rows so far as a whiteboard ledger."""
        ledger = Ledger(name, "whiteboard", tuple(self.ops), notes=NOTES)
        return replace(ledger, weight_bytes=int(ledger.params * self.width))


def times(op: Op, count: int) -> Op:
    """The row of ``count`` executions, each with weights of its own."""
    return replace(op, count=op.count * count, **{column: getattr(op, column) * count for column in SUMMED})
