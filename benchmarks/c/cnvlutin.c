#include "twin.h"

struct numbers { i64 channels, r, s, e, f, sy, sx, py, px, dy, dx, lanes, kernels; };

void walk_windows(ARRAY(const i64, nonzeros), ARRAY(const i64, numbers), bool skips, bool with_values,
                  ARRAY(const i64, x), ARRAY(const i64, w), ARRAY(i64, out), i64 *result) {
    const struct numbers p = *(const struct numbers *)numbers;
    const i64 bricks = nonzeros_n[0], height = nonzeros_n[1], width = nonzeros_n[2];
    i64 *lane = zeros(p.lanes), cycles = 0, busy = 0, empty = 0, waiting = 0, reads = 0;
    for (i64 e = 0; e < p.e; e++)
        for (i64 f = 0; f < p.f; f++) {
            i64 index = 0, sum = 0;
            fill(lane, p.lanes, 0);
            for (i64 r = 0; r < p.r; r++)
                for (i64 s = 0; s < p.s; s++) {
                    const i64 y = e * p.sy + r * p.dy - p.py, col = f * p.sx + s * p.dx - p.px;
                    const bool inside = y >= 0 && y < height && col >= 0 && col < width;
                    if (inside) reads += bricks;
                    if (skips) {
                        for (i64 b = 0; b < bricks; b++) {
                            const i64 found = inside ? nonzeros[(b * height + y) * width + col] : 0;
                            lane[index] += max(found, 1);
                            busy += found;
                            empty += found == 0;
                            if (++index == p.lanes) index = 0;
                        }
                    } else {
                        for (i64 i = 0; i < p.lanes; i++) lane[i] += ceil_div(p.channels, p.lanes);
                        busy += p.channels;
                    }
                    if (with_values && inside)
                        for (i64 c = 0; c < p.channels; c++) {
                            const i64 a = x[(c * height + y) * width + col];
                            if (skips && a == 0) continue;
                            for (i64 k = 0; k < p.kernels; k++)
                                out[(k * p.e + e) * p.f + f] += a * w[((k * p.channels + c) * p.r + r) * p.s + s];
                        }
                }
            const i64 slowest = largest(lane, p.lanes);
            for (i64 i = 0; i < p.lanes; i++) sum += lane[i];
            cycles += slowest;
            waiting += slowest * p.lanes - sum;
        }
    result[0] = cycles, result[1] = busy, result[2] = empty, result[3] = waiting, result[4] = reads;
    free(lane);
}
