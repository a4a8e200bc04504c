#include "twin.h"

static int by_size(const void *a, const void *b) {
    const i64 x = *(const i64 *)a, y = *(const i64 *)b;
    return (x > y) - (x < y);
}

void stream(ARRAY(const i64, rows), ARRAY(const i64, groups), ARRAY(const i64, inner), ARRAY(const VALUE, factors),
            ARRAY(const i64, b_pointers), ARRAY(const i64, b_columns), ARRAY(const VALUE, b_values), i64 width, i64 m,
            ARRAY(i64, heads), ARRAY(i64, columns), ARRAY(VALUE, values), i64 *result) {
    VALUE *total = calloc(width + 1, sizeof(VALUE)), *part = calloc(width + 1, sizeof(VALUE));
    i64 *in_row = filled(width, -1), *in_part = filled(width, -1), out = 0, e = 0;
    (void)result;
    for (i64 row = 0; row < m; row++) {
        const i64 begin = out;
        while (e < rows_n[0] && rows[e] == row) {
            const i64 first = e;
            for (; e < rows_n[0] && rows[e] == row && groups[e] == groups[first]; e++)
                for (i64 j = b_pointers[inner[e]]; j < b_pointers[inner[e] + 1]; j++) {
                    const i64 column = b_columns[j];
                    if (in_part[column] != first) {
                        in_part[column] = first;
                        part[column] = 0;
                    }
                    part[column] += factors[e] * b_values[j];
                    if (in_row[column] != row) {
                        in_row[column] = row;
                        total[column] = 0;
                        columns[out++] = column;
                    }
                }
            for (i64 at = begin; at < out; at++)
                if (in_part[columns[at]] == first) total[columns[at]] += part[columns[at]];
        }
        qsort(columns + begin, out - begin, sizeof(i64), by_size);
        for (i64 at = begin; at < out; at++) values[at] = total[columns[at]];
        heads[row + 1] = out;
    }
    free(total), free(part), free(in_row), free(in_part);
}
