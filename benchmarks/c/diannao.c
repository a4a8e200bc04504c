#include "twin.h"

struct unit { i64 outputs, inputs; };
struct span { i64 g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels; };
struct shape { i64 cg, kg, r, s, stride_e, stride_f, dilation_r, dilation_s; };

void walk_tile(const struct unit *unit, const struct span *span, const struct shape *shape, bool with_values,
               ARRAY(const i64, x), ARRAY(const i64, w), ARRAY(i64, out), i64 *result) {
    const struct span a = *span;
    const struct shape q = *shape;
    const i64 tn = unit->outputs, ti = unit->inputs;
    i64 cycles = 0, products = 0, inputs = 0, sums = 0;
    for (i64 g = a.g0; g < a.g0 + a.groups; g++)
        for (i64 k = a.k0; k < a.k0 + a.filters; k += tn) {
            const i64 ks = min(tn, a.k0 + a.filters - k);
            for (i64 pixel = 0; pixel < a.images * a.rows * a.cols; pixel++) {
                const i64 n = a.n0 + pixel / (a.rows * a.cols);
                const i64 e = a.e0 + pixel / a.cols % a.rows, f = a.f0 + pixel % a.cols;
                for (i64 tap = 0; tap < q.r * q.s; tap++) {
                    const i64 r = tap / q.s, s = tap % q.s;
                    const i64 h = e * q.stride_e + r * q.dilation_r, v = f * q.stride_f + s * q.dilation_s;
                    for (i64 c = a.c0; c < a.c0 + a.channels; c += ti) {
                        const i64 cs = min(ti, a.c0 + a.channels - c);
                        cycles++;
                        products += ks * cs;
                        inputs += cs;
                        if (!with_values) continue;
                        for (i64 o = g * q.kg + k; o < g * q.kg + k + ks; o++)
                            for (i64 i = c; i < c + cs; i++)
                                out[((n * out_n[1] + o) * out_n[2] + e) * out_n[3] + f] +=
                                    x[((n * x_n[1] + g * q.cg + i) * x_n[2] + h) * x_n[3] + v] *
                                    w[((o * w_n[1] + i) * w_n[2] + r) * w_n[3] + s];
                    }
                }
                sums += ks;
            }
        }
    result[0] = cycles, result[1] = products, result[2] = inputs, result[3] = sums;
}
