#include "swr_exponential.h"

enum { kFirstPower = -2, kPowers = 7 };

/* exp(-2^i) in Q0, from i = kFirstPower on. */
static const int32_t kExponentials[kPowers] = {1672461947, 1302514674, 790015084, 290630308,
                                               39332535,   720401,     242};

int32_t swr_divided_by_power(int32_t value, int shift) {
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
  int32_t high = swr_multiply_high(swr_divided_by_power(x4, 2) + x3, third) + x2;
  return middle + swr_multiply_high(middle, x + swr_divided_by_power(high, 1));
}

int32_t swr_exponential(int32_t x, int fraction_bits) {
  if (x == 0) {
    return INT32_MAX;
  }
  const int32_t quarter = INT32_C(1) << (fraction_bits + kFirstPower);
  int32_t near = (x & (quarter - 1)) - quarter;
  int32_t result = exponential_near_zero(near * (INT32_C(1) << (31 - fraction_bits)));
  uint32_t quarters = (uint32_t)(near - x) >> (fraction_bits + kFirstPower);
  for (int i = 0; i < kPowers; ++i) {
    if ((quarters >> i & 1) != 0) {
      result = swr_multiply_high(result, kExponentials[i]);
    }
  }
  return result;
}

/* Three steps of Newton's method on half the denominator. */
int32_t swr_reciprocal(int32_t x) {
  const int32_t intercept = 1515870810, slope = -1010580540; /* 48/17 and -32/17 in Q2. */
  int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t found = intercept + swr_multiply_high(half, slope);
  for (int i = 0; i < 3; ++i) {
    int32_t error = (INT32_C(1) << 29) - swr_multiply_high(half, found);
    found += swr_multiply_high(found, error) * 4;
  }
  return found > INT32_MAX / 2 ? INT32_MAX : found * 2;
}
