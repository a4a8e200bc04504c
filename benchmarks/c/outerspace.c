#include "twin.h"

static int by_size(const void *a, const void *b) {
    const i64 x = *(const i64 *)a, y = *(const i64 *)b;
    return (x > y) - (x < y);
}

static inline i64 first_free(const i64 *free_at, i64 n) {
    i64 chosen = 0;
    for (i64 i = 1; i < n; i++)
        if (free_at[i] < free_at[chosen]) chosen = i;
    return chosen;
}

static inline i64 bursts(i64 elements, i64 element_bits, i64 burst) {
    return ceil_div(elements * element_bits, burst) * burst;
}

void multiply(ARRAY(const i64, a_pointers), ARRAY(const i64, b_pointers), i64 tiles, i64 tile_pes, i64 fits,
              i64 latency, i64 element_bits, i64 burst, i64 *result) {
    i64 *free_at = zeros(tiles), waits = 0, b_read = 0, bus = 0;
    for (i64 k = 0; k < a_pointers_n[0] - 1; k++) {
        const i64 entries = a_pointers[k + 1] - a_pointers[k], length = b_pointers[k + 1] - b_pointers[k];
        if (entries == 0) continue;
        const i64 rounds = ceil_div(entries, tile_pes), fetches = length == 0 ? 0 : length <= fits ? 1 : rounds;
        free_at[first_free(free_at, tiles)] += rounds * (latency + length) + fetches * latency;
        waits += entries * latency;
        if (fetches == 1)
            waits += min(entries, tile_pes) * latency;
        else if (fetches > 1)
            waits += entries * latency;
        b_read += fetches * length;
        bus += bursts(entries, element_bits, burst) + (fetches + entries) * bursts(length, element_bits, burst);
    }
    result[0] = largest(free_at, tiles), result[1] = waits, result[2] = b_read, result[3] = bus;
    free(free_at);
}

void merge(ARRAY(const i64, a_pointers), ARRAY(const i64, a_columns), ARRAY(const VALUE, a_values),
           ARRAY(const i64, b_pointers), ARRAY(const i64, b_columns), ARRAY(const VALUE, b_values), i64 width, i64 pes,
           i64 heads, i64 latency, i64 element_bits, i64 burst, ARRAY(i64, pointers), ARRAY(i64, columns),
           ARRAY(VALUE, values), i64 *result) {
    i64 *free_at = zeros(pes), *seen = filled(width, -1), waits = 0, taken = 0, bus = 0, out = 0;
    VALUE *total = malloc((width + 1) * sizeof(VALUE));
    for (i64 row = 0; row < a_pointers_n[0] - 1; row++) {
        const i64 begin = out;
        i64 elements = 0, chunks = 0, chunk_bits = 0;
        for (i64 e = a_pointers[row]; e < a_pointers[row + 1]; e++) {
            const i64 first = b_pointers[a_columns[e]], last = b_pointers[a_columns[e] + 1];
            if (last > first) {
                chunks++;
                elements += last - first;
                chunk_bits += bursts(last - first, element_bits, burst);
            }
            for (i64 j = first; j < last; j++) {
                const i64 column = b_columns[j];
                if (seen[column] != row) {
                    seen[column] = row;
                    total[column] = a_values[e] * b_values[j];
                    columns[out++] = column;
                } else {
                    total[column] += a_values[e] * b_values[j];
                }
            }
        }
        qsort(columns + begin, out - begin, sizeof(i64), by_size);
        for (i64 j = begin; j < out; j++) values[j] = total[columns[j]];
        pointers[row + 1] = out;
        if (elements == 0) continue;
        i64 passes = 1;
        for (i64 lists = chunks; lists > heads; lists = ceil_div(lists, heads)) passes++;
        const i64 wait = latency * (1 + chunks + passes * elements);
        free_at[first_free(free_at, pes)] += wait + passes * elements;
        waits += wait;
        taken += passes * elements;
        bus += chunk_bits + 2 * (passes - 1) * bursts(elements, element_bits, burst) +
               bursts(out - begin, element_bits, burst);
    }
    result[0] = largest(free_at, pes), result[1] = waits, result[2] = taken, result[3] = bus;
    free(free_at), free(seen), free(total);
}
