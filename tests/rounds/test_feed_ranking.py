"""Feed ranking: rows that are built and counted, shards that answer late at random, queues simulated, the choice by trying everything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

import napkinmath as nm
from workbook.rounds.scenario import Draw, Offer, Scenario

FP32 = np.dtype([("values", "f4", 39)])
INT8 = np.dtype([("values", "i1", 39), ("scale", "f2"), ("offset", "f2")])
HASHED = np.dtype([("values", "u2", 39)])  # bf16 has two bytes
SENT_PER_S = 0.6 * 25e9 / 8


@pytest.fixture
def equal(queue: type) -> type:
    """A queue of requests that all take ``work_s``: they go to the servers in turn, so that a whole turn is computed at once."""

    @dataclass(frozen=True)
    class Equal(queue):  # type: ignore[misc]
        work_s: float = 0.0

        def response_s(self, servers: int, seed: int = 0) -> np.ndarray:
            turns = self.requests // servers
            arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / self.arrival_per_s, turns * servers)).reshape(turns, servers)
            free = np.zeros(servers)
            response = np.empty_like(arrivals)
            for now, answered in zip(arrivals, response, strict=True):
                free = np.maximum(free, now) + self.work_s
                answered[:] = free - now
            return response.ravel()[self.requests // 10 :]

    return Equal


def shards(table_bytes: float) -> int:
    """Servers of 512 GB filled to 80% with two versions, one after the other."""
    count, placed = 0, 0.0
    while placed < 2 * table_bytes:
        count, placed = count + 1, placed + 0.8 * 512e9
    return count


@cache
def sent(posts: int, row: np.dtype) -> int:
    """Bytes of the distinct rows that a request looks up: 13 features of the user, 13 of each post, ids that are never shared."""
    looked_up = {("user", feature) for _ in range(posts) for feature in range(13)}
    looked_up |= {(str(post), feature) for post in range(posts) for feature in range(13)}
    return np.empty(len(looked_up), row).nbytes


@cache
def hop_s(slow: float, count: int, requests: int = 200_000) -> np.ndarray:
    """When the last of a request's shards has answered."""
    rng = np.random.default_rng(count)
    late = np.zeros(requests, bool)
    for _ in range(count):
        late |= rng.random(requests) < slow
    return np.where(late, 0.043, 0.003) if count else np.zeros(requests)


def simulated(draw: Draw, offer: Offer, equal: type) -> tuple[int, int, int]:
    """Shards, servers for them and rankers: by placing bytes, counting rows and trying fleets. No ranker will do: 0."""
    given, ids = draw.given, draw.given["tables"] / FP32.itemsize
    if offer.candidate == "towers":
        return 0, 0, 0  # retrieval has made the order already
    row = INT8 if offer.candidate.startswith("int8") else FP32
    on_gpus = offer.candidate.endswith("-gpus")
    posts = 100 if offer.candidate == "int8-100" else round(given["slate"])
    device = nm.device(offer.device)
    if offer.candidate == "hashed":
        assert 2 * (ids / 10) * HASHED.itemsize < 0.8 * device.memory_bytes  # a copy on every ranker
        count = servers = links = 0
    elif on_gpus:
        count = int(np.ceil(2 * ids * row.itemsize / (0.8 * device.memory_bytes)))
        servers, links = 0, 2 * count
    else:
        count = shards(ids * row.itemsize)
        links = int(np.ceil(given["requests"] * sent(posts, row) / SENT_PER_S))
        copies = 2
        while copies * count < links:
            copies += 1
        servers = copies * count
    work = offer.figures["work_s"]
    hops = hop_s(given["slow"], count)
    if np.quantile(0.028 + hops + work, 0.99) > given["limit"]:
        return count, servers, 0  # late without any wait
    line = equal(given["requests"], lambda rng, n: np.full(n, work), min(hops.size, round(12 * given["requests"])), work_s=work)
    least = max(1, int(given["requests"] * work))
    for fleet in range(least, least + 4):
        response = line.response_s(fleet)
        if np.quantile(0.028 + hops[: response.size] + response, 0.99) <= given["limit"]:
            group = count if on_gpus else 1
            return count, servers, group * int(np.ceil(max(fleet, links) / group))
    return count, servers, 0


def price(device: str) -> float:
    return 2000 if nm.device(device).kind == "cpu" else 730 * nm.device(device).price_usd_per_hour


def test_the_choice_changes(scenario: Scenario) -> None:
    assert len({draw.best.candidate for draw in scenario.draws}) >= 5


def test_turns_are_the_same_as_a_queue(queue: type, equal: type) -> None:
    """Equal requests on one queue, server by server and turn by turn."""
    slow = queue(1000, lambda rng, n: np.full(n, 0.0095), 5000)
    quick = equal(1000, lambda rng, n: np.full(n, 0.0095), 5000, work_s=0.0095)
    assert quick.response_s(10) == pytest.approx(slow.response_s(10))


def test_bytes_are_those_of_rows_that_are_built(scenario: Scenario) -> None:
    for draw in scenario.draws[:8]:
        names, rows = scenario.scope(draw.given), draw.given["tables"] / FP32.itemsize
        posts = round(draw.given["slate"])
        assert names["int8_tables"] == pytest.approx(rows * np.empty(1000, INT8).nbytes / 1000)
        assert names["hashed_tables"] == pytest.approx(rows / 10 * np.empty(1000, HASHED).nbytes / 1000)
        assert names["wire"](posts, INT8.itemsize) == pytest.approx(sent(posts, INT8))


def test_late_requests_are_those_that_are_counted(scenario: Scenario) -> None:
    for draw in scenario.draws[:8]:
        offer = next(offer for offer in draw.offers if offer.candidate == "fp32")
        assert offer.figures["groups"] == shards(draw.given["tables"])
        late = (hop_s(draw.given["slow"], shards(draw.given["tables"])) > 0.01).mean()
        assert offer.figures["met"] == pytest.approx(late, abs=0.001)


@pytest.mark.parametrize("number", [0, 1, 4, 12, 14])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, equal: type, number: int) -> None:
    """Every candidate on every device: its simulated machines and the lift that it forgoes cost as much as the choice, or more."""
    draw = scenario.draws[number]
    totals = {}
    for offer in sorted(draw.offers, key=lambda one: one.figures["total"]):
        figures = offer.figures
        floor = price(offer.device) * draw.given["requests"] * figures["work_s"] + (1 - figures["kept"]) * draw.given["worth"]
        if totals and floor > min(totals.values()):
            continue  # not even a full fleet is cheaper
        count, servers, fleet = simulated(draw, offer, equal)
        assert count == figures["groups"]
        if offer.breaks:
            assert fleet == 0
        else:
            assert servers == figures["memory_servers"] and abs(fleet - figures["fleet"]) <= 1
            coded = draw.given["coded"]
            known = {"towers": 0.55, "hashed": draw.given["hashed"], "int8": coded, "int8-gpus": coded}
            kept = {**known, "int8-100": coded * draw.given["short"]}.get(offer.candidate, 1.0)
            bill = fleet * price(offer.device) + servers * 2000
            totals[offer.candidate, offer.device] = bill + (1 - kept) * draw.given["worth"]
    assert totals[draw.best.candidate, draw.best.device] <= 1.02 * min(totals.values())


def test_the_turn_is_where_two_totals_are_equal(scenario: Scenario) -> None:
    """A dollar of worth less and more than the turn: who is cheapest, by hand."""
    for draw in scenario.draws[:6]:
        chosen = []
        for worth in (0.98 * draw.flip.value, 1.02 * draw.flip.value):
            bills = [
                (one.figures["usd_per_month"] + (1 - one.figures["kept"]) * worth, one.candidate) for one in draw.offers if not one.breaks
            ]
            chosen.append(min(bills)[1])
        assert set(chosen) == {draw.best.candidate, draw.flip.to}
