#include "twin.h"

struct geometry { i64 w, r, s, sy, sx, py, px, dy, dx, e0, e1, f, phases; };
struct array { i64 f, i, banks, queue_depth, channel_barrier, empty_costs; };

void encode_tiles(ARRAY(const bool, mask), ARRAY(const i64, rows), ARRAY(const i64, cols), i64 sy, i64 sx, i64 py,
                  i64 px, i64 span, ARRAY(i64, first), ARRAY(i64, at), i64 *result) {
    const bool filling = at_n[0] > 0;
    const i64 height = mask_n[1], width = mask_n[2];
    i64 n = 0, block = 0;
    for (i64 c = 0; c < mask_n[0]; c++)
        for (i64 i = 0; i < rows_n[0] - 1; i++)
            for (i64 j = 0; j < cols_n[0] - 1; j++)
                for (i64 phase = 0; phase < sy * sx; phase++) {
                    first[block++] = n;
                    i64 zeros = 0, up = (phase / sx - rows[i] - py) % sy, left = (phase % sx - cols[j] - px) % sx;
                    for (i64 y = rows[i] + (up < 0 ? up + sy : up); y < rows[i + 1]; y += sy)
                        for (i64 x = cols[j] + (left < 0 ? left + sx : left); x < cols[j + 1]; x += sx) {
                            if (!mask[(c * height + y) * width + x]) {
                                zeros++;
                                continue;
                            }
                            for (; zeros >= span; zeros -= span, n++)
                                if (filling) at[n] = -1;
                            if (filling) at[n] = y * width + x;
                            n++;
                            zeros = 0;
                        }
                }
    first[block] = result[0] = n;
}

void encode_weights(ARRAY(const bool, mask), ARRAY(const i64, groups), i64 sy, i64 sx, i64 dy, i64 dx, i64 span,
                    ARRAY(i64, first), ARRAY(i64, at), i64 *result) {
    const bool filling = at_n[0] > 0;
    const i64 kernels = mask_n[0], channels = mask_n[1], rs = mask_n[2], ss = mask_n[3];
    i64 n = 0, block = 0;
    for (i64 g = 0; g < groups_n[0]; g++)
        for (i64 c = 0; c < channels; c++)
            for (i64 phase = 0; phase < sy * sx; phase++) {
                first[block++] = n;
                i64 zeros = 0;
                for (i64 r = 0; r < rs; r++)
                    for (i64 s = 0; s < ss; s++) {
                        if (r * dy % sy != phase / sx || s * dx % sx != phase % sx) continue;
                        for (i64 k = groups[g * groups_n[1]]; k < groups[g * groups_n[1] + 1]; k++) {
                            if (!mask[((k * channels + c) * rs + r) * ss + s]) {
                                zeros++;
                                continue;
                            }
                            for (; zeros >= span; zeros -= span, n++)
                                if (filling) at[n] = -1;
                            if (filling) at[n] = (r * ss + s) * kernels + k;
                            n++;
                            zeros = 0;
                        }
                    }
            }
    first[block] = result[0] = n;
}

void walk(ARRAY(const i64, a_first), ARRAY(const i64, a_at), ARRAY(const i64, w_first), ARRAY(const i64, w_at),
          ARRAY(const i64, groups), ARRAY(const i64, mapped), const struct geometry *geometry,
          const struct array *machine, i64 kernels, bool with_values, ARRAY(const i64, x), ARRAY(const i64, w),
          ARRAY(i64, out), ARRAY(i64, cycles), i64 *result) {
    const struct geometry p = *geometry;
    const struct array m = *machine;
    const i64 pes = mapped_n[0], taps = p.r * p.s;
    const bool bounded = m.queue_depth >= 0, skip = !bounded && !with_values;
    i64 *hash_k = malloc(kernels * sizeof(i64)), bank_of[32];
    for (i64 k = 0; k < kernels; k++) hash_k[k] = (k & 3) | (k & 4) << 2;
    for (i64 i = 0; i < 32; i++) bank_of[i] = i % m.banks;
    i64 *w_tap = malloc((w_at_n[0] + 1) * sizeof(i64)), *w_k = malloc((w_at_n[0] + 1) * sizeof(i64));
    for (i64 i = 0; i < w_at_n[0]; i++) w_tap[i] = w_at[i] / kernels, w_k[i] = w_at[i] % kernels;
    i64 *place = malloc(taps * m.i * sizeof(i64)), *bits = malloc(taps * m.i * sizeof(i64));
    i64 *frees = zeros(pes * m.banks), *now = zeros(pes);
    i64 steps = 0, conflict = 0, imbalance = 0, empties = 0;
    for (i64 g = 0; g < groups_n[0]; g++) {
        fill(now, pes, 0), fill(frees, pes * m.banks, 0);
        const i64 c0 = groups[4 * g + 2], c1 = groups[4 * g + 3];
        for (i64 c = c0; c < c1; c++) {
            for (i64 pe = 0; pe < pes; pe++) {
                if (!mapped[pe]) continue;
                i64 t = now[pe], *free_at = frees + pe * m.banks;
                bool worked = false;
                for (i64 phase = 0; phase < p.phases; phase++) {
                    i64 block = (c * pes + pe) * p.phases + phase;
                    const i64 a_from = a_first[block], a_to = a_first[block + 1];
                    block = (g * (c1 - c0) + c - c0) * p.phases + phase;
                    const i64 w_from = w_first[block], w_to = w_first[block + 1];
                    if (a_from == a_to || w_from == w_to) continue;
                    worked = true;
                    if (skip) {
                        const i64 n = ceil_div(a_to - a_from, m.i) * ceil_div(w_to - w_from, m.f);
                        steps += n;
                        t += n;
                        continue;
                    }
                    for (i64 a = a_from; a < a_to; a += m.i) {
                        const i64 lanes = min(m.i, a_to - a);
                        for (i64 lane = 0; lane < lanes; lane++) {
                            const i64 at = a_at[a + lane], y = at / p.w + p.py, col = at % p.w + p.px;
                            for (i64 r = 0; r < p.r; r++)
                                for (i64 s = 0; s < p.s; s++) {
                                    const i64 up = y - r * p.dy, left = col - s * p.dx, oy = up / p.sy, ox = left / p.sx;
                                    const i64 to = (r * p.s + s) * m.i + lane;
                                    place[to] = -1;
                                    if (at < 0 || up < 0 || left < 0 || up % p.sy || left % p.sx) continue;
                                    if (oy < p.e0 || oy >= p.e1 || ox >= p.f) continue;
                                    place[to] = oy * p.f + ox;
                                    bits[to] = ((oy ^ ox) & 2) << 3 | (ox & 1) << 3 | (oy & 1) << 2;
                                }
                        }
                        for (i64 b = w_from; b < w_to; b += m.f) {
                            i64 full = t + 1;
                            for (i64 entry = b; entry < min(b + m.f, w_to); entry++) {
                                if (w_at[entry] < 0) continue;
                                const i64 tap = w_tap[entry] * m.i, k = w_k[entry];
                                for (i64 lane = 0; lane < lanes; lane++) {
                                    if (place[tap + lane] < 0) continue;
                                    if (bounded) {
                                        i64 *bank = free_at + bank_of[hash_k[k] ^ bits[tap + lane]];
                                        *bank = max(*bank, t) + 1;
                                        full = max(full, *bank - m.queue_depth);
                                    }
                                    if (with_values)
                                        out[k * out_n[1] + place[tap + lane]] +=
                                            x[c * x_n[1] + a_at[a + lane]] * w[w_at[entry] * w_n[1] + c - c0];
                                }
                            }
                            steps++;
                            conflict += full - t - 1;
                            t = full;
                        }
                    }
                }
                if (!worked && m.empty_costs) t++, empties++;
                now[pe] = t;
            }
            if (m.channel_barrier) {
                const i64 level = largest(now, pes);
                for (i64 pe = 0; pe < pes; pe++)
                    if (mapped[pe]) {
                        imbalance += level - now[pe];
                        now[pe] = level;
                    }
            }
        }
        for (i64 pe = 0; pe < pes; pe++)
            if (mapped[pe]) {
                const i64 emptied = max(now[pe], largest(frees + pe * m.banks, m.banks));
                conflict += emptied - now[pe];
                now[pe] = emptied;
            }
        cycles[g] = largest(now, pes);
        for (i64 pe = 0; pe < pes; pe++)
            if (mapped[pe]) imbalance += cycles[g] - now[pe];
    }
    result[0] = steps, result[1] = conflict, result[2] = imbalance, result[3] = empties;
    free(hash_k), free(w_tap), free(w_k), free(place), free(bits), free(frees), free(now);
}

/* Queues of eight banks, a byte each, as in queue_kernel.py. */
typedef uint64_t u64;
enum { WIDEST = 9, PATTERNS = 256, FATES = 256, DEEPEST = 127 };
static const u64 BYTES = 0x7F7F7F7F7F7F7F7F, GUARDS = 0x8080808080808080, ONES = 0x0101010101010101;
static const u64 SCATTER = 0x9E3779B97F4A7C1;

struct queues { u64 at[4]; };
struct fate { i64 block, kind; struct queues before, after; i64 stalls; };

static inline u64 retire(u64 queues) { return queues - ((queues + BYTES) >> 7 & ONES); }

static inline void tick(struct queues *q) {
    for (int i = 0; i < 4; i++) q->at[i] = retire(q->at[i]);
}

static inline bool beyond(const struct queues *q, u64 room) {
    return ((q->at[0] + room) | (q->at[1] + room) | (q->at[2] + room) | (q->at[3] + room)) & GUARDS;
}

static i64 wait(struct queues *q, i64 cycles) {
    i64 spent = 0;
    for (; spent != cycles && (q->at[0] | q->at[1] | q->at[2] | q->at[3]); spent++) tick(q);
    return spent;
}

static i64 meet(const i64 *mapped, i64 pes, i64 *now, struct queues *queues) {
    const i64 level = largest(now, pes);
    i64 waited = 0;
    for (i64 pe = 0; pe < pes; pe++)
        if (mapped[pe]) {
            wait(queues + pe, level - now[pe]);
            waited += level - now[pe];
            now[pe] = level;
        }
    return waited;
}

static void spread(u64 pattern, i64 banks, struct queues *met) {
    memset(met, 0, 8 * sizeof *met);
    for (i64 way = 0; way < 8; way++)
        for (i64 lane = 0; lane < WIDEST; lane++) {
            const i64 place = pattern >> (7 * lane) & 127;
            if (place >= 32) continue;
            const i64 bank = (place ^ ((way & 3) | (way & 4) << 2)) % banks;
            met[way].at[bank / 8] += (u64)1 << (bank % 8 * 8);
        }
}

static void gather(const i64 *a_at, i64 lanes, const struct geometry *p, const i64 *rows, i64 tall, const i64 *cols,
                   u64 *parts) {
    memset(parts, 0, (p->r + p->s) * sizeof(u64));
    for (i64 r = 0; r < p->r; r++)
        for (i64 lane = lanes; lane < WIDEST; lane++) parts[r] |= (u64)32 << (7 * lane);
    for (i64 lane = 0; lane < lanes; lane++) {
        const i64 at = a_at[lane], y = at < 0 ? tall : at / p->w, x = at < 0 ? 0 : at % p->w;
        for (i64 r = 0; r < p->r; r++) parts[r] |= (u64)rows[y * p->r + r] << (7 * lane);
        for (i64 s = 0; s < p->s; s++) parts[p->r + s] |= (u64)cols[x * p->s + s] << (7 * lane);
    }
}

static void sort_vectors(const i64 *a_first, i64 blocks, const i64 *a_at, const struct geometry *p, i64 lanes,
                         const i64 *rows, i64 tall, const i64 *cols, i64 **first, i64 **kind, u64 **all_parts) {
    i64 *v_first = zeros(blocks + 1), kinds = 0, bits = 1;
    for (i64 b = 0; b < blocks; b++) v_first[b + 1] = v_first[b] + ceil_div(a_first[b + 1] - a_first[b], lanes);
    const i64 size = v_first[blocks], n = p->r + p->s;
    i64 *v_kind = zeros(size);
    u64 *parts = calloc((size + 1) * n, sizeof(u64));
    while ((i64)1 << bits < 2 * size) bits++;
    const i64 mask = ((i64)1 << bits) - 1;
    i64 *table = filled(mask + 1, -1);
    for (i64 b = 0; b < blocks; b++)
        for (i64 v = v_first[b]; v < v_first[b + 1]; v++) {
            const i64 a = a_first[b] + (v - v_first[b]) * lanes;
            u64 key = 0, *mine = parts + kinds * n;
            gather(a_at + a, min(lanes, a_first[b + 1] - a), p, rows, tall, cols, mine);
            for (i64 i = 0; i < n; i++) key = (key ^ mine[i]) * SCATTER;
            i64 slot = key >> (63 - bits) & mask;
            while (table[slot] >= 0 && memcmp(parts + table[slot] * n, mine, n * sizeof(u64))) slot = (slot + 1) & mask;
            if (table[slot] < 0) table[slot] = kinds++;
            v_kind[v] = table[slot];
        }
    *first = v_first, *kind = v_kind, *all_parts = parts;
    free(table);
}

void walk_queues(ARRAY(const i64, a_first), ARRAY(const i64, a_at), ARRAY(const i64, w_first), ARRAY(const i64, w_at),
                 ARRAY(const i64, groups), ARRAY(const i64, mapped), const struct geometry *geometry,
                 const struct array *machine, i64 kernels, ARRAY(i64, cycles), i64 *result) {
    const struct geometry p = *geometry;
    const struct array m = *machine;
    const i64 pes = mapped_n[0], taps = p.r * p.s, n_parts = p.r + p.s, n_a = a_at_n[0], n_w = w_at_n[0];
    i64 *w_tap = malloc((n_w + 1) * sizeof(i64)), *w_way = malloc((n_w + 1) * sizeof(i64));
    for (i64 i = 0; i < n_w; i++) {
        w_tap[i] = w_at[i] < 0 ? taps : w_at[i] / kernels;
        w_way[i] = w_at[i] < 0 ? 0 : w_at[i] % kernels & 7;
    }
    const i64 tall = n_a ? largest(a_at, n_a) / p.w + 1 : 0;
    i64 *rows = filled((tall + 1) * p.r, 32), *cols = filled(p.w * p.s, 64);
    for (i64 y = 0; y < tall; y++)
        for (i64 r = 0; r < p.r; r++) {
            const i64 up = y + p.py - r * p.dy;
            if (up < 0 || up % p.sy || up / p.sy < p.e0 || up / p.sy >= p.e1) continue;
            rows[y * p.r + r] = (up / p.sy & 2) << 3 | (up / p.sy & 1) << 2;
        }
    for (i64 x = 0; x < p.w; x++)
        for (i64 s = 0; s < p.s; s++) {
            const i64 left = x + p.px - s * p.dx;
            if (left < 0 || left % p.sx || left / p.sx >= p.f) continue;
            cols[x * p.s + s] = (left / p.sx & 2) << 3 | (left / p.sx & 1) << 3;
        }
    i64 *v_first, *v_kind;
    u64 *parts;
    sort_vectors(a_first, a_first_n[0] - 1, a_at, &p, m.i, rows, tall, cols, &v_first, &v_kind, &parts);
    struct fate *fates = malloc(FATES * sizeof *fates);
    for (i64 i = 0; i < FATES; i++) fates[i].block = -1;
    u64 *known = (u64 *)filled(PATTERNS, -1);
    struct queues *met = calloc(8 * (PATTERNS + 1 + taps), sizeof *met), *queues = calloc(pes, sizeof *queues);
    i64 *at_tap = filled(taps + 1, 8 * PATTERNS), *now = zeros(pes), *last_use = filled(PATTERNS, -1), walked = 0;
    bool *worked = calloc(pes, sizeof(bool));
    const u64 room = (u64)(DEEPEST - m.queue_depth) * ONES;
    i64 steps = 0, conflict = 0, imbalance = 0, empties = 0;
    for (i64 g = 0; g < groups_n[0]; g++) {
        fill(now, pes, 0);
        memset(queues, 0, pes * sizeof *queues);
        const i64 c0 = groups[4 * g + 2], c1 = groups[4 * g + 3];
        for (i64 c = c0; c < c1; c++) {
            memset(worked, 0, pes * sizeof(bool));
            for (i64 phase = 0; phase < p.phases; phase++) {
                const i64 block = (g * (c1 - c0) + c - c0) * p.phases + phase;
                const i64 w_from = w_first[block], w_to = w_first[block + 1];
                for (i64 pe = 0; pe < pes; pe++) {
                    const i64 *first = v_first + (c * pes + pe) * p.phases + phase;
                    if (!mapped[pe] || first[0] == first[1] || w_from == w_to) continue;
                    worked[pe] = true;
                    const i64 n = (first[1] - first[0]) * ceil_div(w_to - w_from, m.f);
                    steps += n;
                    now[pe] += n;
                    struct queues *queue = queues + pe;
                    for (i64 vector = first[0]; vector < first[1]; vector++) {
                        const i64 kind = v_kind[vector];
                        struct fate *fate = fates + (kind & (FATES - 1));
                        if (fate->block != block || fate->kind != kind || memcmp(&fate->before, queue, sizeof *queue)) {
                            walked++;
                            *fate = (struct fate){.block = block, .kind = kind, .before = *queue};
                            const u64 *part = parts + kind * n_parts;
                            for (i64 tap = 0; tap < taps; tap++) {
                                const u64 pattern = part[tap / p.s] ^ part[p.r + tap % p.s];
                                const i64 slot = pattern * SCATTER >> 40 & (PATTERNS - 1);
                                at_tap[tap] = 8 * slot;
                                if (known[slot] != pattern) {
                                    if (last_use[slot] == walked)
                                        at_tap[tap] = 8 * (PATTERNS + 1 + tap);
                                    else
                                        known[slot] = pattern;
                                    spread(pattern, m.banks, met + at_tap[tap]);
                                }
                                last_use[slot] = walked;
                            }
                            struct queues q = *queue;
                            i64 stalls = 0;
                            for (i64 b = w_from; b < w_to; b += m.f) {
                                for (i64 entry = b; entry < min(b + m.f, w_to); entry++) {
                                    const struct queues *one = met + at_tap[w_tap[entry]] + w_way[entry];
                                    for (int i = 0; i < 4; i++) q.at[i] += one->at[i];
                                }
                                tick(&q);
                                for (; beyond(&q, room); stalls++) tick(&q);
                            }
                            fate->after = q;
                            fate->stalls = stalls;
                        }
                        *queue = fate->after;
                        conflict += fate->stalls;
                        now[pe] += fate->stalls;
                    }
                }
            }
            for (i64 pe = 0; pe < pes; pe++)
                if (mapped[pe] && !worked[pe] && m.empty_costs) {
                    wait(queues + pe, 1);
                    now[pe]++, empties++;
                }
            if (m.channel_barrier) imbalance += meet(mapped, pes, now, queues);
        }
        for (i64 pe = 0; pe < pes; pe++)
            if (mapped[pe]) {
                const i64 left = wait(queues + pe, -1);
                conflict += left;
                now[pe] += left;
            }
        cycles[g] = largest(now, pes);
        imbalance += meet(mapped, pes, now, queues);
    }
    result[0] = steps, result[1] = conflict, result[2] = imbalance, result[3] = empties;
    free(w_tap), free(w_way), free(v_first), free(v_kind), free(rows), free(cols), free(fates), free(parts), free(known);
    free(met), free(queues), free(at_tap), free(now), free(worked), free(last_use);
}
