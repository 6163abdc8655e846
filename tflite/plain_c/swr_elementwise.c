#include <stddef.h>

#include "swr_rounding.h"

/* Computes `count` outputs from operands that stand still or go on by one value. */
typedef void Run(const SwrCall *call, const int8_t *first, uint32_t first_stride,
                 const int8_t *second, uint32_t second_stride, uint32_t count, int8_t *out);

static void for_each_run(const SwrCall *call, const SwrBroadcast *broadcast, const int8_t *first,
                         const int8_t *second, Run *compute) {
  const uint32_t *sizes = broadcast->sizes, *a = broadcast->first_strides,
                 *b = broadcast->second_strides;
  first = first != NULL ? first : call->input[0];
  second = second != NULL ? second : call->input[1];
  int8_t *out = call->output;
  for (uint32_t i = 0; i < sizes[0]; ++i) {
    for (uint32_t j = 0; j < sizes[1]; ++j) {
      for (uint32_t k = 0; k < sizes[2]; ++k) {
        compute(call, first + i * a[0] + j * a[1] + k * a[2], a[3],
                second + i * b[0] + j * b[1] + k * b[2], b[3], sizes[3], out);
        out += sizes[3];
      }
    }
  }
}

static void add_run(const SwrCall *call, const int8_t *first, uint32_t first_stride,
                    const int8_t *second, uint32_t second_stride, uint32_t count, int8_t *out) {
  const SwrSum sum = *(const SwrSum *)call->operation; /* Which a store could not change. */
  const SwrRescale scale = swr_rescale(sum.output_scale);
  const int32_t *first_terms = call->scratch, *second_terms = first_terms + SWR_SUM_TERMS / 2;
  for (uint32_t i = 0; i < count; ++i) {
    int32_t both = first_terms[(uint8_t)*first] + second_terms[(uint8_t)*second];
    *out++ = swr_clamp(swr_rescaled(both, scale) + sum.output_zero_point, sum.low, sum.high);
    first += first_stride;
    second += second_stride;
  }
}

static void fill_terms(int32_t zero_point, SwrScale scale, int subtract, int32_t *terms) {
  const SwrRescale rescale = swr_rescale(scale);
  for (int32_t value = -128; value < 128; ++value) {
    int32_t term = swr_rescaled((value - zero_point) * (1 << 20), rescale);
    terms[(uint8_t)value] = subtract ? -term : term;
  }
}

void swr_add(const SwrCall *call) {
  const SwrSum *sum = call->operation;
  int32_t *terms = call->scratch;
  fill_terms(sum->first_zero_point, sum->first_scale, 0, terms);
  fill_terms(sum->second_zero_point, sum->second_scale, sum->subtract, terms + SWR_SUM_TERMS / 2);
  for_each_run(call, sum->broadcast, sum->first, sum->second, add_run);
}

static void multiply_run(const SwrCall *call, const int8_t *first, uint32_t first_stride,
                         const int8_t *second, uint32_t second_stride, uint32_t count,
                         int8_t *out) {
  const SwrProduct product = *(const SwrProduct *)call->operation;
  const SwrRescale scale = swr_rescale(product.output_scale);
  for (uint32_t i = 0; i < count; ++i) {
    int32_t both = (*first - product.first_zero_point) * (*second - product.second_zero_point);
    *out++ = swr_clamp(swr_rescaled(both, scale) + product.output_zero_point, product.low,
                       product.high);
    first += first_stride;
    second += second_stride;
  }
}

void swr_multiply(const SwrCall *call) {
  const SwrProduct *product = call->operation;
  for_each_run(call, product->broadcast, product->first, product->second, multiply_run);
}

static void extreme_run(const SwrCall *call, const int8_t *first, uint32_t first_stride,
                        const int8_t *second, uint32_t second_stride, uint32_t count,
                        int8_t *out) {
  const SwrExtreme *extreme = call->operation;
  for (uint32_t i = 0; i < count; ++i) {
    *out++ = (*first < *second) == extreme->smaller ? *first : *second;
    first += first_stride;
    second += second_stride;
  }
}

void swr_take_extreme(const SwrCall *call) {
  const SwrExtreme *extreme = call->operation;
  for_each_run(call, extreme->broadcast, extreme->first, extreme->second, extreme_run);
}

void swr_look_up(const SwrCall *call) {
  const SwrTable *table = call->operation;
  for (uint32_t i = 0; i < table->count; ++i) {
    call->output[i] = table->table[(uint8_t)call->input[0][i]];
  }
}
