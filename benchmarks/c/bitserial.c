#include "twin.h"

enum { FIXED, WIDTH, SHIFT, PAIRS };
enum { WINDOWS, STEPS, FILTERS };

struct grid {
    i64 lanes, columns, filters, column_units, spare_units, blocks, depthwise, mode, spread, steps, ta, tw,
        bits_per_cycle, trim_weights, shift, registers;
};
struct span { i64 g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels; };
struct shape { i64 cg, kg, r, s, stride_e, stride_f, dilation_r, dilation_s; };
struct whole { i64 x, w; };
struct window { i64 n, e, f; };
struct stat { i64 live, sum, largest; };
struct place { i64 g, together, k, ks, used; };
struct totals { i64 cycles, busy, zero, unmapped, imbalance, starved, ramp, inputs, weights; };
struct tensor { const void *at; const i64 *n; };

static inline i64 place4(const i64 *n, i64 a, i64 b, i64 c, i64 d) { return ((a * n[1] + b) * n[2] + c) * n[3] + d; }

static i64 shift_cycles(i64 *masks, i64 count, i64 reach) {
    for (i64 cycles = 0;; cycles++) {
        i64 lowest = 0;
        for (i64 i = 0; i < count; i++) {
            const i64 bit = masks[i] & -masks[i];
            if (bit && (lowest == 0 || bit < lowest)) lowest = bit;
        }
        if (lowest == 0) return cycles;
        for (i64 i = 0; i < count; i++)
            if ((masks[i] & -masks[i]) < lowest << reach) masks[i] &= masks[i] - 1;
    }
}

static inline i64 popcount(i64 mask) {
    i64 count = 0;
    for (; mask; mask &= mask - 1) count++;
    return count;
}

static inline i64 product(i64 x_plus, i64 x_minus, i64 w_plus, i64 w_minus, bool x_whole, bool w_whole) {
    if (x_whole) return (x_plus - x_minus) * (w_plus - w_minus);
    i64 total = 0;
    for (i64 a = x_plus | x_minus; a; a &= a - 1) {
        const i64 low = a & -a;
        i64 shifted = 0;
        if (w_whole)
            shifted = (w_plus - w_minus) * low;
        else
            for (i64 b = w_plus | w_minus; b; b &= b - 1) {
                const i64 bit = b & -b;
                shifted += w_plus & bit ? bit * low : -(bit * low);
            }
        total += x_plus & low ? shifted : -shifted;
    }
    return total;
}

static i64 pass_cycles(const i64 *times, i64 steps, i64 side, i64 used, i64 registers, i64 *finished, i64 *ends) {
    fill(ends, used, 0);
    for (i64 i = 0; i < steps; i++) {
        const i64 fetched = i - 1 - registers >= 0 ? finished[i - 1 - registers] : 0;
        i64 last = 0;
        for (i64 j = 0; j < used; j++) {
            ends[j] = max(ends[j], fetched) + times[i * side + j];
            last = max(last, ends[j]);
        }
        finished[i] = i ? max(last, finished[i - 1]) : last;
    }
    return finished[steps - 1];
}

static void weigh(const struct shape *q, const i64 *lanes, i64 steps, i64 width, i64 wide, const struct place *at,
                  const int32_t *marks, const i64 *marks_n, struct stat *stats) {
    memset(stats, 0, steps * wide * sizeof *stats);
    for (i64 d = 0; d < at->together; d++)
        for (i64 k = 0; k < at->ks; k++) {
            const i64 o = (at->g + d) * q->kg + at->k + k;
            for (i64 i = 0; i < steps; i++) {
                i64 lane = d;
                for (i64 l = 0; l < width; l++) {
                    const i64 tap = lanes[i * width + l];
                    if (tap < 0) continue;
                    const i64 mark = marks[place4(marks_n, o, tap / (q->r * q->s), tap / q->s % q->r, tap % q->s)];
                    if (mark) {
                        struct stat *stat = stats + i * wide + lane;
                        stat->live++;
                        stat->sum += mark;
                        stat->largest = max(stat->largest, mark);
                    }
                    lane += at->together;
                }
            }
        }
}

static void walk_step(const struct grid *grid, const struct shape *q, const i64 *taps, i64 width, bool data,
                      const struct place *at, const struct window *windows, const int32_t *marks, const i64 *marks_n,
                      const struct stat *stats, i64 *masks, i64 *times, struct totals *totals) {
    i64 mapped = 0;
    for (i64 l = 0; l < width; l++) mapped += taps[l] >= 0;
    const i64 filters = grid->depthwise ? at->together : at->ks, products = mapped * filters * grid->blocks;
    totals->inputs += mapped * at->used * at->together;
    totals->weights += mapped * filters;
    i64 ta = grid->ta, tw = grid->tw, pairs = 0, widest_x = 0, widest_w = 0;
    for (i64 j = 0; j < (data ? at->used : 0); j++) {
        i64 count = 0, most = 0, own = 0;
        const i64 h0 = windows[j].e * q->stride_e, v0 = windows[j].f * q->stride_f;
        for (i64 l = 0; l < width; l++) {
            const i64 tap = taps[l];
            if (tap < 0) continue;
            const i64 c = tap / (q->r * q->s), r = tap / q->s % q->r, s = tap % q->s;
            for (i64 d = 0; d < at->together; d++) {
                const i64 y = h0 + r * q->dilation_r, col = v0 + s * q->dilation_s;
                const i64 x = marks[place4(marks_n, windows[j].n, (at->g + d) * q->cg + c, y, col)];
                const struct stat *stat = stats + count;
                if (grid->mode == WIDTH) {
                    widest_x = max(widest_x, x), widest_w = max(widest_w, stat->largest);
                    if (x) pairs += stat->live;
                } else if (grid->mode == SHIFT) {
                    const i64 terms = popcount(x);
                    own += terms * at->ks;
                    totals->busy += terms * stat->live;
                    totals->zero += terms * (at->ks - stat->live);
                    masks[count] = x;
                } else {
                    own += x * stat->sum;
                    totals->busy += x * stat->sum;
                    most = max(most, x * stat->largest);
                }
                count++;
            }
        }
        times[j] = max(1, grid->mode == SHIFT ? shift_cycles(masks, count, grid->shift) : most);
        if (grid->mode != WIDTH && grid->spread == STEPS) totals->imbalance += products * times[j] - own;
    }
    if (grid->mode == WIDTH && data) {
        ta = max(1, ceil_div(widest_x, grid->bits_per_cycle));
        tw = grid->trim_weights ? max(1, widest_w) : grid->tw;
    }
    if (grid->mode == WIDTH || !data) {
        const i64 slot = grid->spread == FILTERS ? tw * max(grid->columns, ta) : ta * tw;
        const i64 live = data ? pairs : at->used * products;
        for (i64 j = 0; j < at->used; j++) times[j] = slot;
        totals->busy += live * ta * tw;
        totals->zero += (at->used * products - live) * ta * tw;
        totals->starved += at->used * products * (slot - ta * tw);
    }
    const i64 room = grid->column_units * (grid->spread == FILTERS ? grid->columns : 1);
    for (i64 j = 0; j < at->used; j++) totals->unmapped += (room - products) * times[j];
}

static void add_products(const struct shape *q, const i64 *taps, i64 width, const struct whole *whole,
                         const struct place *at, const struct window *windows, const i64 *x, const i64 *x_n,
                         const i64 *w, const i64 *w_n, i64 *out, const i64 *out_n) {
    const i64 x_half = x_n[1] * x_n[2] * x_n[3] * x_n[4], w_half = w_n[1] * w_n[2] * w_n[3] * w_n[4];
    for (i64 j = 0; j < at->used; j++) {
        const struct window to = windows[j];
        for (i64 l = 0; l < width; l++) {
            const i64 tap = taps[l];
            if (tap < 0) continue;
            const i64 c = tap / (q->r * q->s), r = tap / q->s % q->r, s = tap % q->s;
            const i64 y = to.e * q->stride_e + r * q->dilation_r, col = to.f * q->stride_f + s * q->dilation_s;
            for (i64 d = 0; d < at->together; d++)
                for (i64 k = 0; k < at->ks; k++) {
                    const i64 o = (at->g + d) * q->kg + at->k + k;
                    const i64 *a = x + place4(x_n + 1, to.n, (at->g + d) * q->cg + c, y, col);
                    const i64 *b = w + place4(w_n + 1, o, c, r, s);
                    out[place4(out_n, to.n, o, to.e, to.f)] +=
                        product(a[0], a[x_half], b[0], b[w_half], whole->x, whole->w);
                }
        }
    }
}

void walk_tile(const struct grid *grid, const struct span *span, const struct shape *shape, ARRAY(const i64, lanes),
               bool data, bool with_values, const struct whole *whole, ARRAY(const int32_t, x_marks),
               ARRAY(const int32_t, w_marks), ARRAY(const i64, x_terms), ARRAY(const i64, w_terms), ARRAY(i64, out),
               i64 *result) {
    const struct grid g = *grid;
    const struct span a = *span;
    const i64 m = a.images * a.rows * a.cols, steps = lanes_n[0], width = lanes_n[1];
    const i64 per_set = g.spread == FILTERS ? g.filters * g.columns : g.filters;
    const i64 side = g.spread == WINDOWS ? g.columns : 1, group_step = g.depthwise ? g.depthwise : 1;
    const i64 wide = width * group_step;
    struct totals totals = {0};
    struct window *windows = calloc(side, sizeof *windows);
    struct stat *stats = calloc(steps * wide, sizeof *stats);
    i64 *free_at = zeros(g.columns), *masks = zeros(wide), *times = zeros(steps * side);
    i64 *finished = zeros(steps), *ends = zeros(side), issued = -1, turn = 0;
    for (i64 group = a.g0; group < a.g0 + a.groups; group += group_step)
        for (i64 k = a.k0; k < a.k0 + a.filters; k += per_set) {
            struct place at = {group, min(group_step, a.g0 + a.groups - group), k, min(per_set, a.k0 + a.filters - k), 0};
            if (data) weigh(shape, lanes, steps, width, wide, &at, w_marks, w_marks_n, stats);
            for (i64 start = 0; start < m; start += side) {
                at.used = min(side, m - start);
                for (i64 j = 0; j < at.used; j++) {
                    const i64 pixel = start + j;
                    windows[j] = (struct window){a.n0 + pixel / (a.rows * a.cols), a.e0 + pixel / a.cols % a.rows,
                                                 a.f0 + pixel % a.cols};
                }
                for (i64 i = 0; i < steps; i++) {
                    i64 *time = times + i * side;
                    walk_step(&g, shape, lanes + i * width, width, data, &at, windows, x_marks, x_marks_n,
                              stats + i * wide, masks, time, &totals);
                    if (with_values)
                        add_products(shape, lanes + i * width, width, whole, &at, windows, x_terms, x_terms_n, w_terms,
                                     w_terms_n, out, out_n);
                    if (g.spread == STEPS) {
                        const i64 begin = max(issued + 1, free_at[turn]);
                        issued = begin, free_at[turn] = begin + time[0];
                        turn = (turn + 1) % g.columns;
                        totals.cycles = max(totals.cycles, begin + time[0]);
                    } else if (g.spread == FILTERS) {
                        totals.cycles += time[0];
                    }
                }
                if (g.spread == WINDOWS) {
                    const i64 length = pass_cycles(times, steps, side, at.used, g.registers, finished, ends);
                    totals.cycles += length;
                    totals.unmapped += (g.columns - at.used) * g.column_units * length;
                }
            }
        }
    if (g.spread == FILTERS) {
        totals.cycles += g.columns - 1;
        totals.ramp = g.columns * g.column_units * (g.columns - 1);
    }
    totals.unmapped += g.spare_units * totals.cycles;
    const i64 rest = (g.columns * g.column_units + g.spare_units) * totals.cycles - totals.busy - totals.zero -
                     totals.unmapped - totals.imbalance - totals.starved - totals.ramp;
    if (g.spread == STEPS)
        totals.starved += rest;
    else
        totals.imbalance += rest;
    memcpy(result, &totals, sizeof totals);
    free(windows), free(stats), free(free_at), free(masks), free(times), free(finished), free(ends);
}
