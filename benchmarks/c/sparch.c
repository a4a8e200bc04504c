#include "twin.h"

static i64 push(i64 *heap, i64 size, i64 key) {
    i64 i = size;
    for (heap[i] = key; i > 0 && heap[(i - 1) / 2] < heap[i]; i = (i - 1) / 2) {
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = key;
    }
    return size + 1;
}

static i64 pop(i64 *heap, i64 size) {
    heap[0] = heap[--size];
    for (i64 i = 0, child; (child = 2 * i + 1) < size; i = child) {
        if (child + 1 < size && heap[child + 1] > heap[child]) child++;
        if (heap[i] >= heap[child]) break;
        const i64 key = heap[i];
        heap[i] = heap[child], heap[child] = key;
    }
    return size;
}

void fetch_rows(ARRAY(const i64, uses), ARRAY(const i64, b_pointers), i64 lookahead, i64 lines, i64 line_elements,
                ARRAY(i64, held), ARRAY(i64, latest), i64 *result) {
    const i64 n = uses_n[0], never = n + lookahead + 1;
    i64 *following = malloc((n + 1) * sizeof(i64)), *known = malloc((n + 1) * sizeof(i64));
    i64 n_known = 0, room = lines, oldest = 0, peak = 0;
    for (i64 t = n - 1; t >= 0; t--) {
        following[t] = latest[uses[t]] >= 0 ? latest[uses[t]] : never;
        latest[uses[t]] = t;
    }
    for (i64 t = 0; t < n; t++) latest[uses[t]] = -1;
    for (i64 t = 0; t < n; t++) {
        const i64 row = uses[t], entering = t + lookahead - 1;
        if (lookahead > 1 && entering < n && held[uses[entering]] > 0 && uses[entering] != row &&
            following[latest[uses[entering]]] == entering)
            n_known = push(known, n_known, entering);
        const i64 length = b_pointers[row + 1] - b_pointers[row], need = min(ceil_div(length, line_elements), lines);
        result[t] = length - min(length, held[row] * line_elements);
        const i64 missing = need - held[row];
        latest[row] = t;
        while (room < missing) {
            while (oldest < t && (latest[uses[oldest]] != oldest || held[uses[oldest]] == 0 ||
                                  following[oldest] <= entering))
                oldest++;
            const i64 victim = oldest < t ? uses[oldest] : uses[known[0]];
            const i64 dropped = min(held[victim], missing - room);
            held[victim] -= dropped;
            room += dropped;
            if (oldest == t && held[victim] == 0) n_known = pop(known, n_known);
        }
        held[row] += missing;
        room -= missing;
        peak = max(peak, lines - room);
        if (following[t] <= entering) n_known = push(known, n_known, following[t]);
    }
    for (i64 t = 0; t < n; t++) held[uses[t]] = 0, latest[uses[t]] = -1;
    result[n] = peak;
    free(following), free(known);
}

static i64 merge(const i64 *columns, const VALUE *values, i64 i, i64 middle, i64 end, i64 *out_columns,
                 VALUE *out_values, i64 to) {
    i64 j = middle;
    for (; i < middle && j < end; to++) {
        const i64 left = columns[i], right = columns[j];
        if (left < right) {
            out_columns[to] = left, out_values[to] = values[i++];
        } else if (right < left) {
            out_columns[to] = right, out_values[to] = values[j++];
        } else {
            out_columns[to] = left, out_values[to] = values[i++] + values[j++];
        }
    }
    for (; i < middle; i++, to++) out_columns[to] = columns[i], out_values[to] = values[i];
    for (; j < end; j++, to++) out_columns[to] = columns[j], out_values[to] = values[j];
    return to;
}

void merge_rows(ARRAY(const i64, rows), ARRAY(const i64, slots), ARRAY(const i64, begins), ARRAY(const i64, ends),
                ARRAY(const bool, from_b), ARRAY(const VALUE, factors), ARRAY(const i64, b_columns),
                ARRAY(const VALUE, b_values), ARRAY(const int32_t, p_columns), ARRAY(const VALUE, p_values), i64 layers,
                ARRAY(int32_t, out_columns), ARRAY(VALUE, out_values), i64 *result) {
    const i64 ways = (i64)1 << layers, pieces = rows_n[0];
    i64 *stops = zeros(ways), size = 16, piece = 0, out = 0;
    i64 *left_c = malloc(size * sizeof(i64)), *right_c = malloc(size * sizeof(i64));
    VALUE *left_v = malloc(size * sizeof(VALUE)), *right_v = malloc(size * sizeof(VALUE));
    while (piece < pieces) {
        const i64 row = rows[piece];
        i64 total = 0, after = piece;
        for (; after < pieces && rows[after] == row; after++) total += ends[after] - begins[after];
        if (total > size) {
            size = 2 * total;
            free(left_c), free(right_c), free(left_v), free(right_v);
            left_c = malloc(size * sizeof(i64)), right_c = malloc(size * sizeof(i64));
            left_v = malloc(size * sizeof(VALUE)), right_v = malloc(size * sizeof(VALUE));
        }
        i64 to = 0, streams = 1;
        for (i64 slot = 0; slot < ways; slot++) {
            if (piece < after && slots[piece] == slot) {
                for (i64 j = begins[piece]; j < ends[piece]; j++, to++) {
                    left_c[to] = from_b[piece] ? b_columns[j] : p_columns[j];
                    left_v[to] = from_b[piece] ? factors[piece] * b_values[j] : p_values[j];
                }
                piece++;
                while (streams <= slot) streams *= 2;
            }
            stops[slot] = to;
        }
        while (streams > 1) {
            i64 begin = 0;
            to = 0;
            streams /= 2;
            for (i64 node = 0; node < streams; node++) {
                const i64 middle = stops[2 * node], end = stops[2 * node + 1];
                to = merge(left_c, left_v, begin, middle, end, right_c, right_v, to);
                begin = end;
                stops[node] = to;
            }
            i64 *c = left_c;
            left_c = right_c, right_c = c;
            VALUE *v = left_v;
            left_v = right_v, right_v = v;
        }
        for (i64 j = 0; j < to; j++, out++) out_columns[out] = (int32_t)left_c[j], out_values[out] = left_v[j];
        piece = after;
    }
    result[0] = out;
    free(stops), free(left_c), free(right_c), free(left_v), free(right_v);
}

void count_rows(ARRAY(const i64, rows), ARRAY(const i64, slots), ARRAY(const i64, begins), ARRAY(const i64, ends),
                ARRAY(const bool, from_b), bool multiply, ARRAY(const i64, b_columns), ARRAY(const int32_t, p_columns),
                i64 layers, ARRAY(i64, last), i64 serial, ARRAY(i64, groups), ARRAY(int32_t, out_columns),
                i64 *result) {
    const i64 ways = (i64)1 << layers, pieces = rows_n[0], wide = groups_n[1];
    i64 *depth = zeros(ways), *seen = zeros(layers + 2), piece = 0, count = 0, out = 0;
    for (i64 differing = 1; differing < ways; differing++) depth[differing] = depth[differing >> 1] + 1;
    while (piece < pieces) {
        const i64 row = rows[piece], base = serial << layers, before = out;
        fill(seen, layers + 2, 0);
        i64 entries = 0, from_dram = 0, total = 0;
        for (; piece < pieces && rows[piece] == row; piece++) {
            const i64 tag = base + slots[piece], size = ends[piece] - begins[piece];
            total += size;
            if (from_b[piece] && multiply)
                entries++;
            else
                from_dram += size;
            if (from_b[piece])
                for (i64 j = begins[piece]; j < ends[piece]; j++) {
                    const i64 column = b_columns[j], differing = last[column] ^ tag;
                    last[column] = tag;
                    if (differing >> layers)
                        out_columns[out++] = (int32_t)column;
                    else
                        seen[depth[differing]]++;
                }
            else
                for (i64 j = begins[piece]; j < ends[piece]; j++) {
                    const i64 column = p_columns[j], differing = last[column] ^ tag;
                    last[column] = tag;
                    if (differing >> layers)
                        out_columns[out++] = (int32_t)column;
                    else
                        seen[depth[differing]]++;
                }
        }
        i64 *group = groups + count++ * wide, into = out - before;
        group[0] = row, group[1] = entries, group[2] = from_dram, group[3] = total - from_dram;
        group[4 + layers] = into;
        for (i64 layer = layers - 1; layer >= 0; layer--) group[4 + layer] = into += seen[layer + 1];
        serial++;
    }
    result[0] = count, result[1] = out, result[2] = serial;
    free(depth), free(seen);
}

void time_round(ARRAY(const i64, groups), ARRAY(const i64, slots), ARRAY(const i64, reads), ARRAY(const i64, writes),
                ARRAY(const i64, late), ARRAY(const i64, scans), i64 layers, ARRAY(const i64, capacities), i64 lookahead,
                ARRAY(const i64, cost), ARRAY(i64, order), ARRAY(i64, when), i64 *result) {
    const i64 n = groups_n[0], wide = groups_n[1], stages = layers + 1;
    const i64 per_slot = cost[0], per_element = cost[1], per_cycle = cost[2], passing = cost[3];
    i64 *begun = zeros(n * (stages + 1)), *ready = zeros(n), *done = zeros(n), *free_at = zeros(stages);
    i64 *blocker = filled(stages, -1), *waiting = zeros(stages), *read_at = zeros(n), *scan_bound = zeros(n);
    i64 asked = 0, walked = 0, written = 0, bus = 0, busy = 0, ahead = -1, fetched = n ? groups[1] : 0;
    i64 memory = 0, conflict = 0, control = 0;
    while (written < n) {
        while (walked < asked) {
            const i64 g = walked, *group = groups + g * wide;
            for (i64 s = 0; s < stages; s++)
                while (waiting[s] > capacities[s] && blocker[s] < g - 1)
                    waiting[s] -= groups[++blocker[s] * wide + 4 + s];
            if (blocker[stages - 1] >= written) break;
            i64 before_begin = read_at[g] + late[g] * (group[3] > 0 && group[1] > 0 ? 2 : 1);
            i64 before_end = before_begin + reads[g];
            for (i64 s = 0; s < stages; s++) {
                const i64 block = blocker[s] >= 0 ? begun[blocker[s] * (stages + 1) + s + 1] : 0;
                const i64 begin = max(max(free_at[s], before_begin), block);
                const i64 work = s == 0 ? slots[g] * per_slot : group[3 + s] * per_element;
                const i64 end = max(begin + work, before_end);
                if (s == 0) {
                    const i64 came = min(begin, max(free_at[0], before_begin));
                    if (scan_bound[g])
                        control += came - free_at[0];
                    else
                        memory += came - free_at[0];
                    conflict += begin - came;
                    memory += end - begin - work;
                    done[g] = end;
                }
                begun[g * (stages + 1) + s] = begin;
                free_at[s] = end;
                waiting[s] += group[4 + s];
                before_begin = begin + passing, before_end = end + passing;
            }
            ready[g] = free_at[stages - 1];
            walked++;
        }
        const bool asks = asked < n && ahead < walked;
        const i64 space = ahead >= 0 && asks ? done[ahead] : 0, reached = asks ? scans[asked] * per_cycle : 0;
        const i64 read_begin = max(max(bus, space), reached);
        if (written < walked && (!asks || max(bus, ready[written]) <= read_begin)) {
            begun[written * (stages + 1) + stages] = max(bus, ready[written]);
            order[asked + written] = n + written;
            when[n + written] = max(bus, ready[written]);
            bus = max(bus, ready[written]) + writes[written];
            busy += writes[written++];
        } else {
            scan_bound[asked] = reached > max(bus, space);
            read_at[asked] = read_begin;
            order[asked + written] = asked;
            when[asked] = read_begin;
            bus = read_begin + reads[asked];
            busy += reads[asked++];
            fetched += asked < n ? groups[asked * wide + 1] : 0;
            while (fetched > lookahead && ahead < asked - 1) fetched -= groups[++ahead * wide + 1];
        }
    }
    result[0] = max(bus, largest(free_at, stages));
    result[1] = memory, result[2] = conflict, result[3] = control, result[4] = busy;
    free(begun), free(ready), free(done), free(free_at), free(blocker), free(waiting), free(read_at), free(scan_bound);
}
