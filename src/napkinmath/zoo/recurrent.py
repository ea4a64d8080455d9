"""Stacks of PyTorch's own recurrent layers, with an embedding and a head where the spec is a language model."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..specs.recurrent import RecurrentSpec

#: PyTorch's layer of each cell.
CELLS: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentNetwork(nn.Module):
    """``[batch, seq]`` ids, or ``[batch, seq, d_in]`` vectors, to ``[batch, seq, vocab]`` logits or ``[batch, seq, d_out]`` hidden states.

    Layers of one width are one module of PyTorch's; layers that differ (AWD-LSTM) are a module each. Dropout is left out: it does
    nothing at inference.
    """

    def __init__(self, spec: RecurrentSpec) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(spec.vocab, spec.d_in) if spec.vocab else nn.Identity()
        cell: Any = CELLS[spec.cell]
        how: dict[str, Any] = {"batch_first": True, "bidirectional": spec.bidirectional}
        if spec.projection:
            how["proj_size"] = spec.projection
        if len(set(spec.widths)) == 1:
            layers = [cell(spec.d_in, spec.widths[0], len(spec.widths), **how)]
        else:
            layers = [cell(d_in, width, **how) for d_in, width in zip(spec.layer_inputs(), spec.widths, strict=True)]
        self.layers = nn.ModuleList(layers)
        self.lm_head = nn.Linear(spec.d_out, spec.vocab) if spec.vocab else nn.Identity()
        if spec.tied_embeddings:
            self.lm_head.weight = self.embeddings.weight

    def forward(self, inputs: Tensor, state: list[Tensor | tuple[Tensor, Tensor]] | None = None) -> tuple[Tensor, list[Tensor]]:
        """What comes out, and the state of each module: ``state`` continues where the tokens before left off."""
        x = self.embeddings(inputs)
        states = []
        for number, layer in enumerate(self.layers):
            x, last = layer(x, state[number] if state else None)
            states.append(last)
        return self.lm_head(x), states
