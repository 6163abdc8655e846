/* Exponentials in the fixed-point numbers of TFLite, named by their integer bits: Q0 has 31
 * fractional ones, Q4 has 27. */
#ifndef SWR_EXPONENTIAL_H_
#define SWR_EXPONENTIAL_H_

#include "swr_rounding.h"

/* value / 2^shift, rounded; halves go away from 0. */
int32_t swr_divided_by_power(int32_t value, int shift);

/* exp(x) in Q0 of x <= 0 with 26 fractional bits or more. */
int32_t swr_exponential(int32_t x, int fraction_bits);

/* 1 / (1 + x) of 0 <= x < 1, both in Q0. */
int32_t swr_reciprocal(int32_t x);

#endif
