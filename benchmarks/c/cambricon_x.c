#include "twin.h"

void walk_group(ARRAY(const i64, entries), i64 multipliers, bool at_blocks, i64 *result) {
    const i64 pes = entries_n[0], blocks = entries_n[1];
    i64 *now = zeros(pes), worked = 0, waited = 0;
    for (i64 block = 0; block < blocks; block++) {
        for (i64 pe = 0; pe < pes; pe++) {
            const i64 cost = max(1, ceil_div(entries[pe * blocks + block], multipliers));
            now[pe] += cost;
            worked += cost;
        }
        if (at_blocks) {
            const i64 level = largest(now, pes);
            for (i64 pe = 0; pe < pes; pe++) {
                waited += level - now[pe];
                now[pe] = level;
            }
        }
    }
    const i64 level = largest(now, pes);
    for (i64 pe = 0; pe < pes; pe++) waited += level - now[pe];
    result[0] = level, result[1] = worked, result[2] = waited;
    free(now);
}

void multiply(ARRAY(const i64, columns), ARRAY(const i64, w), i64 block, i64 pes, ARRAY(i64, out), i64 *result) {
    const i64 windows = columns_n[0], length = columns_n[1], outputs = w_n[0];
    (void)result;
    for (i64 first = 0; first < outputs; first += pes)
        for (i64 window = 0; window < windows; window++)
            for (i64 start = 0; start < length; start += block)
                for (i64 k = first; k < min(first + pes, outputs); k++)
                    for (i64 i = start; i < min(start + block, length); i++)
                        if (w[k * length + i] != 0)
                            out[k * windows + window] += columns[window * length + i] * w[k * length + i];
}
