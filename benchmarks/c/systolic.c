#include "twin.h"

enum { OS, WS, IS };

void walk_tile(i64 flow, i64 rows, i64 cols, bool overlap, i64 m, i64 n, i64 k, bool with_values,
               ARRAY(const i64, a), ARRAY(const i64, b), ARRAY(i64, out), i64 tail, i64 hold, i64 *result) {
    const i64 side_r = flow == OS ? m : k, side_c = flow == IS ? m : n;
    const i64 stream = flow == OS ? k : flow == WS ? m : n;
    const i64 a_rows = a_n[1], a_cols = a_n[2], b_rows = b_n[1], b_cols = b_n[2], o_rows = out_n[1], o_cols = out_n[2];
    i64 work = 0, ramp = 0, starved = 0, left = 0, top = 0, held = 0, hops = 0, results = 0;
    i64 start = 0, end = 0, r_last = 0, c_last = 0;
    bool first = true;
    for (i64 g = 0; g < a_n[0]; g++)
        for (i64 col0 = 0; col0 < side_c; col0 += cols)
            for (i64 row0 = 0; row0 < side_r; row0 += rows) {
                const i64 r = min(rows, side_r - row0), c = min(cols, side_c - col0), load = flow == OS ? 0 : r;
                if (flow != OS) {
                    held += r * c;
                    for (i64 i = 0; i < r; i++) hops += (i + 1) * c;
                }
                if (!overlap) {
                    start = end + load;
                    ramp += r * c * (load + r + c - 2 + tail);
                } else if (first) {
                    start = load;
                    for (i64 i = 0; i < r; i++)
                        for (i64 j = 0; j < c; j++) ramp += load + i + j;
                } else {
                    const i64 slot = max(max(stream, load), hold);
                    starved += r * c * (slot - stream);
                    start += slot;
                }
                first = false;
                r_last = r, c_last = c;
                for (i64 tick = 0; tick < stream + r + c - 2; tick++)
                    for (i64 i = 0; i < r; i++) {
                        const i64 low = max(0, tick - i - stream + 1), high = min(c - 1, tick - i);
                        if (high < low) continue;
                        const i64 active = high - low + 1, leaves = tick - i - stream + 1;
                        work += active;
                        if (low == 0 && tick - i < stream) left++;
                        if (flow == OS) {
                            if (i == 0) top += active;
                            if (leaves >= 0 && leaves < c) results++;
                        } else if (i == r - 1) {
                            results += active;
                        }
                        if (!with_values) continue;
                        for (i64 j = low; j <= high; j++) {
                            const i64 x = tick - i - j;
                            if (flow == OS)
                                out[(g * o_rows + row0 + i) * o_cols + col0 + j] +=
                                    a[(g * a_rows + row0 + i) * a_cols + x] * b[(g * b_rows + x) * b_cols + col0 + j];
                            else if (flow == WS)
                                out[(g * o_rows + x) * o_cols + col0 + j] +=
                                    a[(g * a_rows + x) * a_cols + row0 + i] * b[(g * b_rows + row0 + i) * b_cols + col0 + j];
                            else
                                out[(g * o_rows + col0 + j) * o_cols + x] +=
                                    a[(g * a_rows + col0 + j) * a_cols + row0 + i] * b[(g * b_rows + row0 + i) * b_cols + x];
                        }
                    }
                end = max(end, start + stream + r + c - 2 + tail);
            }
    if (overlap)
        for (i64 i = 0; i < r_last; i++)
            for (i64 j = 0; j < c_last; j++) ramp += end - start - stream - i - j;
    const i64 counts[] = {end, work, ramp, starved, rows * cols * end - work - ramp - starved,
                          left, top, held, hops, results};
    memcpy(result, counts, sizeof counts);
}
