/* A DRAM channel and its controller: accelsim/memory/device/kernel.py. */
#include "twin.h"

enum { RCD_RD, RCD_WR, RAS, RC, RP, RP_ALL, RTP, WR_PRE, RD_RD, RD_RD_SAME, WR_WR, WR_WR_SAME, WR_RD, WR_RD_SAME,
       RD_WR, RRD, RRD_SAME, FAW, RFC, REFI, PPD, RD_RD_RANK, RD_WR_RANK, WR_RD_RANK, WR_WR_RANK, CL, CWL, BL, ACT_LATE,
       TWO_BUSES, CLOSED, CAP, GROUP_BITS, RANK_BITS, BUS_BITS, QUEUE, HIGH, LOW };
enum { B_ROW, B_ACT, B_PRE, B_RD, B_WR, B_OWNER, B_USED, B_WAITING };
enum { G_ACT, G_RD, G_WR };
enum { R_ACT, R_RD, R_WR, R_PRE, R_REF, R_RING, R_LAST = 9, R_OPEN, R_SINCE, R_OPEN_CLOCKS, R_OWNED, R_DUE, R_DONE };
enum { D_END, D_WROTE, D_BUSY, D_REFRESH, D_TURNAROUND, D_BANK, D_BUS, D_IDLE };
enum { CLOCK, TAKEN, READS, WRITES, ACTIVE, WRITING, NEXT_REF, REF_WAITING, REF_HEAD, ROW_FREE, HITS, MISSES, CONFLICTS,
       LATENCY, ANSWERED, ACTS, PRES, ALL_PRES, RDS, WRS, REFS, FORWARDED, MERGED, LOGGED, LAST };
enum { READ_QUEUE, WRITE_QUEUE, ACTIVE_QUEUE };
enum { C_ACT, C_PRE, C_ALL_PRE, C_RD, C_WR, C_REF };
enum { HIT = 1, MISS, CONFLICT, DIRECT };
enum { ANY, COLUMN, ROW };
#define NEVER ((i64)1 << 62)

typedef struct {
    const i64 *rules;
    i64 *channel, *bank, *group, *rank, *bus, *queue, *log;
    const i64 *at, *row, *place, *write;
    i64 *done, *found;
    i64 banks, groups, ranks, buses, wide, room;
} Channel;

typedef struct { i64 when, which, place; } Choice;

#define BANK(field, b) c->bank[(field) * c->banks + (b)]
#define GROUP(field, g) c->group[(field) * c->groups + (g)]
#define RANK(field, r) c->rank[(field) * c->ranks + (r)]
#define BUS(field, d) c->bus[(field) * c->buses + (d)]
#define QUEUED(which, k) c->queue[(which) * c->wide + (k)]

static inline void raise(i64 *at, i64 value) { if (*at < value) *at = value; }

static bool offer(Channel *c, i64 i, i64 clock) {
    for (i64 k = 0; k < c->channel[WRITES]; k++)
        if (c->place[QUEUED(WRITE_QUEUE, k)] == c->place[i]) {
            c->found[i] = DIRECT;
            c->done[i] = clock + 1;
            if (c->write[i]) c->channel[MERGED]++;
            else c->channel[FORWARDED]++, c->channel[ANSWERED]++, c->channel[LATENCY]++;
            c->channel[TAKEN]++;
            return true;
        }
    const i64 which = c->write[i] ? WRITE_QUEUE : READ_QUEUE;
    if (c->channel[READS + which] >= c->rules[QUEUE]) return false;
    QUEUED(which, c->channel[READS + which]++) = i;
    c->channel[TAKEN]++;
    c->found[i] = 0;
    c->done[i] = clock;
    if (c->rules[CLOSED] && BANK(B_ROW, c->at[i]) == c->row[i]) BANK(B_WAITING, c->at[i])++;
    return true;
}

static Choice first(const Channel *c, i64 kind, i64 which, i64 clock) {
    Choice best = {NEVER, which, -1};
    const i64 group_bits = c->rules[GROUP_BITS], rank_bits = c->rules[RANK_BITS];
    const i64 closed = c->rules[CLOSED], cap = c->rules[CAP];
    for (i64 k = 0; k < c->channel[READS + which]; k++) {
        const i64 i = QUEUED(which, k), b = c->at[i], g = b >> group_bits, r = b >> rank_bits, open = BANK(B_ROW, b);
        i64 ready;
        if (open == c->row[i] && (which == ACTIVE_QUEUE || !closed || BANK(B_USED, b) < cap)) {
            if (kind == ROW) continue;
            ready = c->write[i] ? max(max(BANK(B_WR, b), GROUP(G_WR, g)), RANK(R_WR, r))
                                : max(max(BANK(B_RD, b), GROUP(G_RD, g)), RANK(R_RD, r));
        } else if (kind == COLUMN) {
            continue;
        } else if (open < 0) {
            ready = max(max(BANK(B_ACT, b), GROUP(G_ACT, g)), RANK(R_ACT, r)) - c->rules[ACT_LATE];
            ready = max(ready, c->channel[ROW_FREE]);
        } else if (BANK(B_OWNER, b) >= 0) {
            continue;
        } else {
            ready = max(max(BANK(B_PRE, b), RANK(R_PRE, r)), c->channel[ROW_FREE]);
        }
        if (ready < best.when) {
            best.when = ready, best.place = k;
            if (ready <= clock) break;
        }
    }
    return best;
}

static i64 refresh_ready(const Channel *c) {
    const i64 r = c->channel[REF_HEAD];
    if (RANK(R_OPEN, r) == 0) return max(RANK(R_REF, r), c->channel[ROW_FREE]);
    if (RANK(R_OWNED, r) > 0) return NEVER;
    i64 ready = max(RANK(R_PRE, r), c->channel[ROW_FREE]);
    for (i64 b = r << c->rules[RANK_BITS]; b < (r + 1) << c->rules[RANK_BITS]; b++) ready = max(ready, BANK(B_PRE, b));
    return ready;
}

static Choice idle_row(const Channel *c, i64 clock) {
    Choice best = {NEVER, -2, -1};
    for (i64 b = 0; b < c->banks; b++)
        if (BANK(B_ROW, b) >= 0 && BANK(B_OWNER, b) < 0 && (BANK(B_USED, b) >= c->rules[CAP] || !BANK(B_WAITING, b))) {
            const i64 row_free = c->channel[ROW_FREE];
            const i64 ready = max(max(clock, BANK(B_PRE, b)), max(RANK(R_PRE, b >> c->rules[RANK_BITS]), row_free));
            if (ready < best.when) best.when = ready, best.place = b;
        }
    return best;
}

static Choice choose(Channel *c, i64 kind, i64 clock) {
    Choice best = first(c, kind, ACTIVE_QUEUE, clock), other;
    if (best.when <= clock) return best;
    if (c->channel[REF_WAITING] > 0) {
        if (kind != COLUMN) {
            const i64 ready = refresh_ready(c);
            if (ready < best.when) return (Choice){ready, -1, 0};
        }
        return best;
    }
    if (c->channel[WRITING]) {
        if (c->channel[WRITES] < c->rules[LOW] && c->channel[READS] > 0) c->channel[WRITING] = 0;
    } else if (c->channel[WRITES] > c->rules[HIGH] || c->channel[READS] == 0) {
        c->channel[WRITING] = 1;
    }
    other = first(c, kind, c->channel[WRITING] ? WRITE_QUEUE : READ_QUEUE, clock);
    if (other.when < best.when) best = other;
    if (c->rules[CLOSED] && kind != COLUMN && best.when > clock) {
        other = idle_row(c, clock);
        if (other.when < best.when) return other;
    }
    return best;
}

static void note(Channel *c, i64 command, i64 clock, i64 b, i64 row, i64 i) {
    const i64 k = c->channel[LOGGED]++;
    if (k < c->room) {
        i64 *at = c->log + 5 * k;
        at[0] = clock, at[1] = command, at[2] = b, at[3] = row, at[4] = i;
    }
}

static void activate(Channel *c, i64 i, i64 clock) {
    const i64 *n = c->rules, b = c->at[i], g = b >> n[GROUP_BITS], r = b >> n[RANK_BITS], t = clock + n[ACT_LATE];
    c->channel[ROW_FREE] = t + 1;
    BANK(B_ROW, b) = c->row[i], BANK(B_OWNER, b) = i, BANK(B_USED, b) = 0;
    BANK(B_RD, b) = t + n[RCD_RD], BANK(B_WR, b) = t + n[RCD_WR];
    raise(&BANK(B_PRE, b), t + n[RAS]);
    BANK(B_ACT, b) = t + n[RC];
    raise(&GROUP(G_ACT, g), t + n[RRD_SAME]);
    i64 last = RANK(R_LAST, r);
    RANK(R_RING + last, r) = t;
    last = (last + 1) & 3;
    RANK(R_LAST, r) = last;
    raise(&RANK(R_ACT, r), max(t + n[RRD], RANK(R_RING + last, r) + n[FAW]));
    raise(&RANK(R_REF, r), t + n[RC]);
    if (RANK(R_OPEN, r) == 0) RANK(R_SINCE, r) = t;
    RANK(R_OPEN, r)++, RANK(R_OWNED, r)++, c->channel[ACTS]++;
    if (n[CLOSED]) {
        BANK(B_WAITING, b) = 1;
        for (i64 which = 0; which < 2; which++)
            for (i64 k = 0; k < c->channel[READS + which]; k++) {
                const i64 other = QUEUED(which, k);
                if (c->at[other] == b && c->row[other] == c->row[i] && other != i) BANK(B_WAITING, b)++;
            }
    }
}

static void precharge(Channel *c, i64 b, i64 clock) {
    const i64 *n = c->rules, r = b >> n[RANK_BITS];
    BANK(B_ROW, b) = -1;
    raise(&BANK(B_ACT, b), clock + n[RP]);
    raise(&RANK(R_PRE, r), clock + n[PPD]);
    raise(&RANK(R_REF, r), clock + n[RP]);
    if (--RANK(R_OPEN, r) == 0) RANK(R_OPEN_CLOCKS, r) += clock - RANK(R_SINCE, r);
    c->channel[PRES]++;
}

static void refresh(Channel *c, i64 clock) {
    const i64 *n = c->rules, r = c->channel[REF_HEAD];
    if (RANK(R_OPEN, r) > 0) {
        for (i64 b = r << n[RANK_BITS]; b < (r + 1) << n[RANK_BITS]; b++) {
            BANK(B_ROW, b) = -1;
            raise(&BANK(B_ACT, b), clock + n[RP_ALL]);
        }
        raise(&RANK(R_PRE, r), clock + n[PPD]);
        raise(&RANK(R_REF, r), clock + n[RP_ALL]);
        RANK(R_OPEN, r) = 0;
        RANK(R_OPEN_CLOCKS, r) += clock - RANK(R_SINCE, r);
        c->channel[ALL_PRES]++;
        note(c, C_ALL_PRE, clock, r, -1, -1);
        return;
    }
    raise(&RANK(R_ACT, r), clock + n[RFC]);
    raise(&RANK(R_REF, r), clock + n[RFC]);
    RANK(R_DONE, r) = clock + n[RFC];
    c->channel[REFS]++, c->channel[REF_WAITING]--;
    c->channel[REF_HEAD] = (r + 1) % c->ranks;
    note(c, C_REF, clock, r, -1, -1);
}

static void account(Channel *c, i64 i, i64 begin, i64 clock, i64 r, i64 d) {
    const i64 *n = c->rules, last = BUS(D_END, d);
    BUS(D_END, d) = begin + n[BL];
    BUS(D_BUSY, d) += n[BL];
    i64 lost = begin - last;
    const i64 came = min(lost, max(0, c->done[i] + 1 + (begin - clock) - last));
    BUS(D_IDLE, d) += came;
    lost -= came;
    const i64 from = max(RANK(R_DUE, r), last + came - (begin - clock));
    const i64 held = min(lost, max(0, min(clock, RANK(R_DONE, r)) - from));
    BUS(D_REFRESH, d) += held;
    lost -= held;
    if (BUS(D_WROTE, d) != c->write[i]) {
        const i64 least = c->write[i] ? max(0, n[RD_WR] + n[CWL] - n[CL] - n[BL]) : n[WR_RD] + n[CL] - n[CWL] - n[BL];
        const i64 turned = min(lost, least);
        BUS(D_TURNAROUND, d) += turned;
        lost -= turned;
    }
    BUS(c->found[i] != HIT ? D_BANK : D_BUS, d) += lost;
    BUS(D_WROTE, d) = c->write[i];
}

static void access_(Channel *c, i64 i, i64 clock) {
    const i64 *n = c->rules, b = c->at[i], g = b >> n[GROUP_BITS], r = b >> n[RANK_BITS], d = b >> n[BUS_BITS];
    const i64 ranks = n[BUS_BITS] - n[RANK_BITS], writes = c->write[i];
    if (writes) {
        raise(&BANK(B_PRE, b), clock + n[WR_PRE]);
        raise(&GROUP(G_WR, g), clock + n[WR_WR_SAME]);
        raise(&GROUP(G_RD, g), clock + n[WR_RD_SAME]);
        c->channel[WRS]++;
    } else {
        raise(&BANK(B_PRE, b), clock + n[RTP]);
        raise(&GROUP(G_RD, g), clock + n[RD_RD_SAME]);
        c->channel[RDS]++;
    }
    const i64 same_rd = n[writes ? WR_RD : RD_RD], same_wr = n[writes ? WR_WR : RD_WR];
    const i64 other_rd = n[writes ? WR_RD_RANK : RD_RD_RANK], other_wr = n[writes ? WR_WR_RANK : RD_WR_RANK];
    const i64 begin = clock + n[writes ? CWL : CL];
    for (i64 other = d << ranks; other < (d + 1) << ranks; other++) {
        raise(&RANK(R_RD, other), clock + (other == r ? same_rd : other_rd));
        raise(&RANK(R_WR, other), clock + (other == r ? same_wr : other_wr));
    }
    account(c, i, begin, clock, r, d);
    if (!writes) c->channel[ANSWERED]++, c->channel[LATENCY] += begin + n[BL] - c->done[i];
    if (BANK(B_OWNER, b) == i) BANK(B_OWNER, b) = -1, RANK(R_OWNED, r)--;
    BANK(B_USED, b)++;
    if (n[CLOSED]) BANK(B_WAITING, b)--;
    c->done[i] = begin + n[BL];
    raise(&c->channel[LAST], c->done[i]);
}

static void issue(Channel *c, i64 clock, Choice chosen) {
    if (chosen.which == -1) {
        refresh(c, clock);
        return;
    }
    if (chosen.which == -2) {
        precharge(c, chosen.place, clock);
        note(c, C_PRE, clock, chosen.place, -1, -1);
        return;
    }
    const i64 which = chosen.which, i = QUEUED(which, chosen.place), b = c->at[i], open = BANK(B_ROW, b);
    const bool used_up = c->rules[CLOSED] && BANK(B_USED, b) >= c->rules[CAP] && which != ACTIVE_QUEUE;
    if (open >= 0 && (open != c->row[i] || used_up)) {
        if (c->found[i] == 0) c->found[i] = CONFLICT, c->channel[CONFLICTS]++;
        precharge(c, b, clock);
        note(c, C_PRE, clock, b, -1, i);
        return;
    }
    c->channel[READS + which]--;
    for (i64 j = chosen.place; j < c->channel[READS + which]; j++) QUEUED(which, j) = QUEUED(which, j + 1);
    if (open < 0) {
        if (c->found[i] == 0) c->found[i] = MISS, c->channel[MISSES]++;
        activate(c, i, clock);
        QUEUED(ACTIVE_QUEUE, c->channel[ACTIVE]++) = i;
        note(c, C_ACT, clock, b, c->row[i], i);
        return;
    }
    if (c->found[i] == 0) c->found[i] = HIT, c->channel[HITS]++;
    access_(c, i, clock);
    note(c, c->write[i] ? C_WR : C_RD, clock, b, c->row[i], i);
}

static bool waits(const Channel *c, i64 need, const i64 *queue, const i64 *tag) {
    if (need < 0) return false;
    if (need == NEVER) return c->channel[READS] + c->channel[WRITES] + c->channel[ACTIVE] > 0;
    for (i64 k = 0; k < c->channel[READS]; k++)
        if (tag[QUEUED(READ_QUEUE, k)] == need) return true;
    for (i64 k = 0; k < c->channel[ACTIVE]; k++) {
        i64 i = QUEUED(ACTIVE_QUEUE, k);
        if (tag[i] == need && !c->write[i]) return true;
    }
    return false;
}

void serve(i64 start, i64 stop, i64 need, i64 until, ARRAY(const i64, rules), ARRAY(i64, channel), ARRAY(i64, bank),
           ARRAY(i64, group), ARRAY(i64, rank), ARRAY(i64, bus), ARRAY(i64, queue), ARRAY(i64, earliest),
           ARRAY(const i64, at), ARRAY(const i64, row), ARRAY(const i64, place), ARRAY(const i64, write),
           ARRAY(const i64, tag), ARRAY(i64, done), ARRAY(i64, found), ARRAY(i64, log), i64 *result) {
    Channel here = {rules, channel, bank, group, rank, bus, queue, log, at, row, place, write, done, found,
                    bank_n[1], group_n[1], rank_n[1], bus_n[1], queue_n[1], log_n[0]}, *c = &here;
    const bool two = rules[TWO_BUSES];
    i64 clock = channel[CLOCK], i = start;
    bool blocked = false, known = false;
    Choice column = {0, 0, 0}, rows = {NEVER, 0, 0};
    while (i < stop || clock < until || waits(c, need, queue, tag)) {
        if (i < stop && !blocked && earliest[i] <= clock) {
            if (offer(c, i, clock)) earliest[i++] = clock, known = false;
            else blocked = true;
        }
        if (i == stop && need < 0 && clock >= until) break;
        clock++;
        if (clock >= channel[NEXT_REF]) {
            channel[NEXT_REF] += rules[REFI];
            channel[REF_WAITING] += c->ranks;
            for (i64 r = 0; r < c->ranks; r++) RANK(R_DUE, r) = clock;
            known = false;
        }
        if (!known) column = choose(c, two ? COLUMN : ANY, clock), known = true;
        bool acted = false;
        if (column.when <= clock) issue(c, clock, column), acted = true;
        if (two) {
            rows = choose(c, ROW, clock);
            if (rows.when <= clock) issue(c, clock, rows), acted = true;
        }
        if (acted) {
            known = blocked = false;
            continue;
        }
        i64 event = min(min(column.when, rows.when), channel[NEXT_REF]);
        if (i < stop && !blocked) event = min(event, max(clock, earliest[i]) + 1);
        if (until > 0) event = min(event, max(until, clock + 1));
        clock = max(clock, event - 1);
    }
    channel[CLOCK] = clock;
    result[0] = i;
}
