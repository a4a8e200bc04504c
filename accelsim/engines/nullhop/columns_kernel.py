"""The schedules of many layers in machine code: a row per image, pass and input row."""

from __future__ import annotations

from accelsim.jit import kernel
from accelsim.mapping.nest_kernel import ceil_div
from accelsim.memory import clock_kernel as timing


@kernel
def lay_out(layers, cycles, found, made, leaving, maps, split, burst, rows):  # type: ignore[no-untyped-def]
    """Write the steps of all layers one behind the other.

    Parameters
    ----------
    layers : array of int64, shape (layers, 8)
        Images, groups, input rows, filters of a group, bits of a filter, of an input row's map, of an input pixel and
        of an output pixel.
    cycles, found : array of int64, shape (rows of all layers,)
        Cycles of a pass over each input row, and its non-zeros: of each layer (images, groups, rows), flat.
    made : array of int64
        Output non-zeros that leave with each input row, of all channels before: of each layer (images, channels + 1,
        rows), flat.
    leaving : array of int64
        Output pixels of a channel that leave with each input row: of each layer (rows,), flat.
    maps : int
        Output maps of a pass.
    split : bool
        Whether a pass of half as many maps or fewer takes two rows at once.
    burst : int
        Bits.
    rows : array of int64, shape (steps, `clock_kernel.COLUMNS`), written where not 0
    """
    step = at = of_made = of_leaving = 0
    for layer in range(len(layers)):
        images, groups, height, filters, filter_bits, map_bits, pixel_bits, output_bits = layers[layer]
        channels = groups * filters
        for _ in range(images):
            for group in range(groups):
                for k0 in range(group * filters, (group + 1) * filters, maps):
                    k1 = min(k0 + maps, (group + 1) * filters)
                    at_once = 2 if split and 2 * (k1 - k0) <= maps else 1
                    for y0 in range(0, height, at_once):
                        load = ceil_div((k1 - k0) * filter_bits, burst) if y0 == 0 else 0
                        spent = values = pixels = 0
                        for y in range(y0, min(y0 + at_once, height)):
                            load += ceil_div(found[at + y] * pixel_bits, burst) + ceil_div(map_bits, burst)
                            spent = max(spent, cycles[at + y])
                            values += made[of_made + k1 * height + y] - made[of_made + k0 * height + y]
                            pixels += leaving[of_leaving + y]
                        store = ceil_div(values * output_bits, burst) + ceil_div(pixels * (k1 - k0), burst)
                        rows[step, timing.LOAD], rows[step, timing.STORE] = load * burst, store * burst
                        rows[step, timing.COMPUTED] = spent
                        step += 1
                at += height
            of_made += (channels + 1) * height
        of_leaving += height
