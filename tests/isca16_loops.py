"""The six mapped loop nests, executed: values, multiplications and words moved, counted one by one.

Written from the description of the dataflows, not from the closed formulas, to which the counts are compared.
"""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np


class Walk:
    """One layer being executed under mapping ``x``; ``moved`` counts words, ``out`` collects the ofmaps."""

    def __init__(self, layer, batch, x, ifmap, weights):
        self.layer, self.batch, self.x = layer, batch, x
        self.ifmap, self.weights = ifmap, weights
        self.out = np.zeros((batch, layer.G, layer.M, layer.E, layer.E), np.int64)
        self.moved = Counter(dict.fromkeys(("dram_read", "dram_write", "buffer", "array", "rf", "macs"), 0))

    def mac(self, g, n, k, y, x, c, i, j):
        """One multiplication: filter ``k``, output ``y x``, filter position ``i j``."""
        U = self.layer.U
        self.moved["macs"] += 1
        self.out[n, g, k, y, x] += self.ifmap[n, g, c, U * y + i, U * x + j] * self.weights[g, k, c, i, j]

    def side(self, outputs):
        return self.layer.U * (len(outputs) - 1) + self.layer.R

    def psum_in_buffer(self, first, last):
        """A partial sum leaves the array: read back before unless first, written unless it is the result."""
        self.moved["buffer"] += (not first) + (not last)
        self.moved["dram_write"] += last


def tiles(total, size):
    return [range(at, min(at + size, total)) for at in range(0, total, size)]


def split(part, size):
    return [part[at : at + size] for at in range(0, len(part), size)]


def row_stationary(walk):
    layer, x, moved = walk.layer, walk.x, walk.moved
    R, E = layer.R, layer.E
    for g, images, strip, m_tile in product(
        range(layer.G), tiles(walk.batch, x["n"]), tiles(E, x["f"]), tiles(layer.M, x["m"])
    ):
        for channels in tiles(layer.C, x["q"] * x["r"]):
            piece = len(images) * len(channels) * layer.H * walk.side(strip)
            moved["dram_read"] += piece + len(m_tile) * len(channels) * R * R
            for filters in split(m_tile, x["p"] * x["t"]):
                moved["buffer"] += piece
                in_pe = split(channels, x["q"])
                for own, chans, column, j in product(split(filters, x["p"]), in_pe, strip, range(R)):
                    moved["array"] += len(images) * len(chans) * layer.H  # ifmap lines
                    moved["array"] += len(own) * len(chans) * R  # filter rows
                    for n, k, y in product(images, own, range(E)):
                        for c, i in product(chans, range(R)):
                            walk.mac(g, n, k, y, column, c, i, j)
                            moved["rf"] += 2
                        moved["rf"] += 2 * (len(chans) * R - 1)
                chain = len(in_pe) * R
                for _ in product(images, filters, range(E), strip):
                    moved["array"] += 2 * (chain - 1)
                    walk.psum_in_buffer(channels[0] == 0, channels[-1] == layer.C - 1)


def weight_stationary(walk):
    layer, x, moved = walk.layer, walk.x, walk.moved
    R, E = layer.R, layer.E
    for g, filters in product(range(layer.G), tiles(layer.M, x["t"])):
        for channels in tiles(layer.C, x["r"]):
            moved["dram_read"] += len(filters) * len(channels) * R * R
            for n, strip in product(range(walk.batch), tiles(E, x["f"])):
                moved["dram_read"] += len(channels) * layer.H * walk.side(strip)
                for k, y, column, i in product(filters, range(E), strip, range(R)):
                    for c, j in product(channels, range(R)):
                        walk.mac(g, n, k, y, column, c, i, j)
                        moved["array"] += 1
                        moved["rf"] += 1
                    moved["array"] += 2 * (len(channels) * R - 1)
                    last = channels[-1] == layer.C - 1 and i == R - 1
                    walk.psum_in_buffer(channels[0] == 0 and i == 0, last)


def _output_stationary(walk, e, f, p):
    layer, x, moved = walk.layer, walk.x, walk.moved
    C, R = layer.C, layer.R
    for g, m_tile in product(range(layer.G), tiles(layer.M, x["m"])):
        moved["dram_read"] += len(m_tile) * C * R * R
        for images, rows, columns in product(tiles(walk.batch, x["n"]), tiles(layer.E, e), tiles(layer.E, f)):
            piece = len(images) * C * walk.side(rows) * walk.side(columns)
            moved["dram_read"] += piece
            for filters in split(m_tile, p):
                moved["buffer"] += piece + len(filters) * C * R * R
                for n, k, y, column in product(images, filters, rows, columns):
                    for c, i, j in product(range(C), range(R), range(R)):
                        walk.mac(g, n, k, y, column, c, i, j)
                        moved["array"] += 2
                    moved["rf"] += 2 * (C * R * R - 1)
                    moved["dram_write"] += 1


def one_filter_many_outputs(walk):
    _output_stationary(walk, walk.x["e"], walk.x["f"], 1)


def many_filters_many_outputs(walk):
    _output_stationary(walk, 1, walk.x["f"], walk.x["p"])


def many_filters_one_output(walk):
    _output_stationary(walk, 1, 1, walk.x["p"])


def no_local_reuse(walk):
    layer, x, moved = walk.layer, walk.x, walk.moved
    R, E = layer.R, layer.E
    for g, images, rows, columns, m_tile in product(
        range(layer.G), tiles(walk.batch, x["n"]), tiles(E, x["e"]), tiles(E, x["f"]), tiles(layer.M, x["m"])
    ):
        for channels in tiles(layer.C, x["q"]):
            moved["dram_read"] += len(images) * len(channels) * walk.side(rows) * walk.side(columns)
            moved["dram_read"] += len(m_tile) * len(channels) * R * R
            for filters, i, j, n, y, column in product(
                split(m_tile, x["p"]), range(R), range(R), images, rows, columns
            ):
                moved["buffer"] += len(channels)  # ifmap words, broadcast to the filters of the array
                for k in filters:
                    moved["buffer"] += len(channels)  # weights
                    moved["array"] += len(channels) + 2 * (len(channels) - 1)
                    for c in channels:
                        walk.mac(g, n, k, y, column, c, i, j)
                    first = channels[0] == 0 and i == j == 0
                    walk.psum_in_buffer(first, channels[-1] == layer.C - 1 and i == j == R - 1)


NESTS = {
    "RS": row_stationary,
    "WS": weight_stationary,
    "OSA": one_filter_many_outputs,
    "OSB": many_filters_many_outputs,
    "OSC": many_filters_one_output,
    "NLR": no_local_reuse,
}


def direct_convolution(layer, batch, ifmap, weights):
    """Grouped convolution by NumPy windows, int64."""
    windows = np.lib.stride_tricks.sliding_window_view(ifmap, (layer.R, layer.R), axis=(3, 4))
    windows = windows[:, :, :, :: layer.U, :: layer.U]
    return np.einsum("ngcyxij,gkcij->ngkyx", windows, weights)
