"""The pixels of an image in order; zero ones are skipped, as nothing arbitrates."""

from __future__ import annotations

from accelsim.jit import kernel


@kernel
def walk_image(mask, numbers, maps, with_values, x, w, out, cycles):  # type: ignore[no-untyped-def]
    """Walk the pixels of one image and group; add the cycles of one pass to each row.

    Parameters
    ----------
    mask : ndarray of bool, shape (c, h, w)
    numbers : ndarray of int64, shape (10,)
        r, s, e, f, strides, pads, dilations.
    maps : int
        Output maps of a pass.
    with_values : bool
    x, w, out : ndarray of int64
        (c, h, w), (k, c, r, s), (k, e, f); products are added to ``out``, pass by pass.
    cycles : ndarray of int64, shape (h,)
    """
    r_size, s_size, e_size, f_size, sy, sx, py, px, dy, dx = numbers
    for first in range(0, w.shape[0], maps):
        for y in range(mask.shape[1]):
            for col in range(mask.shape[2]):
                for c in range(mask.shape[0]):
                    if not mask[c, y, col]:
                        continue
                    for r in range(r_size):
                        up = y + py - r * dy
                        if up % sy != 0 or up < 0 or up // sy >= e_size:
                            continue
                        for s in range(s_size):
                            left = col + px - s * dx
                            if left % sx != 0 or left < 0 or left // sx >= f_size:
                                continue
                            if first == 0:
                                cycles[y] += 1
                            if with_values:
                                for k in range(first, min(first + maps, w.shape[0])):
                                    out[k, up // sy, left // sx] += x[c, y, col] * w[k, c, r, s]
        if not with_values:
            return
