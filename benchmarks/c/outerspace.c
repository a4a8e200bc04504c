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

void row_sizes(ARRAY(const i64, a_pointers), ARRAY(const i64, a_columns), ARRAY(const i64, b_pointers),
               ARRAY(const i64, b_columns), i64 first, i64 last, ARRAY(i64, seen), ARRAY(i64, sizes), i64 *result) {
    (void)result;
    for (i64 row = first; row < last; row++) {
        i64 size = 0;
        for (i64 e = a_pointers[row]; e < a_pointers[row + 1]; e++)
            for (i64 j = b_pointers[a_columns[e]]; j < b_pointers[a_columns[e] + 1]; j++) {
                size += seen[b_columns[j]] != row;
                seen[b_columns[j]] = row;
            }
        sizes[row] = size;
    }
}

void merge(ARRAY(const i64, a_pointers), ARRAY(const i64, a_columns), ARRAY(const i64, b_pointers),
           ARRAY(const i64, sizes), i64 pes, i64 heads, i64 latency, i64 element_bits, i64 burst, i64 *result) {
    i64 *free_at = zeros(pes), waits = 0, taken = 0, bus = 0;
    for (i64 row = 0; row < a_pointers_n[0] - 1; row++) {
        i64 elements = 0, chunks = 0, chunk_bits = 0, passes = 1;
        for (i64 e = a_pointers[row]; e < a_pointers[row + 1]; e++) {
            const i64 length = b_pointers[a_columns[e] + 1] - b_pointers[a_columns[e]];
            chunks += length > 0;
            elements += length;
            chunk_bits += bursts(length, element_bits, burst);
        }
        if (elements == 0) continue;
        for (i64 lists = chunks; lists > heads; lists = ceil_div(lists, heads)) passes++;
        const i64 wait = latency * (1 + chunks + passes * elements);
        free_at[first_free(free_at, pes)] += wait + passes * elements;
        waits += wait;
        taken += passes * elements;
        bus += chunk_bits + 2 * (passes - 1) * bursts(elements, element_bits, burst) +
               bursts(sizes[row], element_bits, burst);
    }
    result[0] = largest(free_at, pes), result[1] = waits, result[2] = taken, result[3] = bus;
    free(free_at);
}

void add_values(ARRAY(const i64, a_pointers), ARRAY(const i64, a_columns), ARRAY(const VALUE, a_values),
                ARRAY(const i64, b_pointers), ARRAY(const i64, b_columns), ARRAY(const VALUE, b_values), i64 first,
                i64 last, ARRAY(const i64, pointers), ARRAY(i64, columns), ARRAY(VALUE, values), i64 *result) {
    i64 width = 0;
    for (i64 e = a_pointers[first]; e < a_pointers[last]; e++) {
        const i64 begin = b_pointers[a_columns[e]], end = b_pointers[a_columns[e] + 1];
        if (end > begin) width = max(width, b_columns[end - 1] + 1);
    }
    VALUE *total = malloc((width + 1) * sizeof(VALUE));
    i64 *seen = filled(width, -1);
    result[0] = -1;
    for (i64 row = first; row < last && result[0] < 0; row++) {
        const i64 begin = pointers[row];
        i64 out = begin;
        for (i64 e = a_pointers[row]; e < a_pointers[row + 1] && result[0] < 0; e++)
            for (i64 j = b_pointers[a_columns[e]]; j < b_pointers[a_columns[e] + 1]; j++) {
                const i64 column = b_columns[j];
                if (seen[column] != row) {
                    if (out == pointers[row + 1]) {
                        result[0] = row;
                        break;
                    }
                    seen[column] = row;
                    total[column] = a_values[e] * b_values[j];
                    columns[out++] = column;
                } else {
                    total[column] += a_values[e] * b_values[j];
                }
            }
        if (out != pointers[row + 1]) result[0] = row;
        qsort(columns + begin, out - begin, sizeof(i64), by_size);
        for (i64 j = begin; j < out; j++) values[j] = total[columns[j]];
    }
    free(total), free(seen);
}
