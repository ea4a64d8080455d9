"""Recurrent encoder-decoders with attention, as their papers have them.

Bahdanau et al. 2014 (arXiv:1409.0473): the decoder looks at the source before each step. Luong et al. 2015 (arXiv:1508.04025): after it.
Wu et al. 2016 (arXiv:1609.08144), as NVIDIA's GNMT v2 has it: behind the decoder's first layer. Dropout and Luong's input feeding are
left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..specs.seq2seq import Seq2SeqSpec
from .recurrent import CELLS


class Attention(nn.Module):
    """Queries ``[batch, target, d_hidden]`` over a memory ``[batch, seq, d_key]``, to contexts ``[batch, target, d_key]``."""

    def __init__(self, spec: Seq2SeqSpec) -> None:
        super().__init__()
        self.score = spec.score
        if spec.score == "additive":
            self.queries = nn.Linear(spec.d_hidden, spec.d_attention, bias=False)
            self.keys = nn.Linear(spec.d_key, spec.d_attention, bias=False)
            self.energy = nn.Linear(spec.d_attention, 1, bias=False)
        elif spec.score == "general":
            self.queries = nn.Linear(spec.d_hidden, spec.d_key, bias=False)

    def prepare(self, memory: Tensor) -> Tensor:
        """Keys, which are the same for every query."""
        return self.keys(memory) if self.score == "additive" else memory

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """``[batch, target, seq]``."""
        if self.score == "additive":
            pairs = torch.tanh(self.queries(query).unsqueeze(2) + keys.unsqueeze(1))  # [batch, target, seq, d_attention]
            return self.energy(pairs).squeeze(-1)
        if self.score == "general":
            query = self.queries(query)
        return query @ keys.transpose(1, 2)

    def forward(self, query: Tensor, keys: Tensor, memory: Tensor) -> Tensor:
        """The memory's average, weighted by how well each key fits the query."""
        return self.scores(query, keys).softmax(-1) @ memory


class Bahdanau(nn.Module):
    """RNNsearch: ``[batch, seq]`` source ids and ``[batch, target]`` target ids to ``[batch, target, vocab]`` logits."""

    def __init__(self, spec: Seq2SeqSpec) -> None:
        super().__init__()
        self.d_hidden = spec.d_hidden
        self.source_embeddings = nn.Embedding(spec.vocab, spec.d_embed)
        self.encoder = nn.GRU(spec.d_embed, spec.d_hidden, batch_first=True, bidirectional=True)
        self.target_embeddings = nn.Embedding(spec.vocab, spec.d_embed)
        self.bridge = nn.Linear(spec.d_hidden, spec.d_hidden)
        self.attention = Attention(spec)
        self.cell = nn.GRUCell(spec.d_embed + spec.d_key, spec.d_hidden)
        self.output = nn.Linear(spec.d_hidden + spec.d_embed + spec.d_key, 2 * spec.d_maxout)
        self.lm_head = nn.Linear(spec.d_maxout, spec.vocab)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, _ = self.encoder(self.source_embeddings(source))
        keys = self.attention.prepare(memory)
        state = torch.tanh(self.bridge(memory[:, 0, self.d_hidden :]))  # what the backward pass made of the whole source
        seen = []
        words = self.target_embeddings(target)
        for word in words.unbind(1):
            context = self.attention(state.unsqueeze(1), keys, memory).squeeze(1)
            seen.append(torch.cat([state, word, context], dim=-1))
            state = self.cell(torch.cat([word, context], dim=-1), state)
        maxout = self.output(torch.stack(seen, dim=1)).unflatten(-1, (-1, 2)).amax(-1)
        return self.lm_head(maxout)


class Luong(nn.Module):
    """Attention behind a stack of recurrent layers, for all target tokens at once; shapes as :class:`Bahdanau` has them."""

    def __init__(self, spec: Seq2SeqSpec) -> None:
        super().__init__()
        cell = CELLS[spec.cell]
        self.source_embeddings = nn.Embedding(spec.vocab, spec.d_embed)
        self.encoder = cell(spec.d_embed, spec.d_hidden, spec.n_layers, batch_first=True)
        self.target_embeddings = nn.Embedding(spec.vocab, spec.d_embed)
        self.decoder = cell(spec.d_embed, spec.d_hidden, spec.n_layers, batch_first=True)
        self.attention = Attention(spec)
        self.output = nn.Linear(spec.d_key + spec.d_hidden, spec.d_hidden, bias=False)
        self.lm_head = nn.Linear(spec.d_hidden, spec.vocab)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, state = self.encoder(self.source_embeddings(source))
        hidden, _ = self.decoder(self.target_embeddings(target), state)
        context = self.attention(hidden, self.attention.prepare(memory), memory)
        return self.lm_head(torch.tanh(self.output(torch.cat([context, hidden], dim=-1))))


class NormalizedAttention(Attention):
    """Additive attention whose scores get a bias, and whose weighing vector has a learned length."""

    def __init__(self, spec: Seq2SeqSpec) -> None:
        super().__init__(spec)
        self.length = nn.Parameter(torch.tensor(spec.d_attention**-0.5))
        self.bias = nn.Parameter(torch.zeros(spec.d_attention))

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        pairs = torch.tanh(self.queries(query).unsqueeze(2) + keys.unsqueeze(1) + self.bias)
        weigh = self.energy.weight / self.energy.weight.norm() * self.length
        return nn.functional.linear(pairs, weigh).squeeze(-1)


class GNMT(nn.Module):
    """A deep encoder, attention from the decoder's first layer, and its answers in all later ones; shapes as :class:`Bahdanau` has them."""

    def __init__(self, spec: Seq2SeqSpec) -> None:
        super().__init__()
        cell, width = CELLS[spec.cell], spec.d_hidden
        self.embeddings = nn.Embedding(spec.vocab, spec.d_embed)
        deeper = [cell(2 * width if number == 0 else width, width, batch_first=True) for number in range(spec.n_layers - 1)]
        self.encoder = nn.ModuleList([cell(spec.d_embed, width, batch_first=True, bidirectional=True), *deeper])
        self.attention = NormalizedAttention(spec)
        later = [cell(width + spec.d_key, width, batch_first=True) for _ in range(spec.n_layers - 1)]
        self.decoder = nn.ModuleList([cell(spec.d_embed, width, batch_first=True), *later])
        self.lm_head = nn.Linear(width, spec.vocab)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory = self.embeddings(source)
        for number, layer in enumerate(self.encoder):
            out, _ = layer(memory)
            memory = out + memory if number > 1 else out
        x, _ = self.decoder[0](self.embeddings(target))
        context = self.attention(x, self.attention.prepare(memory), memory)
        for number, layer in enumerate(self.decoder):
            if number:
                out, _ = layer(torch.cat([x, context], dim=-1))
                x = out + x if number > 1 else out
        return self.lm_head(x)
