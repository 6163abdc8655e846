/* Sums of products of four values at once, where the processor has them. */
#ifndef SWR_DOT_H_
#define SWR_DOT_H_

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_UNALIGNED)
#include <arm_acle.h>
#include <string.h>

static inline int8x4_t swr_load_four(const int8_t *at) {
  int8x4_t four;
  memcpy(&four, at, sizeof four);
  return four;
}

static inline int8x4_t swr_rotated(int8x4_t four) {
  uint32_t bits = (uint32_t)four;
  return (int8x4_t)(bits >> 8 | bits << 24);
}

/* Adds the products of as many values as are multiples of four to both sums; returns how many. */
static inline uint32_t swr_dot_fours(const int8_t *weights, const int8_t *first,
                                     const int8_t *second, uint32_t count, int32_t *first_sum,
                                     int32_t *second_sum, int pixels) {
  int32_t a = *first_sum, b = *second_sum;
  uint32_t i = 0;
  for (; i + 3 < count; i += 4) {
    int8x4_t four = swr_load_four(weights + i);
    int16x2_t even = __sxtb16(four), odd = __sxtb16(swr_rotated(four));
    four = swr_load_four(first + i);
    a = __smlad(__sxtb16(four), even, a);
    a = __smlad(__sxtb16(swr_rotated(four)), odd, a);
    if (pixels == 2) {
      four = swr_load_four(second + i);
      b = __smlad(__sxtb16(four), even, b);
      b = __smlad(__sxtb16(swr_rotated(four)), odd, b);
    }
  }
  *first_sum = a;
  *second_sum = b;
  return i;
}

#else

static inline uint32_t swr_dot_fours(const int8_t *weights, const int8_t *first,
                                     const int8_t *second, uint32_t count, int32_t *first_sum,
                                     int32_t *second_sum, int pixels) {
  int32_t a = *first_sum, b = *second_sum;
  uint32_t i = 0;
  for (; i + 3 < count; i += 4) {
    for (uint32_t j = i; j < i + 4; ++j) {
      a += first[j] * weights[j];
      b += pixels == 2 ? second[j] * weights[j] : 0;
    }
  }
  *first_sum = a;
  *second_sum = b;
  return i;
}

#endif

#endif
