"""Evaluation: sample sizes and errors against published figures and against tests, judges and distances played out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath import evaluation

rates = st.floats(0.02, 0.9)


def rng():
    return np.random.default_rng(0)


# Against published figures --------------------------------------------------------------------------------------------


def test_samples_of_rates_as_r_documents_them():
    # The examples of https://rdrr.io/r/stats/power.prop.test.html
    assert evaluation.rate_test_samples(0.50, 0.25, power=0.90) == pytest.approx(76.7, abs=0.05)
    assert evaluation.rate_test_samples(0.50, 0.25, power=0.740) == pytest.approx(50, abs=0.1)


def test_the_normal_quantile_as_tables_print_it():
    printed = {0.95: 1.645, 0.975: 1.960, 0.99: 2.326, 0.995: 2.576}
    assert {q: round(evaluation.normal_quantile(q), 3) for q in printed} == printed


# Played out -----------------------------------------------------------------------------------------------------------


def rejected(right, other, arm):
    """Share of tests whose pooled z lies outside the 95% band, of many pairs of counts."""
    pooled = (right + other) / (2 * arm)
    z = (other - right) / arm / np.sqrt(2 * pooled * (1 - pooled) / arm)
    return (np.abs(z) > evaluation.normal_quantile(0.975)).mean()


@pytest.mark.parametrize(("rate", "effect", "power"), [(0.6, 0.03, 0.8), (0.02, 0.01, 0.9)])
def test_a_test_of_that_size_has_that_power(rate, effect, power):
    arm, dice = round(evaluation.rate_test_samples(rate, effect, power=power)), rng()
    draw = lambda p: dice.binomial(arm, p, 20_000)  # noqa: E731
    assert rejected(draw(rate), draw(rate + effect), arm) == pytest.approx(power, abs=0.012)
    assert rejected(draw(rate), draw(rate), arm) == pytest.approx(0.05, abs=0.006)


def test_a_clustered_mean_has_the_variance_of_the_design():
    users, size, correlation = 200, 5, 0.4
    dice = rng()
    shared = dice.normal(0, math.sqrt(correlation), (2000, users, 1))
    means = (shared + dice.normal(0, math.sqrt(1 - correlation), (2000, users, size))).mean(axis=(1, 2))
    error = evaluation.standard_error(evaluation.clustered_variance(1, size, correlation), users * size)
    assert means.std() == pytest.approx(error, rel=0.05)


def test_a_covariate_takes_the_variance_that_it_predicts():
    before, noise = rng().normal(size=(2, 50_000))
    after = 0.6 * before + 0.8 * noise
    theta = np.cov(before, after)[0, 1] / before.var()
    assert (after - theta * before).var() == pytest.approx(evaluation.adjusted_variance(after.var(), 0.6), rel=0.02)


@pytest.mark.parametrize("agreement", [1, 0.8])
def test_that_many_judged_pairs_have_that_power(agreement):
    pairs = round(evaluation.judged_pairs(0.56, agreement, power=0.8))
    seen = agreement * 0.56 + (1 - agreement) * 0.44
    wins = rng().binomial(pairs, seen, 20_000)
    assert (np.abs(wins / pairs - 0.5) > 1.96 * 0.5 / math.sqrt(pairs)).mean() == pytest.approx(0.8, abs=0.02)


def test_a_rectified_judge_is_right_and_as_sure_as_said():
    dice, truth = rng(), 0.55
    human = dice.random((1500, 2400)) < truth
    judge = np.where(dice.random(human.shape) < 0.15, True, human)  # leans to one side
    few, many = slice(0, 400), slice(400, None)
    means = (human[:, few] * 1.0 - judge[:, few]).mean(axis=1) + judge[:, many].mean(axis=1)
    error = evaluation.rectified_error(np.var(human * 1.0 - judge), 400, np.var(judge), 2000)
    assert judge.mean() > truth + 0.05
    assert means.mean() == pytest.approx(truth, abs=0.002)
    assert means.std() == pytest.approx(error, rel=0.06)


def test_ranks_among_sampled_negatives():
    draws = rng().hypergeometric(499, 9_500, 100, size=20_000)  # of 100 others, how many stand before rank 500 of 10,000
    assert 1 + draws.mean() == pytest.approx(evaluation.sampled_rank(500, 10_000, 100), rel=0.01)


def frechet(one, other):
    """The squared Frechet distance of the normal distributions with these samples' means and covariances."""
    gap, covariances = one.mean(axis=0) - other.mean(axis=0), [np.cov(x.T) for x in (one, other)]
    root = np.sqrt(np.abs(np.linalg.eigvals(covariances[0] @ covariances[1]))).sum()
    return gap @ gap + np.trace(sum(covariances)) - 2 * root


@pytest.mark.parametrize(("features", "samples"), [(16, 400), (40, 200)])
def test_two_sets_of_one_distribution_are_that_far_apart(features, samples):
    dice = rng()
    found = np.mean([frechet(*dice.normal(size=(2, samples, features))) for _ in range(40)])
    assert found == pytest.approx(evaluation.fid_floor(features, samples), rel=0.05)


# Identities -----------------------------------------------------------------------------------------------------------


@given(variance=st.floats(0.01, 10), effect=st.floats(0.001, 1), power=st.floats(0.5, 0.99))
def test_the_detectable_effect_is_the_one_that_was_planned_for(variance, effect, power):
    samples = evaluation.mean_test_samples(variance, effect, power=power)
    assert evaluation.detectable_effect(variance, samples, power=power) == pytest.approx(effect)


@given(precision=st.floats(0.1, 0.99), recall=st.floats(0.1, 1), prevalence=st.floats(0.001, 0.5))
def test_allowed_false_positives_give_the_precision(precision, recall, prevalence):
    allowed = evaluation.allowed_false_positive_share(precision, recall, prevalence)
    assert evaluation.precision_share(recall, allowed, prevalence) == pytest.approx(precision)


@given(rate=rates, effect=st.floats(0.001, 0.05))
def test_a_small_effect_needs_what_a_mean_of_that_variance_needs(rate, effect):
    middle = evaluation.rate_variance(rate + effect / 2)
    plain = evaluation.mean_test_samples(middle, effect)
    assert evaluation.rate_test_samples(rate, effect) == pytest.approx(plain, rel=2 * effect**2 / middle + 1e-9)


def test_alarms_add_up():
    assert evaluation.false_alarm_share(1, 0.05) == pytest.approx(0.05)
    assert evaluation.false_alarm_share(20) == pytest.approx(1 - 0.95**20)
