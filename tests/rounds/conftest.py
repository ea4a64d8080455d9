"""What the rounds' answers are held against: queues that are simulated event by event, with no formula of the book in them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

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


@pytest.fixture
def queue() -> type[Queue]:
    return Queue


@pytest.fixture(scope="module")
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """The round that a test file is named after."""
    return load(ROOT / "questions" / "rounds" / f"{request.path.stem.removeprefix('test_').replace('_', '-')}.yml")
