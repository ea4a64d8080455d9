"""What the rounds' answers are held against: queues that are simulated event by event, with no formula of the book in them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from napkinmath.hardware import Device
from workbook import ROOT
from workbook.rounds.scenario import Scenario, load

ServiceTimes = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Queue:
    """Poisson arrivals on one queue before several servers, first come first served."""

    arrival_per_s: float
    service: ServiceTimes
    requests: int = 40_000

    def response_s(self, servers: int, seed: int = 0) -> np.ndarray:
        """Wait and service of each request, in order of arrival, after the first tenth."""
        rng = np.random.default_rng(seed)
        arrivals = np.cumsum(rng.exponential(1 / self.arrival_per_s, self.requests))
        services = self.service(rng, self.requests)
        free = [0.0] * servers  # when each server is free
        response = np.empty(self.requests)
        for n, (now, takes) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
            start = max(now, free[0])
            heapq.heapreplace(free, start + takes)
            response[n] = start + takes - now
        return response[self.requests // 10 :]

    def servers(self, limit_s: float, quantile: float = 0.99, at_most: int = 4000) -> int:
        """The fewest servers that keep the percentile within the limit, by trying them."""
        return next(count for count in self._from(at_most) if np.quantile(self.response_s(count), quantile) <= limit_s)

    def _from(self, at_most: int) -> Iterator[int]:
        mean = float(self.service(np.random.default_rng(1), 1000).mean())
        yield from range(max(1, int(self.arrival_per_s * mean)), at_most)


@dataclass(frozen=True)
class Decoder:
    """What is counted on a decoder's own modules."""

    stored: int
    table: int  # tokens' vectors, and as many parameters in the head
    active: float  # parameters that a token is multiplied with
    cache: float  # bytes of a token's keys and values, in 16 bits
    score: int  # FLOPs of a token with one that it looks at
    layers: int
    width: int

    @classmethod
    def of(cls, config: Callable[..., Any], layers: int, **sizes: int) -> Decoder:
        """Modules of one and of two layers are built, without memory, and the rest is as many times their difference."""
        import torch
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            one, two = (AutoModelForCausalLM.from_config(config(**sizes, num_hidden_layers=n, tie_word_embeddings=False)) for n in (1, 2))
        count = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
        stored = count[0] + (layers - 1) * (count[1] - count[0])
        table = one.get_input_embeddings().weight.numel()
        attention = one.model.layers[0].self_attn
        experts = sum(p.numel() for name, p in one.named_parameters() if "experts" in name)
        unused = 1 - one.config.num_experts_per_tok / one.config.num_local_experts if experts else 0.0
        keys = attention.k_proj.weight.shape[0] + attention.v_proj.weight.shape[0]
        score = 2 * 2 * attention.q_proj.weight.shape[0] * layers
        return cls(stored, table, stored - table - layers * experts * unused, 2.0 * keys * layers, score, layers, sizes["hidden_size"])

    @property
    def read(self) -> int:
        """Parameters that a step over many sequences reads."""
        return self.stored - self.table

    def prompt_flops(self, tokens: float) -> float:
        """Each token looks at those before it and at itself; only the last one goes through the head."""
        return 2 * (self.active - self.table) * tokens + 2 * self.table + self.score * tokens * (tokens + 1) / 2

    def token_flops(self, context: float) -> float:
        return 2 * self.active + self.score * context

    def exchange_s(self, tokens: float, device: Device, cards: int) -> float:
        """Two all-reduces a layer of 16-bit values, in a ring, each way at half of what the device exchanges."""
        sent = 2 * (cards - 1) / cards * 2 * self.layers * 2 * tokens * self.width
        return sent / (device.interconnect_bytes_per_s / 2) if cards > 1 else 0.0


@dataclass(frozen=True)
class Replica:
    """A server of replies, simulated pass by pass: what comes before the first token, and the passes of a step over all running replies."""

    before_s: float
    parts: tuple[tuple[float, float, float], ...]  # of each pass of a step: weights, a sequence's cache, a sequence's arithmetic
    still_s: float
    slots: int
    reply: float
    ahead: int = 0
    accepted: float = 0.0

    def simulate(self, per_s: float, requests: int, seed: int = 0) -> tuple[float, float]:
        """p99 of the first token and the mean time of a token. Prompts go first, one at a time, between steps; replies are exponential."""
        rng = np.random.default_rng(seed)
        arrives = np.cumsum(rng.exponential(1 / per_s, requests)).tolist()
        lengths = np.maximum(1, np.round(rng.exponential(self.reply, requests)))
        # Steps that a reply takes: each gives one token, and as many more of those ahead as are accepted in a row.
        kept = 1 + np.minimum(rng.geometric(1 - self.accepted, 20_000) - 1, self.ahead)
        steps = np.maximum(1, np.round(lengths / kept.mean())).astype(int).tolist()
        now, done, come, last = 0.0, 0, 0, requests // 5
        running: list[tuple[int, int]] = []  # the step after which a reply ends
        first, waits, stay, tokens = [0.0] * requests, [], 0.0, 0.0
        while come < requests:
            if arrives[come] <= now and len(running) < self.slots:
                now += self.before_s
                first[come] = now
                waits.append(now - arrives[come])
                heapq.heappush(running, (done + steps[come], come))
                come += 1
            elif running:
                batch = len(running)
                now += self.still_s + sum(max(fixed + batch * read, batch * compute) for fixed, read, compute in self.parts)
                done += 1
                while running and running[0][0] <= done:
                    _, n = heapq.heappop(running)
                    if n > last:
                        stay, tokens = stay + now - first[n], tokens + lengths[n]
            else:
                now = arrives[come]
        return float(np.quantile(waits[last:], 0.99)), stay / max(tokens, 1.0)


@pytest.fixture
def queue() -> type[Queue]:
    return Queue


@pytest.fixture(scope="module")
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """The round that a test file is named after."""
    return load(ROOT / "questions" / "rounds" / f"{request.path.stem.removeprefix('test_').replace('_', '-')}.yml")
