/* TFLite's fixed-point arithmetic. Shifts of negative values are arithmetic, as all compilers for
 * microcontrollers have them. */
#ifndef SWR_ROUNDING_H_
#define SWR_ROUNDING_H_

#include <stdint.h>

#include "swr_operations.h"

/* a * b / 2^31, rounded; halves go up. Not for a = b = -2^31. */
static inline int32_t swr_multiply_high(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

static inline int32_t swr_shift_left(int32_t value, int shift) {
  return (int32_t)((uint32_t)value << shift);
}

/* What of a division by 2^shift is known before the value. */
static inline int32_t swr_half(int shift) { return (int32_t)(UINT32_C(1) << shift >> 1); }

/* value / 2^shift, rounded; halves go away from 0. |value| < 2^30. */
static inline int32_t swr_shift_right(int32_t value, int shift, int32_t half) {
  int32_t down = half == 0 ? 0 : value >> 31;
  return (value + half + down) >> shift;
}

/* A scale in the form that takes the fewest instructions for each value. */
typedef struct {
  int32_t multiplier, half;
  int left, right;
} SwrRescale;

static inline SwrRescale swr_rescale(SwrScale scale) {
  int left = scale.shift > 0 ? scale.shift : 0;
  int right = scale.shift > 0 ? 0 : -scale.shift;
  return (SwrRescale){scale.multiplier, swr_half(right), left, right};
}

static inline int32_t swr_rescaled(int32_t value, SwrRescale scale) {
  int32_t high = swr_multiply_high(swr_shift_left(value, scale.left), scale.multiplier);
  return swr_shift_right(high, scale.right, scale.half);
}

static inline int8_t swr_clamp(int32_t value, int32_t low, int32_t high) {
  return (int8_t)(value < low ? low : value > high ? high : value);
}

#endif
