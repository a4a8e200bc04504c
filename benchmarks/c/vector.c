#include "twin.h"

enum { ADD, MUL, COMPARE, SPECIAL };
enum { SQUARE = 7, PICK = 18 };

struct counts { i64 cycles, busy, padding, unmapped, imbalance, ops[4]; };

static inline void issue(struct counts *counts, i64 lanes, i64 special, i64 unit, i64 active, i64 absent, bool alone) {
    const i64 cycles = unit == SPECIAL ? special : 1;
    counts->cycles += cycles;
    counts->busy += (active - absent) * cycles;
    counts->padding += absent * cycles;
    if (alone)
        counts->imbalance += (lanes - active) * cycles;
    else
        counts->unmapped += (lanes - active) * cycles;
    counts->ops[unit] += active - absent;
}

static inline VALUE step_once(i64 code, VALUE a, VALUE square, VALUE x) {
    switch (code) {
    case 0: return a + x;
    case 1: return a - x;
    case 2: return a * x;
    case 3: return x > a ? x : a;
    case 4: return x < a ? x : a;
    case 5: return -a;
    case 6: return a < 0 ? -a : a;
    case 8: return a + square;
    case 9: return x * 0 + (a == x);
    case 10: return x * 0 + (a > x);
    case 11: return x * 0 + (a >= x);
    case 12: return x * 0 + (a < x);
    case 13: return x * 0 + (a <= x);
    case 14: return x * 0 + (a != 0 && x != 0);
    case 15: return x * 0 + (a != 0 || x != 0);
    case 16: return x * 0 + ((a != 0) != (x != 0));
    case 17: return x > 0 ? x : a;
    case PICK: return a != 0 ? x : x * 0;
    case 19: return square != 0 ? a : x;
    case 20: return x != 0 ? (double)a / (double)x : a * INFINITY;
    case 21: return a != 0 ? (double)x / (double)a : x * INFINITY;
    case 22: return exp(a);
    case 23: return exp(-a);
    case 24: return tanh(a);
    case 25: return erf(a);
    case 26: return pow(a, x);
    case 27: return sqrt(a);
    case 28: return log(a);
    case 29: return sin(a);
    case 30: return cos(a);
    default: return x != 0 ? a - floor((double)a / (double)x) * x : a * NAN;
    }
}

void walk_flat(i64 lanes, i64 special, ARRAY(const i64, codes), ARRAY(const i64, units), ARRAY(const i64, sources),
               ARRAY(const VALUE, consts), i64 elements, ARRAY(const VALUE, start), ARRAY(const bool, present),
               bool with_values, ARRAY(const VALUE, operands), ARRAY(VALUE, out), i64 *result) {
    const i64 window = present_n[0];
    struct counts counts = {0};
    VALUE *acc = calloc(lanes, sizeof(VALUE)), *square = calloc(lanes, sizeof(VALUE));
    for (i64 base = 0; base < elements; base += lanes) {
        const i64 active = min(lanes, elements - base);
        if (with_values)
            for (i64 lane = 0; lane < active; lane++) acc[lane] = start_n[0] == 0 ? operands[base + lane] : start[0];
        for (i64 step = 0; step < codes_n[0]; step++) {
            const i64 code = codes[step], source = sources[step];
            const bool tap = source >= 0 && source < window;
            const bool *here = present + source * elements + base;
            i64 absent = 0;
            if (tap)
                for (i64 lane = 0; lane < active; lane++) absent += !here[lane];
            issue(&counts, lanes, special, units[step], active, absent, false);
            if (!with_values) continue;
            for (i64 lane = 0; lane < active; lane++) {
                if (tap && !here[lane]) continue;
                const VALUE x = source < 0 ? consts[step] : operands[source * operands_n[1] + base + lane];
                if (code == SQUARE) {
                    square[lane] = x * x;
                    continue;
                }
                const VALUE held = square[lane];
                if (code == PICK) square[lane] = acc[lane];
                acc[lane] = step_once(code, acc[lane], held, x);
            }
        }
        if (with_values)
            for (i64 lane = 0; lane < active; lane++) out[base + lane] = acc[lane];
    }
    memcpy(result, &counts, sizeof counts);
    free(acc), free(square);
}

static double tree(struct counts *counts, i64 lanes, i64 special, i64 unit, double *acc, i64 live) {
    while (live > 1) {
        const i64 half = (live + 1) / 2;
        issue(counts, lanes, special, unit, live - half, 0, true);
        for (i64 lane = 0; lane < live - half; lane++) {
            const double other = acc[lane + half];
            acc[lane] = unit != COMPARE ? acc[lane] + other : other > acc[lane] ? other : acc[lane];
        }
        live = half;
    }
    return acc[0];
}

void walk_rows(i64 lanes, i64 special, bool softmax, double epsilon, i64 gains, i64 shifts, i64 length,
               ARRAY(const double, x), ARRAY(double, out), i64 *result) {
    const i64 live = min(lanes, length), unit = softmax ? COMPARE : ADD;
    struct counts counts = {0};
    double *acc = malloc(lanes * sizeof(double));
    for (i64 row = 0; row < x_n[0]; row++) {
        const double *in = x + row * length;
        double *to = out + row * length;
        for (i64 lane = 0; lane < lanes; lane++) acc[lane] = softmax ? -INFINITY : 0;
        for (i64 base = 0; base < length; base += lanes) {
            const i64 active = min(lanes, length - base);
            issue(&counts, lanes, special, unit, active, 0, false);
            for (i64 lane = 0; lane < active; lane++) {
                const double value = in[base + lane];
                acc[lane] = !softmax ? acc[lane] + value : value > acc[lane] ? value : acc[lane];
            }
        }
        double middle = tree(&counts, lanes, special, unit, acc, live);
        if (!softmax) {
            issue(&counts, lanes, special, SPECIAL, 1, 0, true);
            middle /= length;
        }
        for (i64 lane = 0; lane < lanes; lane++) acc[lane] = 0;
        for (i64 base = 0; base < length; base += lanes) {
            const i64 active = min(lanes, length - base);
            issue(&counts, lanes, special, ADD, active, 0, false);
            issue(&counts, lanes, special, softmax ? SPECIAL : MUL, active, 0, false);
            issue(&counts, lanes, special, ADD, active, 0, false);
            for (i64 lane = 0; lane < active; lane++) {
                const double shifted = in[base + lane] - middle;
                to[base + lane] = softmax ? exp(shifted) : shifted;
                acc[lane] += softmax ? to[base + lane] : shifted * shifted;
            }
        }
        double scale = tree(&counts, lanes, special, ADD, acc, live);
        if (!softmax) {
            issue(&counts, lanes, special, SPECIAL, 1, 0, true);
            issue(&counts, lanes, special, ADD, 1, 0, true);
            issue(&counts, lanes, special, SPECIAL, 1, 0, true);
            scale = 1 / sqrt(scale / length + epsilon);
        }
        for (i64 base = 0; base < length; base += lanes) {
            const i64 active = min(lanes, length - base);
            issue(&counts, lanes, special, softmax ? SPECIAL : MUL, active, 0, false);
            for (i64 i = 0; i < gains; i++) issue(&counts, lanes, special, MUL, active, 0, false);
            for (i64 i = 0; i < shifts; i++) issue(&counts, lanes, special, ADD, active, 0, false);
            for (i64 lane = 0; lane < active; lane++)
                to[base + lane] = softmax ? to[base + lane] / scale : to[base + lane] * scale;
        }
    }
    memcpy(result, &counts, sizeof counts);
    free(acc);
}
