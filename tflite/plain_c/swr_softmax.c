#include "swr_rounding.h"

/* Fixed-point numbers are named by their integer bits: Q0 has 31 fractional ones, Q5 has 26. */
enum { kQ5Bits = 26, kSumIntegerBits = 12, kFirstPower = -2, kPowers = 7 };

/* exp(-2^i) in Q0, from i = kFirstPower on. */
static const int32_t kExponentials[kPowers] = {1672461947, 1302514674, 790015084, 290630308,
                                               39332535,   720401,     242};

static int32_t divided_by_power(int32_t value, int shift) {
  int64_t half = INT64_C(1) << shift >> 1;
  return (int32_t)((value + half - (value < 0 && shift > 0)) >> shift);
}

/* exp(x) of -1/4 <= x < 0, both in Q0: a polynomial around -1/8. */
static int32_t exponential_near_zero(int32_t x) {
  const int32_t middle = 1895147668; /* exp(-1/8) */
  const int32_t third = 715827883;
  x += INT32_C(1) << 28;
  int32_t x2 = swr_multiply_high(x, x), x3 = swr_multiply_high(x2, x);
  int32_t x4 = swr_multiply_high(x2, x2);
  int32_t high = swr_multiply_high(divided_by_power(x4, 2) + x3, third) + x2;
  return middle + swr_multiply_high(middle, x + divided_by_power(high, 1));
}

/* exp(x) in Q0 of x <= 0 in Q5. */
static int32_t exponential(int32_t x) {
  if (x == 0) {
    return INT32_MAX;
  }
  const int32_t quarter = INT32_C(1) << (kQ5Bits - 2);
  int32_t near = (x & (quarter - 1)) - quarter;
  int32_t result = exponential_near_zero(near * 32);
  uint32_t quarters = (uint32_t)(near - x) >> (kQ5Bits + kFirstPower);
  for (int i = 0; i < kPowers; ++i) {
    if ((quarters >> i & 1) != 0) {
      result = swr_multiply_high(result, kExponentials[i]);
    }
  }
  return result;
}

static int leading_zeros(uint32_t value) {
  int count = 0;
  for (; value >> 31 == 0; value <<= 1) {
    ++count;
  }
  return count;
}

/* 1 / (1 + x) of 0 <= x < 1, both in Q0: three steps of Newton's method on half the denominator. */
static int32_t reciprocal(int32_t x) {
  const int32_t intercept = 1515870810, slope = -1010580540; /* 48/17 and -32/17 in Q2. */
  int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t found = intercept + swr_multiply_high(half, slope);
  for (int i = 0; i < 3; ++i) {
    int32_t error = (INT32_C(1) << 29) - swr_multiply_high(half, found);
    found += swr_multiply_high(found, error) * 4;
  }
  return found > INT32_MAX / 2 ? INT32_MAX : found * 2;
}

static int32_t term(const SwrSoftmax *softmax, int32_t difference) {
  int32_t scaled = swr_multiply_high(swr_shift_left(difference, softmax->scale.shift),
                                     softmax->scale.multiplier);
  return difference < softmax->least_difference ? 0 : exponential(scaled);
}

static void softmax_row(const SwrSoftmax *softmax, const int8_t *in, int8_t *out) {
  int32_t largest = INT8_MIN, sum = 0;
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    largest = in[i] > largest ? in[i] : largest;
  }
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    sum += divided_by_power(term(softmax, in[i] - largest), kSumIntegerBits);
  }
  int zeros = leading_zeros((uint32_t)sum);
  int32_t scale = reciprocal((int32_t)(((uint32_t)sum << zeros) - (UINT32_C(1) << 31)));
  int shift = kSumIntegerBits - zeros + 31 - 8;
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    int32_t product = swr_multiply_high(scale, term(softmax, in[i] - largest));
    out[i] = swr_clamp(divided_by_power(product, shift) + INT8_MIN, INT8_MIN, INT8_MAX);
  }
}

void swr_softmax(const SwrCall *call) {
  const SwrSoftmax *softmax = call->operation;
  for (uint32_t row = 0; row < softmax->rows; ++row) {
    uint32_t start = row * softmax->depth;
    softmax_row(softmax, call->input[0] + start, call->output + start);
  }
}
