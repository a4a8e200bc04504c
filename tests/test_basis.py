"""Which layers results are compared over, and which results rank."""

from math import inf, nan

import pytest

from accelsim import basis


def test_results_rank_over_the_layers_that_all_simulated():
    found = basis.rank([{"a", "b", "c"}, {"b", "c"}, {"c", "b", "d"}])
    assert found == (frozenset("bc"), (True,) * 3, (True,) * 3)


def test_a_result_without_layers_takes_no_part_and_shrinks_nothing():
    found = basis.rank([{"a", "b"}, set(), {"a"}])
    assert found.layers == {"a"}
    assert found.ranks == (True, False, True)
    assert found.shown == (True, True, True)


def test_where_nothing_is_common_only_the_widest_rank_over_their_own_layers():
    found = basis.rank([{"a", "b"}, {"c"}])
    assert found == (None, (True, False), (True, True))


@pytest.mark.parametrize(("incomplete", "shown"), [("show", (True, True, True)), ("drop", (True, False, True))])
def test_otherwise_the_widest_rank_and_the_rest_is_shown_or_dropped(incomplete, shown):
    found = basis.rank([{"a", "b"}, {"a"}, {"b", "a"}], incomplete)
    assert found == (None, (True, False, True), shown)


def test_equally_wide_but_different_results_do_not_rank_together():
    assert basis.rank([{"a", "b"}, {"a", "c"}], "show").ranks == (True, False)


def test_sums_that_are_known_are_taken_only_where_all_results_share_their_layers():
    assert basis.rank([{"a", "b", "c"}, {"b", "a"}], known={"a"}) == (frozenset("a"), (True, True), (True, True))
    assert basis.rank([{"a", "b", "c"}, {"a"}], known={"a", "b"}) == (None, (True, False), (True, True))


def test_time_replaces_cycles_only_where_clocks_differ():
    assert basis.timed(["cycles", "total_energy_pj"], [200.0, 200.0]) == ["cycles", "total_energy_pj"]
    assert basis.timed(["cycles", "total_energy_pj", "time_s"], [200.0, 500.0]) == ["time_s", "total_energy_pj"]


def test_energy_tables_that_differ_are_named():
    assert basis.prices_differ(["45nm", "45nm"]) is None
    assert "28nm, 45nm" in (basis.prices_differ(["45nm", "28nm", "45nm"]) or "")


def test_the_geometric_mean_is_of_ratios_to_the_best_design_of_each_network():
    figures = {"p": {"x": 2.0, "y": 8.0}, "q": {"x": 1.0, "y": 32.0}, "r": {"x": 1.0}}
    # ratios of p: 2 and 1, of q: 1 and 4
    assert basis.over_networks(figures, ["x", "y"]) == pytest.approx({"p": 2**0.5, "q": 2.0})
    assert list(basis.over_networks(figures, ["x", "y"])) == ["p", "q"]


def test_ratios_to_a_named_base():
    figures = {"p": {"x": 2.0, "y": 8.0}, "q": {"x": 1.0, "y": 32.0}}
    # ratios of q to p: 1/2 and 4
    assert basis.over_networks(figures, ["x", "y"], "p") == pytest.approx({"p": 1.0, "q": 2**0.5})
    assert basis.over_networks({"p": {"x": 1.0}}, ["x"], "nobody") == {}


@pytest.mark.parametrize("figure", [None, 0.0, -1.0, inf, nan])
def test_designs_without_a_positive_figure_have_no_mean(figure):
    assert basis.over_networks({"p": {"x": figure}, "q": {"x": 3.0}}, ["x"]) == {"q": 1.0}
