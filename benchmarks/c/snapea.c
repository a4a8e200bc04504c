#include "twin.h"

void walk_kernels(ARRAY(const i64, columns), ARRAY(const i64, order), ARRAY(const i64, w), bool stops, i64 lanes,
                  i64 first, ARRAY(i64, now), ARRAY(i64, out), i64 *result) {
    const i64 windows = columns_n[0], length = columns_n[1], pes = now_n[0];
    i64 group = first, busy = 0, zero = 0, waiting = 0, missing = 0, cycles = 0;
    for (i64 k = 0; k < w_n[0]; k++)
        for (i64 start = 0; start < windows; start += lanes) {
            const i64 end = min(start + lanes, windows);
            i64 longest = 0, total = 0;
            for (i64 window = start; window < end; window++) {
                i64 value = 0, done = 0;
                for (i64 i = 0; i < length; i++) {
                    const i64 place = order[k * length + i];
                    const i64 a = columns[window * length + place], b = w[k * length + place];
                    value += a * b;
                    done++;
                    if (a != 0 && b != 0)
                        busy++;
                    else
                        zero++;
                    if (stops && value < 0) break;
                }
                out[k * windows + window] = max(value, 0);
                longest = max(longest, done);
                total += done;
            }
            now[group++ % pes] += longest;
            waiting += longest * (end - start) - total;
            missing += longest * (lanes - end + start);
            cycles += longest;
        }
    result[0] = busy, result[1] = zero, result[2] = waiting, result[3] = missing, result[4] = cycles;
}
