#include "twin.h"

struct numbers { i64 r, s, e, f, sy, sx, py, px, dy, dx; };

void walk_image(ARRAY(const bool, mask), ARRAY(const i64, numbers), i64 maps, bool with_values, ARRAY(const i64, x),
                ARRAY(const i64, w), ARRAY(i64, out), ARRAY(i64, cycles), i64 *result) {
    const struct numbers p = *(const struct numbers *)numbers;
    const i64 channels = mask_n[0], height = mask_n[1], width = mask_n[2];
    (void)result;
    for (i64 first = 0; first < w_n[0]; first += maps) {
        for (i64 y = 0; y < height; y++)
            for (i64 col = 0; col < width; col++)
                for (i64 c = 0; c < channels; c++) {
                    if (!mask[(c * height + y) * width + col]) continue;
                    for (i64 r = 0; r < p.r; r++) {
                        const i64 up = y + p.py - r * p.dy;
                        if (up < 0 || up % p.sy != 0 || up / p.sy >= p.e) continue;
                        for (i64 s = 0; s < p.s; s++) {
                            const i64 left = col + p.px - s * p.dx;
                            if (left < 0 || left % p.sx != 0 || left / p.sx >= p.f) continue;
                            if (first == 0) cycles[y]++;
                            if (!with_values) continue;
                            for (i64 k = first; k < min(first + maps, w_n[0]); k++)
                                out[(k * p.e + up / p.sy) * p.f + left / p.sx] +=
                                    x[(c * height + y) * width + col] * w[((k * channels + c) * p.r + r) * p.s + s];
                        }
                    }
                }
        if (!with_values) return;
    }
}
