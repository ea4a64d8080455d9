"""Stacks of PyTorch's own recurrent layers, with an embedding and a head where the spec is a language model."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..specs.recurrent import CharacterCNN, RecurrentSpec

#: PyTorch's layer of each cell.
CELLS: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class CharacterEncoder(nn.Module):
    """Characters ``[batch, seq, length]`` of words to vectors ``[batch, seq, d_out]``, as ELMo reads them."""

    def __init__(self, cnn: CharacterCNN, d_out: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(cnn.n_characters, cnn.d_character)
        sizes = zip(cnn.filters, cnn.kernels, strict=True)
        self.convolutions = nn.ModuleList([nn.Conv1d(cnn.d_character, filters, kernel) for filters, kernel in sizes])
        self.highways = nn.ModuleList([nn.Linear(cnn.d_word, 2 * cnn.d_word) for _ in range(cnn.highways)])
        self.projection = nn.Linear(cnn.d_word, d_out)

    def forward(self, ids: Tensor) -> Tensor:
        letters = self.characters(ids.flatten(0, 1)).transpose(1, 2)  # [words, d_character, length]
        x = torch.cat([conv(letters).amax(dim=-1) for conv in self.convolutions], dim=-1).relu()
        for highway in self.highways:
            transformed, gate = highway(x).chunk(2, dim=-1)
            gate = gate.sigmoid()
            x = gate * x + (1 - gate) * transformed.relu()
        words: Tensor = self.projection(x)
        return words.unflatten(0, ids.shape[:2])


class SeparateDirections(nn.Module):
    """``[batch, seq, d_in]`` to ``[batch, seq, 2 * d]``: a stack of layers that reads forwards, beside one that reads backwards."""

    def __init__(self, spec: RecurrentSpec) -> None:
        super().__init__()
        cell: Any = CELLS[spec.cell]
        sizes = list(zip(spec.layer_inputs(), spec.widths, strict=True))
        how = {"batch_first": True, **({"proj_size": spec.projection} if spec.projection else {})}
        self.stacks = nn.ModuleList([nn.ModuleList([cell(d_in, width, **how) for d_in, width in sizes]) for _ in range(2)])

    def forward(self, inputs: Tensor, state: None = None) -> tuple[Tensor, None]:
        outputs = []
        for direction, stack in enumerate(self.stacks):
            x = inputs.flip(1) if direction else inputs
            for number, layer in enumerate(cast(nn.ModuleList, stack)):
                out, _ = layer(x)
                x = out + x if number else out
            outputs.append(x.flip(1) if direction else x)
        return torch.cat(outputs, dim=-1), None


class RecurrentNetwork(nn.Module):
    """``[batch, seq]`` ids, ``[batch, seq, length]`` characters, or ``[batch, seq, d_in]`` vectors, to ``[batch, seq, vocab]`` logits or
    ``[batch, seq, d_out]`` hidden states.

    Layers of one width are one module of PyTorch's; layers that differ (AWD-LSTM) are a module each. Dropout is left out: it does
    nothing at inference.
    """

    def __init__(self, spec: RecurrentSpec) -> None:
        super().__init__()
        self.embeddings: nn.Module = nn.Embedding(spec.vocab, spec.d_in) if spec.vocab else nn.Identity()
        if spec.characters:
            self.embeddings = CharacterEncoder(spec.characters, spec.d_in)
        cell: Any = CELLS[spec.cell]
        how: dict[str, Any] = {"batch_first": True, "bidirectional": spec.bidirectional}
        if spec.projection:
            how["proj_size"] = spec.projection
        if spec.separate_directions:
            layers = [SeparateDirections(spec)]
        elif len(set(spec.widths)) == 1:
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
