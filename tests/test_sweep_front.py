"""Pareto fronts against their definition."""

import numpy as np

from accelsim.explore.sweep.pareto import Front, front


def beats(a, b):
    pairs = list(zip(a, b, strict=True))
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def by_definition(values):
    return [not any(beats(b, a) for b in values) for a in values]


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(3)
    for objectives in (1, 2, 3):
        for _ in range(30):
            # few distinct figures, so that ties and equal points occur
            values = rng.integers(0, 5, (20, objectives)).astype(float)
            assert front(values).tolist() == by_definition(values.tolist())


def test_equal_points_are_all_on_the_front():
    assert front(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist() == [True, True, False]


def test_a_point_without_a_figure_is_never_on_the_front():
    assert front(np.array([[np.nan, 0.0], [1.0, 1.0]])).tolist() == [False, True]
    grown = Front()
    grown.add([None, 0.0])
    assert len(grown) == 0


def test_a_front_that_grows_has_the_size_of_the_whole_one():
    values = np.random.default_rng(4).integers(0, 9, (60, 2)).astype(float)
    grown, at_once = Front(), Front()
    for point in values.tolist():
        grown.add(point)
    for start in range(0, 60, 25):
        at_once.extend(values[start : start + 25].tolist())
    assert len(grown) == len(at_once) == front(values).sum()
