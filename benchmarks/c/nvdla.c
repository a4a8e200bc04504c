#include "twin.h"

enum { LINES, SURFACES, LINE_BEATS, DATA_BYTES, KERNELS, KERNEL_BYTES, WEIGHT_BEATS, PACKAGES, POSITIONS, ROW, STRIPE,
       GROUP, RING_BEATS, SAME_SPLIT };
enum { ASKED, COME, BUS, KIND, ASKS };
enum { CYCLES, FIRST, LAST, ACTIVE, LOAD, WEIGHT, FLOOR, CREDIT, FILL, END };

struct rates { i64 beat_cycles, beat_ticks, ticks, limited, latency, port_bytes, outstanding, outstanding_cycles,
               weights_first, request, line_buffer, data_write, wide_line, data_ready, weight_ready, package, result,
               position, element, credits, credit, end, turn, data_bytes; };
struct sizes { i64 groups, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left, pixel_channels, at_a_time; };

static i64 stripe_of(i64 left, i64 row, i64 stripe) {
    if (row > 0) return min(stripe, (left - 1) % row + 1);
    if (left >= 2 * stripe) return stripe;
    return left <= stripe ? left : stripe / 2;
}

struct port { i64 cycle, ticks, number, *history, asked, free, *asks; };

static void forward(struct port *at, const struct rates *p, i64 count) {
    const i64 most = ((i64)1 << 62) / max(1, p->beat_ticks);
    at->cycle += count * p->beat_cycles, at->number += count;
    while (count > 0) {
        const i64 some = min(count, most);
        at->ticks += some * p->beat_ticks;
        at->cycle += at->ticks / p->ticks, at->ticks %= p->ticks;
        count -= some;
    }
}

static i64 beats(struct port *at, const struct rates *p, i64 kind, i64 count, i64 earliest) {
    i64 last = 0;
    while (count > 0) {
        i64 *slot = &at->history[at->number % p->outstanding];
        if (p->limited && at->number >= p->outstanding) earliest = max(earliest, *slot + p->latency + p->outstanding_cycles);
        const i64 together = p->limited ? 1 : count;
        i64 begin = earliest, *ask = at->asked ? at->asks + at->number * ASKS : NULL;
        if (ask) {
            ask[KIND] = kind, ask[ASKED] = earliest - p->latency;
            if (at->number > 0) ask[ASKED] = max((ask - ASKS)[ASKED] + 1, ask[ASKED]);
            begin = at->free = max(at->free, ask[ASKED] + p->latency) + ask[BUS];
        }
        if (at->cycle < begin) at->cycle = begin, at->ticks = 0;
        forward(at, p, together - 1);
        *slot = last = at->cycle + (at->ticks > 0);
        if (ask) ask[COME] = last;
        forward(at, p, 1);
        count -= together;
    }
    return last;
}

static i64 line_cycles(i64 surfaces, i64 wide) {
    if (surfaces == 1) return wide + 1;
    const i64 both = 2 * (wide + 1);
    return surfaces == 2 ? both : both + (surfaces == 3 ? 3 * ((wide + 1) / 2) : 3 * wide);
}

void walk(ARRAY(const i64, layers), const struct rates *rates, ARRAY(i64, counts), ARRAY(i64, asks),
          i64 *found) {
    const struct rates p = *rates;
    const i64 number = layers_n[0], fields = layers_n[1], ring = p.credits + 2;
    i64 total = 0;
    for (i64 i = 0; i < number; i++) total += ceil_div(layers[i * fields + KERNELS], layers[i * fields + GROUP]);
    i64 *ends = zeros(total), *arrived = zeros(total), *released = zeros(total);
    i64 *upto = zeros(ring), *through = zeros(ring);
    struct port at = {0, 0, 0, zeros(p.outstanding), asks_n[0] > 0, 0, asks};
    i64 head = 0, tail = 0, fetched = 0, group = 0, held = 0, positions = 0, drain = 0, now = 0, port = 0, element = 0;
    i64 last_beat = -p.request - p.latency;
    for (i64 i = 0; i < number; i++) {
        const i64 *l = layers + i * fields, groups = ceil_div(l[KERNELS], l[GROUP]);
        i64 begin = p.request + p.latency, room = 0;
        if (i > 0) {
            i64 after = last_beat;
            if (i > 1) after = max(after, found[(i - 2) * 5 + 2]);
            if (!l[SAME_SPLIT]) after = found[(i - 1) * 5 + 2], held = group, fetched = 0;
            begin += after;
            i64 resident = l[DATA_BYTES];
            for (i64 j = i - 1; j >= 0; j--) {
                resident += layers[j * fields + DATA_BYTES];
                if (resident > p.data_bytes) {
                    room = found[j * 5 + 1] + p.latency;
                    break;
                }
                if (!layers[j * fields + SAME_SPLIT]) break;
            }
        }
        if (at.cycle < begin) at.cycle = begin, at.ticks = 0;
        room = max(room, begin);
        i64 acc = 0;
        for (i64 g = 0; g < groups; g++) {
            acc += min(l[GROUP], l[KERNELS] - g * l[GROUP]) * l[KERNEL_BYTES];
            ends[group + g] = fetched + ceil_div(acc, p.port_bytes);
        }
        ends[group + groups - 1] = fetched + l[WEIGHT_BEATS];

        i64 weights = 0, coming = 0, line = 0, surface = 0, surfaces = min(4, l[SURFACES]);
        i64 missing = surfaces * l[LINE_BEATS];
        const i64 most = min(l[WEIGHT_BEATS], l[RING_BEATS]);
#define ARRIVE() while (coming < groups && fetched + weights == ends[group + coming]) \
        arrived[group + coming++] = last_beat + p.weight_ready
        while (weights < most || line < l[LINES]) {
            i64 some = 0, wait = begin, data = line < l[LINES] ? missing : 0;
            if (weights < most) {
                const i64 place = fetched + weights - l[RING_BEATS];
                some = min(most, ends[group + coming] - fetched) - weights;
                if (place >= 0) {
                    while (ends[held] <= place) held++;
                    wait = max(wait, released[held] + p.latency);
                    some = min(some, ends[held] - place);
                } else some = min(some, -place);
            }
            if (some > 0 && weights < p.weights_first) some = min(some, p.weights_first - weights), data = 0;
            else if (some > 0 && data > 0) {
                some = data = min(some, data);
                if (p.limited || at.cycle < max(room, wait)) some = data = 1;
            }
            if (data > 0) {
                last_beat = beats(&at, &p, 0, some == 0 ? data : 2 * data - 1, room);
                if ((missing -= data) == 0) {
                    const i64 written = last_beat + p.data_write;
                    port = p.line_buffer ? max(port + line_cycles(surfaces, l[LINE_BEATS]),
                                               written + (surfaces > 2 ? p.wide_line : 0)) : written;
                    surface += surfaces;
                    if (surface >= l[SURFACES]) surface = 0, line++;
                    surfaces = min(4, l[SURFACES] - surface);
                    missing = surfaces * l[LINE_BEATS];
                }
            }
            if (some > 0) {
                last_beat = beats(&at, &p, 1, data == 0 ? some : 1, wait);
                weights += some;
                ARRIVE();
            }
        }
        const i64 ready = port + p.data_ready;
        i64 first = max(ready, arrived[group]), fill = ready >= arrived[group] ? p.data_ready : p.weight_ready;
        if (i > 0 && l[SAME_SPLIT] && found[(i - 1) * 5 + 1] + p.turn >= first) {
            first = found[(i - 1) * 5 + 1] + p.turn;
            fill = first - now;
        }
        fill = min(fill, first - now);
        counts[FILL] += fill, counts[LOAD] += first - now - fill;
        found[i * 5] = first, found[i * 5 + 3] = port;
        now = first;
        for (i64 g = 0; g < groups; g++) {
            while (fetched + weights < ends[group + g]) {
                const i64 place = fetched + weights - l[RING_BEATS];
                while (ends[held] <= place) held++;
                const i64 some = min(ends[group + coming] - fetched - weights, ends[held] - place);
                last_beat = beats(&at, &p, 1, some, released[held] + p.latency);
                weights += some;
                ARRIVE();
            }
            if (now < arrived[group + g]) counts[WEIGHT] += arrived[group + g] - now, now = arrived[group + g];
            const i64 here = min(l[GROUP], l[KERNELS] - g * l[GROUP]);
            i64 left = l[POSITIONS], period = 0, alike = 0;
            while (left > 0) {
                const i64 length = stripe_of(left, l[ROW], l[STRIPE]), begun = now, before = drain;
                i64 slot = max(max(p.package, length), here), waited = 0;
                left -= length;
                now += (l[PACKAGES] - 1) * slot;
                counts[ACTIVE] += l[PACKAGES] * length, counts[FLOOR] += (l[PACKAGES] - 1) * (slot - length);
                positions += length;
                if (positions > p.credits) {
                    const i64 needed = positions - 1 - p.credits;
                    while (upto[tail % ring] <= needed) tail++;
                    const i64 behind = upto[tail % ring] - 1 - needed;
                    waited = max(0, through[tail % ring] - behind * p.position + p.credit - now);
                    counts[CREDIT] += waited, now += waited;
                }
                drain = max(drain, now + p.result) + length * p.position;
                upto[head % ring] = positions, through[head % ring] = drain;
                head++;
                element = drain - p.position + p.element - 1;
                released[group + g] = now;
                slot = length;
                if (left > 0) slot = max(max(p.package, length), here);
                else if (g + 1 < groups)
                    slot = max(max(p.package, length), min(l[GROUP], l[KERNELS] - (g + 1) * l[GROUP]));
                counts[FLOOR] += slot - length;
                now += slot;
                alike = now - begun == period && drain - before == period ? alike + 1 : 0;
                period = now - begun;
                const i64 more = left / l[STRIPE] - 1;
                if (l[ROW] == 0 && more > 0 && alike > p.credits / l[STRIPE] + 1) {
                    counts[ACTIVE] += more * l[PACKAGES] * length;
                    counts[FLOOR] += more * l[PACKAGES] * (slot - length);
                    counts[CREDIT] += more * waited;
                    for (i64 j = tail; j < head; j++) upto[j % ring] += more * length, through[j % ring] += more * period;
                    left -= more * length, positions += more * length;
                    now += more * period, drain += more * period;
                }
            }
        }
        found[i * 5 + 1] = now - 1, found[i * 5 + 2] = element + p.end, found[i * 5 + 4] = last_beat;
        fetched += l[WEIGHT_BEATS];
        group += groups;
    }
    const i64 *last = found + (number - 1) * 5;
    counts[CYCLES] = last[2], counts[FIRST] = found[0], counts[LAST] = last[1], counts[END] = last[2] - now;
    free(ends), free(arrived), free(released), free(upto), free(through), free(at.history);
}

void multiply(ARRAY(const i64, layer), ARRAY(const i64, part), const struct sizes *conv, bool image, ARRAY(const i64, x),
              ARRAY(const i64, w), ARRAY(i64, out), i64 *result) {
    (void)result;
    const struct sizes p = *conv;
    const i64 n = part[0], first = part[1], groups = part[2], top = part[3];
    const i64 cg = w_n[1], kg = w_n[0] / p.groups, kernels = groups * kg, rows = out_n[2], columns = out_n[3];
    const i64 depth = image ? p.pixel_channels * w_n[3] : groups * cg;
    for (i64 low = 0; low < kernels; low += layer[GROUP])
        for (i64 done = 0, length; done < layer[POSITIONS]; done += length) {
            length = stripe_of(layer[POSITIONS] - done, layer[ROW], layer[STRIPE]);
            for (i64 block = 0; block < depth; block += p.at_a_time)
                for (i64 r = 0; r < w_n[2]; r++)
                    for (i64 column = 0; column < (image ? 1 : w_n[3]); column++)
                        for (i64 at = done; at < done + length; at++) {
                            const i64 e = top + at / columns, f = at % columns;
                            const i64 up = e * p.stride_y + r * p.dilation_y - p.pad_top;
                            if (up < 0 || up >= x_n[2]) continue;
                            for (i64 each = block; each < min(depth, block + p.at_a_time); each++) {
                                const i64 c = image ? each % p.pixel_channels : each;
                                const i64 s = image ? each / p.pixel_channels : column;
                                if (image && c >= cg) continue;
                                const i64 left = f * p.stride_x + s * p.dilation_x - p.pad_left;
                                if (left < 0 || left >= x_n[3]) continue;
                                const i64 value = x[((n * x_n[1] + first * cg + c) * x_n[2] + up) * x_n[3] + left];
                                for (i64 k = low; k < min(kernels, low + layer[GROUP]); k++)
                                    if (k / kg == c / cg)
                                        out[((n * out_n[1] + first * kg + k) * rows + e) * columns + f] +=
                                            value * w[(((first * kg + k) * cg + c % cg) * w_n[2] + r) * w_n[3] + s];
                            }
                        }
        }
}
