"""The PEs, cycle by cycle."""

from accelsim.jit import kernel


@kernel
def walk(x, w, groups, stride, dilation, pad, pes, cycles, out):  # type: ignore[no-untyped-def]
    """Walk a layer and return its multiplications by non-zero and by zero weights.

    Parameters
    ----------
    x : ndarray of int64, shape (n, c, h, w)
    w : ndarray of int64, shape (k, c / groups, r, s)
    stride, dilation, pad : tuple of int
        As in `Conv2d`.
    pes : int
    cycles : ndarray of int64, shape (n,)
        Of each image, added to.
    out : ndarray of int64, shape (n, k, e, f)
        Added to.
    """
    busy = zero = 0
    filters, channels, rows, cols = w.shape[0] // groups, w.shape[1], w.shape[2], w.shape[3]
    for n in range(x.shape[0]):
        for pixel in range(out.shape[2] * out.shape[3]):
            e, f = pixel // out.shape[3], pixel % out.shape[3]
            for g in range(groups):
                for first in range(0, filters, pes):
                    last = min(first + pes, filters)
                    for tap in range(channels * rows * cols):
                        c, r, s = tap // (rows * cols), tap // cols % rows, tap % cols
                        y = e * stride[0] + r * dilation[0] - pad[0]
                        z = f * stride[1] + s * dilation[1] - pad[1]
                        if not (0 <= y < x.shape[2] and 0 <= z < x.shape[3]):
                            continue
                        value = x[n, g * channels + c, y, z]
                        if value == 0:
                            continue
                        cycles[n] += 1
                        for k in range(g * filters + first, g * filters + last):
                            out[n, k, e, f] += value * w[k, c, r, s]
                            if w[k, c, r, s] == 0:
                                zero += 1
                            else:
                                busy += 1
    return busy, zero
