"""Document classification: fleets simulated letter by letter, letters filed right counted one by one, the choice by trying everything."""

from __future__ import annotations

import numpy as np
import pytest

from workbook.rounds.scenario import Draw, Scenario


def test_letters_filed_right_are_those_that_are_counted(scenario: Scenario) -> None:
    """Letters whose kind stands early or late, a model that errs, and a guess among forty kinds where it sees nothing."""
    rng = np.random.default_rng(7)
    for draw in scenario.draws[:8]:
        kinds = rng.integers(0, 40, 400_000)
        told = rng.random(kinds.size) < draw.given["early"]
        seen = told | (rng.integers(0, 40, kinds.size) == kinds)
        right = seen & (rng.random(kinds.size) < draw.given["bert"])
        offer = next(offer for offer in draw.offers if offer.candidate == "bert-first")
        assert offer.figures["right"] == pytest.approx(right.mean(), abs=0.003)


def fleet(draw: Draw, work_s: float, queue: type) -> int:
    arrivals = queue(draw.given["documents"], lambda rng, count: np.full(count, work_s))
    return int(arrivals.servers(draw.given["limit"]))


def test_the_fleet_is_what_a_simulation_needs(scenario: Scenario, queue: type) -> None:
    for draw in scenario.draws[::3]:
        wanted = fleet(draw, draw.best.figures["work_s"], queue)
        assert abs(draw.best.figures["fleet"] - wanted) <= 1
        if wanted <= 2:
            assert draw.best.figures["fleet"] == wanted


@pytest.mark.parametrize("number", [0, 2, 3, 9])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, queue: type, number: int) -> None:
    """Every candidate on every device that files enough letters right: its simulated fleet costs as much as the choice, or more."""
    draw = scenario.draws[number]
    usd = {offer.device: offer.figures["usd_per_month"] / offer.figures["fleet"] for offer in draw.offers}
    chosen = usd[draw.best.device] * fleet(draw, draw.best.figures["work_s"], queue)
    for offer in draw.offers:
        figures = offer.figures
        if figures["right"] < draw.given["floor"] or figures["work_s"] >= draw.given["limit"] or offer == draw.best:
            continue
        if usd[offer.device] * draw.given["documents"] * figures["work_s"] < chosen:  # else not even a full fleet is cheaper
            assert usd[offer.device] * fleet(draw, figures["work_s"], queue) >= chosen
