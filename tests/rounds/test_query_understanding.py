"""Query understanding: requests drawn by their popularity, batches and fleets simulated one by one, the choice by trying everything."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from workbook.rounds.scenario import Draw, Offer, Scenario

DISTINCT = 100_000_000


def ranks(rng: np.random.Generator, count: int, skew: float) -> np.ndarray:
    """Ranks of requests, drawn exactly: from the continuous power law, rounded, and kept as often as the discrete law has it."""
    found: list[np.ndarray] = []
    while sum(map(len, found)) < count:
        low, high, share = 0.5, DISTINCT + 0.5, rng.random(2 * count)
        power = 1 - skew
        x = low * (high / low) ** share if skew == 1 else (low**power + share * (high**power - low**power)) ** (1 / power)
        rank = np.clip(np.rint(x), 1, DISTINCT)
        area = np.log((rank + 0.5) / (rank - 0.5)) if skew == 1 else ((rank + 0.5) ** power - (rank - 0.5) ** power) / power
        found.append(rank[rng.random(rank.size) * area < rank**-skew])
    return np.concatenate(found)[:count]


def held(draw: Draw, rank: np.ndarray) -> np.ndarray:
    """Whether the cache holds each request: an entry takes 256 bytes."""
    return rank <= draw.given["room"] // 256


def late_s(draw: Draw, arrivals: np.ndarray, answered: np.ndarray, batch: int, work_s: float, servers: int) -> np.ndarray:
    """Seconds until each request is answered: at once from the cache, else in a batch, closed when full or a tenth of the limit old."""
    seconds = np.zeros(arrivals.size)
    misses = np.flatnonzero(~answered)
    times = arrivals[misses]
    free = [0.0] * servers
    first = 0
    while first < misses.size:
        closes = times[first] + draw.given["limit"] / 10 if batch > 1 else times[first]
        last = min(first + batch, int(np.searchsorted(times, closes, side="right")))
        ready = times[last - 1] if last - first == batch else closes
        done = max(ready, free[0]) + work_s
        heapq.heapreplace(free, done)
        seconds[misses[first:last]] = done - times[first:last]
        first = last
    return seconds


def batch_of(draw: Draw, offer: Offer, miss_per_s: float) -> int:
    """What a GPU takes at once: the arrivals of a window, at most 32; a CPU takes one."""
    if offer.candidate == "rules" or offer.device == "cpu-2core-vm":
        return 1
    return min(32, int(1 + miss_per_s * draw.given["limit"] / 10))


def fleet(draw: Draw, offer: Offer, requests: int = 40_000) -> int:
    """The fewest devices with which 99 of 100 requests are in time, by trying them; a fifth of the limit is the network's."""
    rng = np.random.default_rng(3)
    rate = 1.3 * draw.given["queries"]
    arrivals = np.cumsum(rng.exponential(1 / rate, requests))
    answered = np.zeros(requests, bool) if offer.candidate == "rules" else held(draw, ranks(rng, requests, draw.given["skew"]))
    batch = batch_of(draw, offer, rate * (1 - answered.mean()))
    work_s = offer.figures["work_s"]
    busy = rate * (1 - answered.mean()) * work_s / batch
    devices = max(1, int(busy))
    while True:
        seconds = late_s(draw, arrivals, answered, batch, work_s, devices)[requests // 5 :]
        if np.quantile(seconds, 0.99) <= 0.8 * draw.given["limit"] and devices >= busy:
            return devices
        devices += 1


def understood(draw: Draw, candidate: str, rng: np.random.Generator, requests: int = 150_000) -> float:
    """The share of requests whose answer is right, one by one."""
    given = draw.given
    if candidate == "rules":
        return float((rng.random(requests) < given["rules"]).mean())
    known = held(draw, ranks(rng, requests, given["skew"]))
    online = given["llm" if candidate == "llm" else "bert" if candidate.endswith("bert") else "mini"]
    offline = given["llm"] if candidate.startswith("head") else online
    return float((rng.random(requests) < np.where(known, offline + 0.02, online)).mean())


def dollars(draw: Draw, offer: Offer, devices: int) -> float:
    figures = offer.figures
    return devices * (figures["usd_per_month"] - figures["offline_usd"]) / figures["fleet"] + figures["offline_usd"]


def test_a_cache_hits_as_often_as_requests_are_drawn_that_it_holds(scenario: Scenario) -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for draw in scenario.draws:
        key = draw.given["skew"], draw.given["room"]
        if key not in seen:
            seen.add(key)
            counted = held(draw, ranks(rng, 120_000, draw.given["skew"])).mean()
            assert scenario.scope(draw.given)["hit"] == pytest.approx(counted, abs=0.006)
    assert len(seen) >= 6


def test_requests_understood_are_those_that_are_counted(scenario: Scenario) -> None:
    rng = np.random.default_rng(2)
    for draw in scenario.draws[:12:4]:
        for name in scenario.round.candidates:
            offer = next(offer for offer in draw.offers if offer.candidate == name)
            assert offer.figures["right"] == pytest.approx(understood(draw, name, rng), abs=0.005)


def test_nights_cost_what_a_small_night_costs_by_the_query(scenario: Scenario) -> None:
    """Slots are filled again as they fall free, each answer 24 steps; the GPU's seconds counted, then scaled to the cache."""
    draw = scenario.draws[0]
    step_s = next(one for one in draw.offers if (one.candidate, one.device) == ("llm", "h100-sxm")).figures["work_s"] / 24
    waiting, steps, running = 6400, 0, [0] * 32
    while waiting or any(running):
        for slot in range(32):
            if running[slot] == 0 and waiting:
                running[slot], waiting = 24, waiting - 1
        running = [max(0, left - 1) for left in running]
        steps += 1
    night_usd = steps * step_s / 6400 * (draw.given["room"] / 256) / 3600 * 6.88
    assert draw.best.figures["offline_usd"] == pytest.approx(night_usd * 365 / 12, rel=0.005)


@pytest.mark.parametrize("number", [0, 1, 4, 10])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, number: int) -> None:
    """Every candidate on every device that understands enough: with its simulated fleet it costs as much as the choice, or more."""
    draw, rng = scenario.draws[number], np.random.default_rng(4)
    right = {name: understood(draw, name, rng) for name in scenario.round.candidates}
    wanted = fleet(draw, draw.best)
    assert abs(draw.best.figures["fleet"] - wanted) <= max(1, 0.05 * wanted)
    assert right[draw.best.candidate] >= draw.given["quality"]
    for offer in draw.offers:
        if offer == draw.best or right[offer.candidate] < draw.given["quality"] or offer.figures["work_s"] >= 0.7 * draw.given["limit"]:
            continue
        cheapest = dollars(draw, offer, max(1, round(0.8 * offer.figures["fleet"])))
        if cheapest < dollars(draw, draw.best, wanted):  # else not even a fifth fewer devices would be cheaper
            assert dollars(draw, offer, fleet(draw, offer)) >= dollars(draw, draw.best, wanted)


def test_the_online_language_model_is_late_on_an_idle_device(scenario: Scenario) -> None:
    """24 reads of 16 GB at the datasheet's full bandwidth already exceed the first draw's limit, on every device that it may use."""
    for offer in scenario.draws[0].offers:
        if offer.candidate == "llm":
            bandwidth = {"a100-80gb": 2039e9, "h100-sxm": 3350e9}[offer.device]
            assert offer.figures["work_s"] > 24 * 15e9 / bandwidth > scenario.draws[0].given["limit"]
            assert "work_s" in offer.breaks
