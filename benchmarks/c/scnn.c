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
