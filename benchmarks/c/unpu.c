#include "twin.h"

struct units { i64 pixels, across, outputs, inputs, ports, planes; };
struct span { i64 g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels; };
struct shape { i64 cg, kg, r, s, stride_e, stride_f, dilation_r, dilation_s; };

void walk_tile(const struct units *units, const struct span *span, const struct shape *shape, bool with_values,
               ARRAY(const i64, x), ARRAY(const i64, w), ARRAY(i64, out), i64 *result) {
    const struct units u = *units;
    const struct span a = *span;
    const struct shape q = *shape;
    const i64 m = a.images * a.rows * a.cols, terms = a.channels * q.r * q.s, tables = ceil_div(terms, u.inputs);
    const i64 below = w_n[1] * w_n[2] * w_n[3] * w_n[4];
    i64 cycles = 0, covered_work = 0, lookups = 0, built = 0, inputs = 0, weights = 0, psums = 0;
    i64 *table = malloc(sizeof(i64) << u.inputs), *place = malloc(u.inputs * sizeof(i64));
    for (i64 g = a.g0; g < a.g0 + a.groups; g++)
        for (i64 k = 0; k < a.filters; k += u.outputs) {
            const i64 ks = min(u.outputs, a.filters - k);
            for (i64 pixel = 0; pixel < m; pixel += u.pixels) {
                const i64 side = min(u.pixels, m - pixel);
                for (i64 t0 = 0; t0 < tables; t0 += u.across) {
                    const i64 across = min(u.across, tables - t0);
                    const i64 covered = min(terms, (t0 + across) * u.inputs) - t0 * u.inputs;
                    cycles += u.planes;
                    covered_work += side * ks * covered * u.planes;
                    lookups += side * ks * across * u.planes;
                    built += side * across;
                    inputs += side * covered;
                    weights += ks * covered;
                    if (!with_values) continue;
                    for (i64 p = pixel; p < pixel + side; p++) {
                        const i64 n = a.n0 + p / (a.rows * a.cols);
                        const i64 e = a.e0 + p / a.cols % a.rows, f = a.f0 + p % a.cols;
                        for (i64 t = t0; t < t0 + across; t++) {
                            const i64 first = t * u.inputs, size = min(u.inputs, terms - first);
                            table[0] = 0;
                            for (i64 i = 0; i < size; i++) {
                                const i64 term = first + i, c = a.c0 + term % a.channels;
                                const i64 r = term / a.channels / q.s, s = term / a.channels % q.s;
                                const i64 y = e * q.stride_e + r * q.dilation_r, col = f * q.stride_f + s * q.dilation_s;
                                const i64 value = x[((n * x_n[1] + g * q.cg + c) * x_n[2] + y) * x_n[3] + col];
                                place[i] = (c * w_n[3] + r) * w_n[4] + s;
                                for (i64 entry = 0; entry < (i64)1 << i; entry++)
                                    table[entry | (i64)1 << i] = table[entry] + value;
                            }
                            for (i64 j = 0; j < ks; j++) {
                                const i64 o = g * q.kg + a.k0 + k + j, filter = o * w_n[2] * w_n[3] * w_n[4];
                                i64 sum = 0;
                                for (i64 plane = 0; plane < u.planes; plane++) {
                                    i64 add = 0, subtract = 0;
                                    for (i64 i = 0; i < size; i++) {
                                        add |= ((w[filter + place[i]] >> plane) & 1) << i;
                                        subtract |= ((w[below + filter + place[i]] >> plane) & 1) << i;
                                    }
                                    sum += (table[add] - table[subtract]) * ((i64)1 << plane);
                                }
                                out[((n * out_n[1] + o) * out_n[2] + e) * out_n[3] + f] += sum;
                            }
                        }
                    }
                }
                psums += side * ks;
            }
        }
    const i64 counts[] = {cycles, covered_work, lookups, built, inputs, weights, psums};
    memcpy(result, counts, sizeof counts);
    free(table), free(place);
}
