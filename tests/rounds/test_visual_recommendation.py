"""Visual recommendation: rows that are built, views that are drawn one by one, uploads simulated, the choice by trying everything."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import napkinmath as nm
from workbook.rounds.scenario import Draw, Offer, Scenario

PLAIN = np.dtype([("features", "u1", 200)])
NARROW = np.dtype([("features", "u1", 200), ("vector", "i1", 128)])
NARROW_TWICE = np.dtype([("features", "u1", 200), ("vector", "i1", 128), ("next", "i1", 128)])
WIDE = np.dtype([("features", "u1", 200), ("vector", "f2", 768)])
#: What a page reads of an item, and what the store holds of it.
READ = {"no-photos": PLAIN, "clip": WIDE}
HELD = {"no-photos": PLAIN, "clip": WIDE, "trained": NARROW_TWICE, "at-request": NARROW_TWICE}
SENT_PER_S = 0.6 * 25e9 / 8


def page_bytes(draw: Draw, offer: Offer) -> int:
    return np.empty(round(draw.given["slate"]), READ.get(offer.candidate, NARROW)).nbytes


def store_servers(draw: Draw, offer: Offer) -> int:
    """Servers filled one after the other with items; then copies of all, until memory has two and the network is enough."""
    held = draw.given["photos"] / 4 * np.empty(1000, HELD.get(offer.candidate, NARROW)).nbytes / 1000
    parts, placed = 0, 0.0
    while placed < held:
        parts, placed = parts + 1, placed + 0.8 * 512e9
    copies = 2
    while parts * copies * SENT_PER_S < draw.given["requests"] * page_bytes(draw, offer):
        copies += 1
    return parts * copies


def views(draw: Draw, rng: np.random.Generator, pages: int = 400) -> np.ndarray:
    """Which items of some pages are young."""
    return rng.random((pages, round(draw.given["slate"]))) < draw.given["young"]


@cache
def lost_by_waiting(young_share: float) -> float:
    """Each view earns 1 from a photo, a young one 3: what the young ones earn, counted."""
    young = np.random.default_rng(3).random(500_000) < young_share
    return float(3 * young.sum() / (3 * young.sum() + (~young).sum()))


def machines(draw: Draw, offer: Offer, queue: type) -> tuple[int, float]:
    """GPUs that stand ready, by trying them on a queue or counting views; and hours of others, by adding up photos."""
    given, work = draw.given, offer.figures["photo_s"]
    day, catalogue = given["uploads"] * work / 3600, given["photos"] * work / 3600
    if offer.candidate == "no-photos":
        return 0, 0.0
    if offer.candidate == "nightly":
        return 0, 30 * day
    anew = 30 / 7 * catalogue if offer.candidate in ("trained", "at-request") else 0.0
    if offer.candidate == "at-request":
        seen = views(draw, np.random.default_rng(5))
        return int(np.ceil(given["requests"] * 4 * seen.sum() / len(seen) * work)), anew + 30 * day
    peak = 3 * given["uploads"] / 86400
    # Photos come in hundreds, so that a queue of minutes is quickly played; a hundred of them is still a fraction of a minute.
    uploads = queue(peak / 100, lambda rng, count: np.full(count, 100 * work), 4000)
    return int(uploads.servers(60)), anew


def bill(draw: Draw, offer: Offer, queue: type) -> float:
    gpus, hours = machines(draw, offer, queue)
    return (730 * gpus + hours) * nm.device(offer.device).price_usd_per_hour + 2000 * store_servers(draw, offer)


def earned(draw: Draw, offer: Offer) -> float:
    frozen = draw.given["frozen"]
    return {
        "no-photos": 0.0,
        "nightly": frozen * (1 - lost_by_waiting(draw.given["young"])),
        "upload": frozen,
        "clip": draw.given["general"],
    }.get(offer.candidate, 1.0)


def test_bytes_are_those_of_rows_that_are_built(scenario: Scenario) -> None:
    for draw in scenario.draws[:8]:
        for offer in draw.offers:
            waits = 32 * offer.figures["photo_s"] if offer.candidate == "at-request" else 0
            features_s = 0.002 + 0.004 * page_bytes(draw, offer) / 1e6 + waits
            assert offer.figures["features_s"] == pytest.approx(features_s)
            assert offer.figures["nodes"] == store_servers(draw, offer)


def test_what_the_night_loses_is_what_is_counted(scenario: Scenario) -> None:
    for draw in scenario.draws[:8]:
        assert scenario.scope(draw.given)["cold"] == pytest.approx(lost_by_waiting(draw.given["young"]), abs=0.005)
        offer = next(offer for offer in draw.offers if offer.candidate == "nightly")
        assert offer.figures["kept"] == pytest.approx(earned(draw, offer), abs=0.005)


def test_photos_at_the_request_are_those_that_are_drawn(scenario: Scenario, queue: type) -> None:
    for draw in scenario.draws[:8]:
        offer = next(offer for offer in draw.offers if offer.candidate == "at-request")
        assert machines(draw, offer, queue)[0] == pytest.approx(offer.figures["gpus"], rel=0.03)


def test_the_queue_of_uploads_is_what_a_simulation_needs(scenario: Scenario, queue: type) -> None:
    for draw in scenario.draws[:9:2]:
        for offer in draw.offers:
            if offer.candidate in ("upload", "clip"):
                gpus, _ = machines(draw, offer, queue)
                assert abs(gpus - offer.figures["gpus"]) <= 1
                assert gpus == offer.figures["gpus"] or gpus > 2


@pytest.mark.parametrize("number", [0, 1, 3, 6, 12, 14, 18])
def test_nothing_cheaper_holds_when_counted(scenario: Scenario, queue: type, number: int) -> None:
    """Every candidate on every device, with counted machines, servers and lift: the choice costs least, to a hundredth."""
    draw = scenario.draws[number]
    most = max(1.0, draw.given["general"])
    totals = {}
    for offer in draw.offers:
        waits = 32 * offer.figures["photo_s"] if offer.candidate == "at-request" else 0
        in_time = 0.002 + 0.004 * page_bytes(draw, offer) / 1e6 + waits <= draw.given["limit"]
        assert in_time != bool(offer.breaks)
        if in_time:
            totals[offer.candidate, offer.device] = bill(draw, offer, queue) + (most - earned(draw, offer)) * draw.given["worth"]
    assert totals[draw.best.candidate, draw.best.device] <= 1.01 * min(totals.values())


def test_the_turn_is_where_another_is_cheapest(scenario: Scenario, queue: type) -> None:
    for draw in scenario.draws[:3]:
        chosen = []
        for photos in (0.97 * draw.flip.value, 1.03 * draw.flip.value):
            moved = Draw({**draw.given, "photos": photos}, draw.offers, draw.best, draw.flip)
            most = max(1.0, draw.given["general"])
            bills = [
                (bill(moved, one, queue) + (most - earned(moved, one)) * draw.given["worth"], one.candidate)
                for one in draw.offers
                if not one.breaks
            ]
            chosen.append(min(bills)[1])
        assert set(chosen) == {draw.best.candidate, draw.flip.to}
