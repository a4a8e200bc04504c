"""The unit, cycle by cycle."""

from accelsim.jit import kernel


@kernel
def walk(rows, c, k, lanes, with_values, groups, stride, dilation, pad, x, w, out):  # type: ignore[no-untyped-def]
    """Return (cycles, products) of rows of k outputs of c inputs; with values, add the products to ``out``.

    Parameters
    ----------
    rows : int
        Pixels of all images, each with an output in every channel.
    c, k : int
        Inputs of an output, and output channels.
    stride, dilation, pad : tuple of int
        As in `Conv2d`.
    x : ndarray of int64, shape (n, c, h, w)
    w : ndarray of int64, shape (k, c / groups, r, s)
    out : ndarray of int64, shape (n, k, e, f)
    """
    cycles = products = 0
    pixels, width = out.shape[2] * out.shape[3], out.shape[3]
    for row in range(rows):
        image, e, f = row // pixels, row % pixels // width, row % width
        for column in range(k):
            for first in range(0, c, lanes):
                cycles += 1
                for i in range(first, min(first + lanes, c)):
                    products += 1
                    if with_values:
                        r, s = i // w.shape[3] % w.shape[2], i % w.shape[3]
                        channel = i // (w.shape[2] * w.shape[3])
                        y = e * stride[0] + r * dilation[0] - pad[0]
                        z = f * stride[1] + s * dilation[1] - pad[1]
                        if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]:
                            source = column // (k // groups) * w.shape[1] + channel
                            out[image, column, e, f] += x[image, source, y, z] * w[column, channel, r, s]
    return cycles, products
