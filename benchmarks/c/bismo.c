#include "twin.h"

struct cut { i64 groups, m, k, n, lhs_bits, rhs_bits, dm, dk, dn, instruction_cycles; };
struct signs { i64 lhs, rhs; };

void walk_product(const struct cut *cut, bool with_values, const struct signs *signs, ARRAY(const i64, a),
                  ARRAY(const i64, b), ARRAY(i64, out), i64 *result) {
    const struct cut c = *cut;
    const i64 parts = ceil_div(c.k, c.dk);
    i64 cycles = 0, work = 0, padding = 0;
    for (i64 n0 = 0; n0 < c.n; n0 += c.dn)
        for (i64 m0 = 0; m0 < c.m; m0 += c.dm) {
            const i64 rows = min(c.dm, c.m - m0), cols = min(c.dn, c.n - n0);
            for (i64 diagonal = c.lhs_bits + c.rhs_bits - 2; diagonal >= 0; diagonal--) {
                if (with_values)
                    for (i64 i = m0; i < m0 + rows; i++)
                        for (i64 j = n0; j < n0 + cols; j++) out[i * c.n + j] *= 2;
                for (i64 lhs = max(0, diagonal - c.rhs_bits + 1); lhs <= min(diagonal, c.lhs_bits - 1); lhs++) {
                    const i64 rhs = diagonal - lhs;
                    const bool negate = (signs->lhs && lhs == c.lhs_bits - 1) != (signs->rhs && rhs == c.rhs_bits - 1);
                    cycles += c.instruction_cycles;
                    for (i64 part = 0; part < parts; part++) {
                        const i64 depth = min(c.dk, c.k - part * c.dk);
                        cycles++;
                        work += rows * cols * depth;
                        padding += c.dm * c.dn * c.dk - rows * cols * depth;
                        if (!with_values) continue;
                        for (i64 i = m0; i < m0 + rows; i++)
                            for (i64 j = n0; j < n0 + cols; j++) {
                                i64 count = 0;
                                for (i64 k = part * c.dk; k < part * c.dk + depth; k++)
                                    count += (a[i * c.k + k] >> lhs) & (b[k * c.n + j] >> rhs) & 1;
                                out[i * c.n + j] += negate ? -count : count;
                            }
                    }
                }
            }
        }
    result[0] = cycles, result[1] = work, result[2] = padding;
}
