#include "twin.h"

void cache_rows(ARRAY(const i64, uses), ARRAY(const i64, b_pointers), i64 capacity,
                ARRAY(int8_t, fetched), i64 *result) {
    const i64 n_rows = b_pointers_n[0] - 1, end = n_rows;
    i64 *before = filled(n_rows + 1, -1), *after = filled(n_rows + 1, -1), room = capacity, read = 0, count = 0, peak = 0;
    bool *held = calloc(n_rows + 1, 1), *touched = calloc(n_rows + 1, 1);
    before[end] = after[end] = end;
    for (i64 t = 0; t < uses_n[0]; t++) {
        const i64 row = uses[t], length = b_pointers[row + 1] - b_pointers[row];
        count += !touched[row];
        if (!touched[row]) fetched[t] = 2;
        touched[row] = true;
        if (held[row]) {
            after[before[row]] = after[row];
            before[after[row]] = before[row];
        } else {
            read += length;
            fetched[t] += 1;
            if (length > capacity) continue;
            while (room < length) {
                const i64 oldest = after[end];
                held[oldest] = false;
                after[end] = after[oldest];
                before[after[oldest]] = end;
                room += b_pointers[oldest + 1] - b_pointers[oldest];
            }
            held[row] = true;
            room -= length;
            peak = max(peak, capacity - room);
        }
        before[row] = before[end], after[row] = end;
        after[before[end]] = row;
        before[end] = row;
    }
    result[0] = count, result[1] = read, result[2] = peak;
    free(before), free(after), free(held), free(touched);
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

void merge_cost(ARRAY(const i64, a_pointers), ARRAY(const i64, a_columns), ARRAY(const i64, b_pointers), i64 radix,
                i64 pes, i64 *result) {
    i64 *free_at = zeros(pes), swaps = 0, products = 0, work = 0;
    for (i64 row = 0; row < a_pointers_n[0] - 1; row++) {
        i64 elements = 0, fibres = 0, cost = 0, chosen = 0;
        for (i64 e = a_pointers[row]; e < a_pointers[row + 1]; e++) {
            const i64 length = b_pointers[a_columns[e] + 1] - b_pointers[a_columns[e]];
            elements += length;
            fibres += length > 0;
        }
        for (i64 heads = fibres; heads > 1; heads = ceil_div(heads, radix)) cost += elements + heads;
        const i64 spent = max(cost, elements);
        for (i64 pe = 1; pe < pes; pe++)
            if (free_at[pe] < free_at[chosen]) chosen = pe;
        free_at[chosen] += spent;
        swaps += cost, products += elements, work += spent;
    }
    result[0] = largest(free_at, pes), result[1] = work, result[2] = swaps, result[3] = products;
    free(free_at);
}

void merge_values(ARRAY(const i64, a_pointers), ARRAY(const i64, a_columns), ARRAY(const VALUE, a_values),
                  ARRAY(const i64, b_pointers), ARRAY(const i64, b_columns), ARRAY(const VALUE, b_values),
                  i64 first_row, i64 last_row, ARRAY(const i64, pointers), ARRAY(i64, columns), ARRAY(VALUE, values),
                  i64 *result) {
    i64 size = 16, room = 16;
    i64 *left_c = malloc(size * sizeof(i64)), *right_c = malloc(size * sizeof(i64)), *ends = malloc(room * sizeof(i64));
    VALUE *left_v = malloc(size * sizeof(VALUE)), *right_v = malloc(size * sizeof(VALUE));
    result[0] = -1;
    for (i64 row = first_row; row < last_row && result[0] < 0; row++) {
        const i64 first = a_pointers[row], last = a_pointers[row + 1];
        i64 elements = 0, to = 0, streams = 0;
        for (i64 e = first; e < last; e++) elements += b_pointers[a_columns[e] + 1] - b_pointers[a_columns[e]];
        if (elements > size) {
            size = 2 * elements;
            free(left_c), free(right_c), free(left_v), free(right_v);
            left_c = malloc(size * sizeof(i64)), right_c = malloc(size * sizeof(i64));
            left_v = malloc(size * sizeof(VALUE)), right_v = malloc(size * sizeof(VALUE));
        }
        if (last - first > room) {
            room = 2 * (last - first);
            free(ends);
            ends = malloc(room * sizeof(i64));
        }
        for (i64 e = first; e < last; e++) {
            const i64 begin = b_pointers[a_columns[e]], stop = b_pointers[a_columns[e] + 1];
            for (i64 j = begin; j < stop; j++, to++) {
                left_c[to] = b_columns[j];
                left_v[to] = a_values[e] * b_values[j];
            }
            if (stop > begin) ends[streams++] = to;
        }
        while (streams > 1) {
            i64 begin = 0, made = 0;
            to = 0;
            for (i64 pair = 0; pair < streams; pair += 2) {
                const i64 middle = ends[pair], stop = pair + 1 < streams ? ends[pair + 1] : middle;
                i64 i = begin, j = middle;
                for (; i < middle && j < stop; to++) {
                    const i64 left = left_c[i], right = left_c[j];
                    if (left < right) {
                        right_c[to] = left, right_v[to] = left_v[i++];
                    } else if (right < left) {
                        right_c[to] = right, right_v[to] = left_v[j++];
                    } else {
                        right_c[to] = left, right_v[to] = left_v[i++] + left_v[j++];
                    }
                }
                for (; i < middle; i++, to++) right_c[to] = left_c[i], right_v[to] = left_v[i];
                for (; j < stop; j++, to++) right_c[to] = left_c[j], right_v[to] = left_v[j];
                begin = stop;
                ends[made++] = to;
            }
            streams = made;
            i64 *c = left_c;
            left_c = right_c, right_c = c;
            VALUE *v = left_v;
            left_v = right_v, right_v = v;
        }
        if (to != pointers[row + 1] - pointers[row]) result[0] = row;
        for (i64 j = 0; j < to && result[0] < 0; j++) {
            columns[pointers[row] + j] = left_c[j];
            values[pointers[row] + j] = left_v[j];
        }
    }
    free(left_c), free(right_c), free(left_v), free(right_v), free(ends);
}
