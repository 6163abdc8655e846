#include "swr_exponential.h"

enum { kQ4Bits = 27, kOutputShift = 31 - 8 }; /* The output is in units of 1/256, from -128 on. */

/* 1 / (1 + exp(-x)) in Q0 of x in Q4. */
static int32_t logistic(int32_t x) {
  if (x == 0) {
    return INT32_C(1) << 30;
  }
  int32_t positive = swr_reciprocal(swr_exponential(x > 0 ? -x : x, kQ4Bits));
  return x > 0 ? positive : INT32_MAX - positive;
}

static int8_t output_of(const SwrLogistic *operation, int32_t value) {
  if (value <= -operation->radius) {
    return INT8_MIN;
  }
  if (value >= operation->radius) {
    return INT8_MAX;
  }
  int32_t scaled = swr_multiply_high(swr_shift_left(value, operation->scale.shift),
                                     operation->scale.multiplier);
  int32_t rounded = swr_divided_by_power(logistic(scaled), kOutputShift);
  return swr_clamp(rounded + INT8_MIN, INT8_MIN, INT8_MAX);
}

void swr_logistic(const SwrCall *call) {
  const SwrLogistic *operation = call->operation;
  int8_t *table = call->scratch;
  for (int32_t value = INT8_MIN; value <= INT8_MAX; ++value) {
    table[(uint8_t)value] = output_of(operation, value - operation->input_zero_point);
  }
  for (uint32_t i = 0; i < operation->count; ++i) {
    call->output[i] = table[(uint8_t)call->input[0][i]];
  }
}
