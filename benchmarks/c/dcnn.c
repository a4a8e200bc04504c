#include "twin.h"

void walk_tile(i64 rows, i64 cols, i64 kernels, i64 kc, i64 taps, i64 lanes, bool with_values,
               ARRAY(const i64, columns), ARRAY(const i64, w), ARRAY(i64, out), i64 *result) {
    i64 dots = 0, products = 0;
    for (i64 k0 = 0; k0 < kernels; k0 += kc) {
        const i64 k1 = min(k0 + kc, kernels);
        for (i64 t0 = 0; t0 < taps; t0 += lanes) {
            const i64 t1 = min(t0 + lanes, taps);
            dots += rows * cols * (k1 - k0);
            products += rows * cols * (k1 - k0) * (t1 - t0);
            if (!with_values) continue;
            for (i64 pixel = 0; pixel < rows * cols; pixel++)
                for (i64 k = k0; k < k1; k++) {
                    i64 total = 0;
                    for (i64 t = t0; t < t1; t++) total += columns[pixel * taps + t] * w[k * taps + t];
                    out[k * rows * cols + pixel] += total;
                }
        }
    }
    result[0] = dots, result[1] = products;
}
