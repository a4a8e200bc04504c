/* What every twin needs. `twins.py` reads the parameters of the public functions:
 *   ARRAY(type, name)   an array in C order, and its shape;
 *   i64, bool, double   a number;
 *   const struct x *y   a tuple of integers, field by field;
 *   i64 *result         (last) everything the kernel returns, written one after the other.
 * VALUE is the type of values where a kernel takes several. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t i64;

#ifndef VALUE
#define VALUE i64
#endif

#define ARRAY(type, name) type *name, const i64 *name##_n

static inline i64 min(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 max(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }
static inline void fill(i64 *at, i64 n, i64 value) { for (i64 i = 0; i < n; i++) at[i] = value; }
static inline i64 *zeros(i64 n) { return calloc(n + 1, sizeof(i64)); }
static inline i64 *filled(i64 n, i64 value) {
    i64 *at = malloc((n + 1) * sizeof(i64));
    fill(at, n, value);
    return at;
}
static inline i64 largest(const i64 *at, i64 n) {
    i64 found = at[0];
    for (i64 i = 1; i < n; i++) found = max(found, at[i]);
    return found;
}
