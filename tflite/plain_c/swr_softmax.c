#include "swr_exponential.h"

enum { kSumIntegerBits = 12, kQ5Bits = 26 }; /* Of 32; Q5 has 5 integer bits. */

static int leading_zeros(uint32_t value) {
  int count = 0;
  for (; value >> 31 == 0; value <<= 1) {
    ++count;
  }
  return count;
}

static int32_t term(const SwrSoftmax *softmax, int32_t difference) {
  int32_t scaled = swr_multiply_high(swr_shift_left(difference, softmax->scale.shift),
                                     softmax->scale.multiplier);
  return difference < softmax->least_difference ? 0 : swr_exponential(scaled, kQ5Bits);
}

static void softmax_row(const SwrSoftmax *softmax, const int8_t *in, int8_t *out) {
  int32_t largest = INT8_MIN, sum = 0;
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    largest = in[i] > largest ? in[i] : largest;
  }
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    sum += swr_divided_by_power(term(softmax, in[i] - largest), kSumIntegerBits);
  }
  int zeros = leading_zeros((uint32_t)sum);
  int32_t scale = swr_reciprocal((int32_t)(((uint32_t)sum << zeros) - (UINT32_C(1) << 31)));
  int shift = kSumIntegerBits - zeros + 31 - 8;
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    int32_t product = swr_multiply_high(scale, term(softmax, in[i] - largest));
    out[i] = swr_clamp(swr_divided_by_power(product, shift) + INT8_MIN, INT8_MIN, INT8_MAX);
  }
}

void swr_softmax(const SwrCall *call) {
  const SwrSoftmax *softmax = call->operation;
  for (uint32_t row = 0; row < softmax->rows; ++row) {
    uint32_t start = row * softmax->depth;
    softmax_row(softmax, call->input[0] + start, call->output + start);
  }
}
