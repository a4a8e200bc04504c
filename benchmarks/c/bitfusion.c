#include "twin.h"

struct fused { i64 rows, cols, lanes, bricks, products, passes, unit_bricks, packed, inner; };
struct span { i64 g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels; };
struct shape { i64 cg, kg, r, s, stride_e, stride_f, dilation_r, dilation_s; };
struct coding { i64 a_width, w_width, brick, a_signed, w_signed; };

static inline i64 digit(i64 value, i64 i, i64 count, i64 brick, bool is_signed) {
    const i64 mask = ((i64)1 << brick) - 1, found = (value >> (brick * i)) & mask;
    return is_signed && i == count - 1 && found > mask >> 1 ? found - mask - 1 : found;
}

static inline i64 fused_product(i64 a, i64 w, const struct coding *c) {
    const i64 as = c->a_width / c->brick, ws = c->w_width / c->brick;
    i64 total = 0;
    for (i64 i = 0; i < as; i++) {
        const i64 x = digit(a, i, as, c->brick, c->a_signed);
        for (i64 j = 0; j < ws; j++)
            total += (x * digit(w, j, ws, c->brick, c->w_signed)) * ((i64)1 << (c->brick * (i + j)));
    }
    return total;
}

void walk_tile(const struct fused *array, const struct span *span, const struct shape *shape,
               bool with_values, const struct coding *coding, ARRAY(const i64, x), ARRAY(const i64, w),
               ARRAY(i64, out), i64 *result) {
    const struct fused p = *array;
    const struct span a = *span;
    const struct shape q = *shape;
    const struct coding code = *coding;
    const i64 taps = q.r * q.s, m = a.images * a.rows * a.cols, blocks = ceil_div(a.filters, p.cols);
    const i64 per_tap = p.packed ? taps * a.channels : a.channels, chunks = ceil_div(per_tap, p.lanes);
    const i64 depth = p.packed ? chunks : chunks * taps, units = p.rows * p.cols * p.unit_bricks;
    const i64 inner = p.inner, outer = inner == 0 ? m : blocks, middle = inner == 1 ? m : depth;
    const i64 last = inner == 0 ? blocks : inner == 1 ? depth : m, ramp = p.rows + p.cols - 1;
    i64 cycles = 0, work = 0, unused = 0, sums = 0, inputs = 0, weights = 0, psums = 0;
    for (i64 g = a.g0; g < a.g0 + a.groups; g++) {
        i64 seen_input = -1, seen_weight = -1, seen_sum = -1;
        for (i64 i = 0; i < outer; i++)
            for (i64 j = 0; j < middle; j++)
                for (i64 at = 0; at < last; at++) {
                    const i64 pixel = inner == 0 ? i : inner == 1 ? j : at;
                    const i64 deep = inner == 1 ? at : j, block = inner == 0 ? at : i;
                    const i64 first = deep % chunks * p.lanes, lanes = min(p.lanes, per_tap - first);
                    const i64 ks = min(p.cols, a.filters - block * p.cols);
                    cycles += p.passes;
                    work += lanes * ks * p.bricks * p.passes;
                    unused += (units - lanes * ks * p.bricks) * p.passes;
                    sums += ceil_div(lanes, p.products) * ks * p.passes;
                    if (pixel * depth + deep != seen_input) {
                        seen_input = pixel * depth + deep;
                        inputs += lanes;
                    }
                    if (block * depth + deep != seen_weight) {
                        seen_weight = block * depth + deep;
                        weights += lanes * ks;
                    }
                    if (block * m + pixel != seen_sum) {
                        seen_sum = block * m + pixel;
                        psums += ks;
                    }
                    if (!with_values) continue;
                    const i64 n = a.n0 + pixel / (a.rows * a.cols);
                    const i64 e = a.e0 + pixel / a.cols % a.rows, f = a.f0 + pixel % a.cols;
                    for (i64 lane = first; lane < first + lanes; lane++) {
                        const i64 c = a.c0 + (p.packed ? lane % a.channels : lane);
                        const i64 tap = p.packed ? lane / a.channels : deep / chunks, r = tap / q.s, s = tap % q.s;
                        const i64 y = e * q.stride_e + r * q.dilation_r, col = f * q.stride_f + s * q.dilation_s;
                        const i64 value = x[((n * x_n[1] + g * q.cg + c) * x_n[2] + y) * x_n[3] + col];
                        for (i64 k = 0; k < ks; k++) {
                            const i64 o = g * q.kg + a.k0 + block * p.cols + k;
                            out[((n * out_n[1] + o) * out_n[2] + e) * out_n[3] + f] +=
                                fused_product(value, w[((o * w_n[1] + c) * w_n[2] + r) * w_n[3] + s], &code);
                        }
                    }
                }
    }
    const i64 counts[] = {cycles + ramp, work, unused, ramp * units, sums, inputs, weights, psums};
    memcpy(result, counts, sizeof counts);
}
