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
                i64 *result) {
    const i64 n = uses_n[0], n_rows = b_pointers_n[0] - 1, never = n + lookahead + 1;
    i64 *following = malloc((n + 1) * sizeof(i64)), *last = filled(n_rows, never), *held = zeros(n_rows);
    i64 *latest = filled(n_rows, -1), *known = malloc((n + 1) * sizeof(i64));
    i64 n_known = 0, room = lines, oldest = 0, peak = 0;
    for (i64 t = n - 1; t >= 0; t--) {
        following[t] = last[uses[t]];
        last[uses[t]] = t;
    }
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
    result[n] = peak;
    free(following), free(last), free(held), free(latest), free(known);
}

static i64 merge(const i64 *columns, const VALUE *values, i64 i, i64 middle, i64 end, i64 *out_columns,
                 VALUE *out_values, i64 to) {
    for (i64 j = middle, first = middle; i < first || j < end; to++) {
        if (j == end || (i < first && columns[i] < columns[j])) {
            out_columns[to] = columns[i], out_values[to] = values[i];
            i++;
        } else if (i == first || columns[j] < columns[i]) {
            out_columns[to] = columns[j], out_values[to] = values[j];
            j++;
        } else {
            out_columns[to] = columns[i], out_values[to] = values[i] + values[j];
            i++, j++;
        }
    }
    return to;
}

void merge_rows(ARRAY(const i64, rows), ARRAY(const i64, slots), ARRAY(const i64, uses), ARRAY(const VALUE, factors),
                ARRAY(const i64, b_pointers), ARRAY(const i64, b_columns), ARRAY(const VALUE, b_values), i64 layers,
                ARRAY(const i64, starts), ARRAY(const i64, p_rows), ARRAY(const i64, p_columns),
                ARRAY(const VALUE, p_values), ARRAY(const i64, p_slots), ARRAY(i64, out_rows), ARRAY(i64, out_columns),
                ARRAY(VALUE, out_values), ARRAY(i64, groups), i64 *result) {
    const i64 ways = (i64)1 << layers, rows_end = (i64)1 << 60, streams = starts_n[0] - 1, entries = rows_n[0];
    i64 *at = malloc((streams + 1) * sizeof(i64)), *segment = zeros(ways), *ends = zeros(ways);
    i64 *entry_of = malloc(ways * sizeof(i64)), *stream_of = malloc(ways * sizeof(i64));
    i64 size = 16, e = 0, out = 0, count = 0;
    i64 *left_c = malloc(size * sizeof(i64)), *right_c = malloc(size * sizeof(i64));
    VALUE *left_v = malloc(size * sizeof(VALUE)), *right_v = malloc(size * sizeof(VALUE));
    memcpy(at, starts, streams * sizeof(i64));
    for (;;) {
        i64 row = e < entries ? rows[e] : rows_end;
        for (i64 i = 0; i < streams; i++)
            if (at[i] < starts[i + 1]) row = min(row, p_rows[at[i]]);
        if (row == rows_end) break;
        fill(entry_of, ways, -1), fill(stream_of, ways, -1);
        const i64 first = e;
        i64 total = 0, from_dram = 0;
        for (; e < entries && rows[e] == row; e++) {
            entry_of[slots[e]] = e;
            total += b_pointers[uses[e] + 1] - b_pointers[uses[e]];
        }
        const i64 products = total;
        for (i64 i = 0; i < streams; i++) {
            i64 stop = at[i];
            while (stop < starts[i + 1] && p_rows[stop] == row) stop++;
            stream_of[p_slots[i]] = i;
            segment[p_slots[i]] = stop;
            from_dram += stop - at[i];
        }
        total += from_dram;
        if (total > size) {
            size = 2 * total;
            free(left_c), free(right_c), free(left_v), free(right_v);
            left_c = malloc(size * sizeof(i64)), right_c = malloc(size * sizeof(i64));
            left_v = malloc(size * sizeof(VALUE)), right_v = malloc(size * sizeof(VALUE));
        }
        i64 to = 0;
        for (i64 slot = 0; slot < ways; slot++) {
            if (entry_of[slot] >= 0) {
                const i64 use = uses[entry_of[slot]];
                const VALUE factor = factors[entry_of[slot]];
                for (i64 j = b_pointers[use]; j < b_pointers[use + 1]; j++, to++) {
                    left_c[to] = b_columns[j];
                    left_v[to] = factor * b_values[j];
                }
            } else if (stream_of[slot] >= 0) {
                const i64 stream = stream_of[slot];
                for (i64 j = at[stream]; j < segment[slot]; j++, to++) {
                    left_c[to] = p_columns[j];
                    left_v[to] = p_values[j];
                }
                at[stream] = segment[slot];
            }
            ends[slot] = to;
        }
        i64 *group = groups + count++ * groups_n[1];
        group[0] = row, group[1] = first, group[2] = e - first, group[3] = from_dram, group[4] = products;
        for (i64 layer = 0; layer < layers; layer++) {
            group[5 + layer] = to;
            i64 begin = 0;
            to = 0;
            for (i64 node = 0; node < ways >> (layer + 1); node++) {
                const i64 middle = ends[2 * node], end = ends[2 * node + 1];
                to = merge(left_c, left_v, begin, middle, end, right_c, right_v, to);
                begin = end;
                ends[node] = to;
            }
            i64 *c = left_c;
            left_c = right_c, right_c = c;
            VALUE *v = left_v;
            left_v = right_v, right_v = v;
        }
        group[5 + layers] = to;
        for (i64 j = 0; j < to; j++, out++) {
            out_rows[out] = row;
            out_columns[out] = left_c[j];
            out_values[out] = left_v[j];
        }
    }
    result[0] = count, result[1] = out;
    free(at), free(segment), free(ends), free(entry_of), free(stream_of);
    free(left_c), free(right_c), free(left_v), free(right_v);
}

void time_round(ARRAY(const i64, groups), ARRAY(const i64, slots), ARRAY(const i64, bits), ARRAY(const i64, writes),
                ARRAY(const i64, scans), i64 layers, ARRAY(const i64, capacities), i64 lookahead, ARRAY(const i64, cost),
                i64 *result) {
    const i64 n = groups_n[0], wide = groups_n[1], stages = layers + 1;
    const i64 per_slot = cost[0], per_element = cost[1], per_bit = cost[2], per_cycle = cost[3];
    const i64 latency = cost[4], passing = cost[5];
    i64 *begun = zeros(n * (stages + 1)), *ready = zeros(n), *done = zeros(n), *free_at = zeros(stages);
    i64 *blocker = filled(stages, -1), *waiting = zeros(stages);
    i64 bus = 0, written = 0, ahead = -1, fetched = 0, memory = 0, conflict = 0, control = 0, busy = 0;
    i64 gap_from = 0, gap_to = 0;
    for (i64 g = 0; g < n; g++) {
        const i64 *group = groups + g * wide;
        fetched += group[2];
        while (fetched > lookahead && ahead < g - 1) fetched -= groups[++ahead * wide + 2];
        const i64 space = ahead >= 0 ? done[ahead] : 0, reached = scans[g] * per_cycle, reading = bits[g] * per_bit;
        while (written < g && ready[written] <= max(max(bus, space), reached)) {
            begun[written * (stages + 1) + stages] = max(bus, ready[written]);
            bus = max(bus, ready[written]) + writes[written] * per_bit;
            written++;
        }
        bool scan_bound = reached > max(bus, space);
        i64 start = max(max(gap_from, space), reached);
        if (start + reading <= gap_to) {
            scan_bound = reached > max(gap_from, space);
            gap_from = start + reading;
        } else {
            start = max(max(bus, space), reached);
            bus = start + reading;
        }
        const i64 delay = latency * (group[4] > 0 && group[2] > 0 ? 2 : 1);
        i64 before_begin = start + delay, before_end = start + reading + delay;
        for (i64 s = 0; s < stages; s++) {
            while (waiting[s] > capacities[s] && blocker[s] < g - 1) waiting[s] -= groups[++blocker[s] * wide + 5 + s];
            i64 block = 0;
            if (blocker[s] >= 0) {
                if (s == stages - 1)
                    for (; written <= blocker[s]; written++) {
                        if (ready[written] > bus) gap_from = bus, gap_to = ready[written];
                        begun[written * (stages + 1) + stages] = max(bus, ready[written]);
                        bus = max(bus, ready[written]) + writes[written] * per_bit;
                    }
                block = begun[blocker[s] * (stages + 1) + s + 1];
            }
            const i64 begin = max(max(free_at[s], before_begin), block);
            const i64 work = s == 0 ? slots[g] * per_slot : group[4 + s] * per_element;
            const i64 end = max(begin + work, before_end);
            if (s == 0) {
                const i64 came = min(begin, max(free_at[0], before_begin));
                if (scan_bound)
                    control += came - free_at[0];
                else
                    memory += came - free_at[0];
                conflict += begin - came;
                memory += end - begin - work;
                done[g] = end;
            }
            begun[g * (stages + 1) + s] = begin;
            free_at[s] = end;
            waiting[s] += group[5 + s];
            before_begin = begin + passing, before_end = end + passing;
        }
        ready[g] = free_at[stages - 1];
        busy += bits[g] + writes[g];
    }
    for (; written < n; written++) bus = max(bus, ready[written]) + writes[written] * per_bit;
    result[0] = max(bus, largest(free_at, stages));
    result[1] = memory, result[2] = conflict, result[3] = control, result[4] = busy * per_bit;
    free(begun), free(ready), free(done), free(free_at), free(blocker), free(waiting);
}
