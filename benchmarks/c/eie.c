#include "twin.h"

void compress(ARRAY(const VALUE, codes), i64 pes, i64 run_bits, i64 *result) {
    const i64 rows = codes_n[0], columns = codes_n[1], wide = columns + 1, longest = ((i64)1 << run_bits) - 1;
    i64 *starts = result, *last = filled(pes * columns, -1), *place_of = malloc(pes * columns * sizeof(i64));
    memset(starts, 0, pes * wide * sizeof(i64));
    for (i64 row = 0; row < rows; row++) {
        const i64 pe = row % pes, place = row / pes;
        for (i64 column = 0; column < columns; column++)
            if (codes[row * columns + column]) {
                starts[pe * wide + column + 1] += 1 + ((place - last[pe * columns + column] - 1) >> run_bits);
                last[pe * columns + column] = place;
            }
    }
    i64 total = 0;
    for (i64 pe = 0; pe < pes; pe++) {
        starts[pe * wide] = total;
        for (i64 column = 0; column < columns; column++) {
            place_of[pe * columns + column] = total;
            total += starts[pe * wide + column + 1];
            starts[pe * wide + column + 1] = total;
        }
    }
    i64 *values = result + pes * wide, *runs = values + total;
    memset(values, 0, total * sizeof(i64));
    fill(runs, total, longest);
    fill(last, pes * columns, -1);
    for (i64 row = 0; row < rows; row++) {
        const i64 pe = row % pes, place = row / pes;
        for (i64 column = 0; column < columns; column++)
            if (codes[row * columns + column]) {
                const i64 slice = pe * columns + column, gap = place - last[slice] - 1;
                const i64 at = place_of[slice] + (gap >> run_bits);
                values[at] = codes[row * columns + column];
                runs[at] = gap & longest;
                place_of[slice] = at + 1;
                last[slice] = place;
            }
    }
    free(last), free(place_of);
}

void walk_pass(i64 depth, i64 pointer_cycles, bool bypass, bool padding_cycle, bool empty_cycle, i64 row_entries,
               i64 mapped, ARRAY(const i64, starts), ARRAY(const i64, values), ARRAY(const i64, runs),
               ARRAY(const i64, inputs), ARRAY(const i64, codebook), ARRAY(i64, sums), i64 *result) {
    const i64 columns = inputs_n[0], wide = starts_n[1], pes = sums_n[1];
    const bool with_values = sums_n[0] * sums_n[1] > 0, coded = codebook_n[0] > 0;
    i64 *ends = zeros(depth * mapped), *end = zeros(mapped), *begin = zeros(mapped);
    i64 *last_row = filled(mapped, -1), *last_cycle = filled(mapped, -2), *held = filled(mapped, -1);
    i64 slot = -1, done = 0, free_at = 0, busy = 0, padding = 0, empty = 0, rows = 0, entries = 0;
    i64 control = 0, ramp = 0, conflict = 0, starved = 0, waiting = 0;
    for (i64 column = 0; column < columns; column++) {
        if (inputs[column] == 0) continue;
        i64 *old = ends + done % depth * mapped;
        const i64 before = slot++;
        if (done >= depth)
            for (i64 pe = 0; pe < mapped; pe++) slot = max(slot, old[pe]);
        for (i64 pe = 0; pe < mapped; pe++) {
            const i64 arrived = max(slot + 2, end[pe]);
            const i64 ready = max(max(slot + 1, begin[pe]) + pointer_cycles, end[pe]);
            if (done == 0) {
                ramp += 2;
                conflict += ready - 2;
            } else {
                const i64 known = max(arrived, begin[pe] + 1);
                const i64 mine = done < depth ? before + 1 : max(before + 1, old[pe]);
                const i64 alone = max(0, min(arrived - 2, mine) - (end[pe] - 2));
                starved += alone;
                waiting += arrived - end[pe] - alone;
                control += known - arrived;
                conflict += ready - known;
            }
            begin[pe] = ready;
            i64 cycle = ready, row = -1;
            const i64 zero = starts[pe * wide], first = starts[pe * wide + column], stop = starts[pe * wide + column + 1];
            if (stop > first) {
                const i64 from_row = (first - zero) / row_entries, to_row = (stop - 1 - zero) / row_entries;
                rows += to_row - from_row + (from_row != held[pe]);
                held[pe] = to_row;
            } else if (empty_cycle) {
                empty++;
                cycle++;
            }
            for (i64 at = first; at < stop; at++) {
                row += runs[at] + 1;
                const i64 value = values[at];
                if (value == 0 && !padding_cycle) continue;
                if (!bypass && row == last_row[pe] && cycle == last_cycle[pe] + 1) {
                    conflict++;
                    cycle++;
                }
                if (value == 0) {
                    padding++;
                } else {
                    busy++;
                    if (with_values) sums[row * pes + pe] += (coded ? codebook[value] : value) * inputs[column];
                }
                last_row[pe] = row;
                last_cycle[pe] = cycle++;
            }
            entries += stop - first;
            end[pe] = old[pe] = cycle;
            free_at = max(free_at, cycle);
        }
        done++;
    }
    for (i64 pe = 0; pe < mapped; pe++) waiting += free_at - end[pe];
    const i64 counts[] = {free_at, busy, padding, control + empty, ramp, conflict, starved, waiting, done, rows, entries};
    memcpy(result, counts, sizeof counts);
    free(ends), free(end), free(begin), free(last_row), free(last_cycle), free(held);
}
