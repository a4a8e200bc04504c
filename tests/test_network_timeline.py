"""The network's one clock: given cases, the stepper, the timeline of one layer, accounts and the critical path."""

from dataclasses import replace

import pytest
from network_cases import CASES, ISOLATED, buses, random_network

from accelsim.memory import network, timeline
from accelsim.memory.network_reference import stepped


@pytest.mark.parametrize("name", CASES)
def test_the_stepper_ends_where_the_given_cases_end(name):
    programs, latency, end = CASES[name]
    assert stepped(programs, buses(latency)).cycles == end


@pytest.mark.parametrize("name", ISOLATED)
def test_layer_by_layer_the_given_cases_take_what_is_given(name):
    programs, latency, _ = CASES[name]
    dram = buses(latency)["dram"]
    assert sum(timeline.run(program.schedule, dram).cycles for program in programs) == ISOLATED[name]
    alone = [stepped([replace(program, producers=(), after=())], buses(latency)).cycles for program in programs]
    assert sum(alone) == ISOLATED[name]


@pytest.mark.parametrize("name", CASES)
def test_the_events_end_where_the_given_cases_end(name):
    programs, latency, end = CASES[name]
    assert network.run(programs, buses(latency)).cycles == end


@pytest.mark.parametrize("seed", range(150))
def test_events_are_what_stepping_gives(seed):
    programs, ports, prefetch = random_network(seed)
    assert network.run(programs, ports, prefetch) == stepped(programs, ports, prefetch)
