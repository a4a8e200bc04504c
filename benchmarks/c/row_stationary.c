#include "twin.h"

struct geometry {
    i64 filter_rows, taps, stride_v, stride_h, outputs, e, n, p, q, r, t, fifo, filter_rate, ifmap_rate, psum_rate;
};
struct content { i64 filters, channels, images, rows, reads_psums, lag; };
struct bus { i64 cycle, words; };

static inline i64 send(struct bus *bus, i64 rate, i64 ready) {
    if (ready > bus->cycle)
        bus->cycle = ready, bus->words = 0;
    else if (bus->words == rate)
        bus->cycle++, bus->words = 0;
    bus->words++;
    return bus->cycle + 1;
}

static void deliver(const struct geometry *g, i64 channels, i64 window, i64 pes, const i64 *starts, i64 *arrived,
                    struct bus *bus) {
    const i64 rows = g->stride_v * (g->e - 1) + g->filter_rows, step = min(g->taps, g->stride_h);
    const i64 used = g->taps + step * (g->outputs - 1), height = g->r * g->filter_rows, depth = g->fifo + 1;
    const i64 image = window / g->outputs, f = window % g->outputs;
    const i64 first = f > 0 ? g->stride_h * (f - 1) + g->taps : 0, met = max(first, g->stride_h * f);
    const i64 before = image * used + (f > 0 ? g->taps + step * (f - 1) : 0);
    for (i64 column = first; column < g->stride_h * f + g->taps; column++)
        for (i64 channel = 0; channel < channels; channel++) {
            const i64 rho = channel / g->q, own = min(g->q, channels - rho * g->q);
            const i64 taken = (before + column - met) * own + channel - rho * g->q + 1 - g->fifo;
            i64 frees = -1;
            if (column >= met && taken > 0) {
                const i64 whole = (taken - 1) / (used * own), columns = ceil_div(taken - whole * used * own, own);
                frees = whole * g->outputs + (columns > g->taps ? ceil_div(columns - g->taps, step) : 0);
            }
            for (i64 y = 0; y < rows; y++) {
                const i64 above = y - g->filter_rows + g->stride_v;
                const i64 low = above > 0 ? above / g->stride_v : 0, high = min(g->e - 1, y / g->stride_v);
                i64 ready = 0;
                if (frees >= 0)
                    for (i64 tau = 0; tau < g->t; tau++)
                        for (i64 j = low; j <= high; j++) {
                            const i64 h = tau * height + rho * g->filter_rows + y - g->stride_v * j;
                            ready = max(ready, starts[frees % depth * pes + h * g->e + j]);
                        }
                const i64 there = send(bus, g->ifmap_rate, ready);
                if (column < met) continue;
                for (i64 tau = 0; tau < g->t; tau++)
                    for (i64 j = low; j <= high; j++) {
                        const i64 h = tau * height + rho * g->filter_rows + y - g->stride_v * j;
                        arrived[h * g->e + j] = there;
                    }
            }
        }
}

void walk_pass(const struct geometry *geometry, const struct content *content, bool with_values, ARRAY(const i64, x),
               ARRAY(const i64, w), ARRAY(i64, out), i64 *result) {
    const struct geometry g = *geometry;
    const struct content c = *content;
    const i64 height = g.r * g.filter_rows, depth = g.fifo + 1, slot = g.p * g.q * g.taps;
    const i64 pes = g.t * height * g.e, windows = g.n * g.outputs;
    const i64 begin = ceil_div(c.filters * c.channels * g.filter_rows * g.taps, g.filter_rate), gate = max(begin, c.lag);
    i64 *starts = zeros(depth * pes), *arrived = zeros(pes), *pushed = zeros(pes), *emptied = zeros(g.t * g.e);
    i64 *moving = zeros(g.p), ramp = 0, starved = 0, conflict = 0;
    struct bus ifmap = {begin, 0}, in = {gate, 0}, outward = {0, 0};
    for (i64 window = 0; window < windows; window++) {
        const i64 image = window / g.outputs, f = window % g.outputs;
        i64 *now = starts + window % depth * pes;
        if (image < c.images) deliver(&g, c.channels, window, pes, starts, arrived, &ifmap);
        if (window == 0) {
            for (i64 pe = 0; pe < pes; pe++) {
                now[pe] = max(gate, arrived[pe]);
                ramp += now[pe];
            }
        } else {
            const i64 *before = starts + (window - 1) % depth * pes;
            for (i64 pe = 0; pe < pes; pe++) {
                const i64 ended = before[pe] + slot, fed = max(ended, arrived[pe]);
                now[pe] = max(fed, pushed[pe]);
                starved += fed - ended;
                conflict += now[pe] - fed;
            }
        }
        for (i64 tau = 0; tau < g.t; tau++)
            for (i64 j = 0; j < g.e; j++) {
                const i64 words = j < c.rows && image < c.images ? max(0, min(g.p, c.filters - tau * g.p)) : 0;
                const i64 top = tau * height * g.e + j;
                i64 moved = 0;
                if (c.reads_psums)
                    for (i64 k = 0; k < words; k++) moved = send(&in, g.psum_rate, pushed[top + (height - 1) * g.e]);
                if (with_values)
                    for (i64 k = 0; k < words; k++)
                        moving[k] = out[((image * out_n[1] + tau * g.p + k) * out_n[2] + j) * out_n[3] + f];
                for (i64 h = height - 1; h >= 0; h--) {
                    const i64 pe = top + h * g.e, room = h > 0 ? pushed[pe - g.e] : emptied[tau * g.e + j];
                    moved = max(max(moved, now[pe] + slot), room);
                    pushed[pe] = moved;
                    if (!with_values || words == 0) continue;
                    const i64 rho = h / g.filter_rows, i = h % g.filter_rows;
                    for (i64 kappa = rho * g.q; kappa < min(rho * g.q + g.q, c.channels); kappa++)
                        for (i64 s = 0; s < g.taps; s++) {
                            const i64 row = (image * x_n[1] + kappa) * x_n[2] + g.stride_v * j + i;
                            const i64 value = x[row * x_n[3] + g.stride_h * f + s];
                            for (i64 k = 0; k < words; k++)
                                moving[k] +=
                                    w[(((tau * g.p + k) * w_n[1] + kappa) * w_n[2] + i) * w_n[3] + s] * value;
                        }
                }
                for (i64 k = 0; k < words; k++) {
                    emptied[tau * g.e + j] = send(&outward, g.psum_rate, moved);
                    if (with_values) out[((image * out_n[1] + tau * g.p + k) * out_n[2] + j) * out_n[3] + f] = moving[k];
                }
            }
    }
    const i64 *last = starts + (windows - 1) % depth * pes, cycles = largest(last, pes) + slot;
    for (i64 pe = 0; pe < pes; pe++) ramp += cycles - last[pe] - slot;
    result[0] = cycles, result[1] = max(largest(emptied, g.t * g.e), cycles) - cycles;
    result[2] = ramp, result[3] = starved, result[4] = conflict;
    free(starts), free(arrived), free(pushed), free(emptied), free(moving);
}
