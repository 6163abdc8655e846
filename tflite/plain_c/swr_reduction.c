#include <stddef.h>
#include <string.h>

#include "swr_rounding.h"

/* What a window takes from one channel. */
typedef int32_t Gather(int32_t found, int32_t value);
typedef int8_t Finish(int32_t found, int32_t count, const SwrPool *pool);

static int32_t add(int32_t found, int32_t value) { return found + value; }

static int32_t larger(int32_t found, int32_t value) { return found > value ? found : value; }

static int8_t rounded_mean(int32_t found, int32_t count, const SwrPool *pool) {
  int32_t half = found > 0 ? count / 2 : -(count / 2);
  return swr_clamp((found + half) / count, pool->low, pool->high);
}

static int8_t as_found(int32_t found, int32_t count, const SwrPool *pool) {
  (void)count;
  return swr_clamp(found, pool->low, pool->high);
}

static int32_t later(int32_t a, int32_t b) { return a > b ? a : b; }

static int32_t sooner(int32_t a, int32_t b) { return a < b ? a : b; }

static void pool_image(const SwrPool *pool, const int8_t *image, int8_t *out, int32_t start,
                       Gather *gather, Finish *finish) {
  const SwrWindow *window = pool->window;
  const int32_t channels = window->in_channels, width = window->in_width;
  for (int32_t y = 0; y < window->out_height; ++y) {
    int32_t top = y * window->stride_y - window->pad_top;
    int32_t bottom = sooner(top + window->kernel_height, window->in_height);
    top = later(top, 0);
    for (int32_t x = 0; x < window->out_width; ++x) {
      int32_t left = x * window->stride_x - window->pad_left;
      int32_t right = sooner(left + window->kernel_width, width);
      left = later(left, 0);
      for (int32_t c = 0; c < channels; ++c) {
        int32_t found = start;
        for (int32_t row = top; row < bottom; ++row) {
          const int8_t *in = image + (row * width + left) * channels + c;
          for (int32_t column = left; column < right; ++column, in += channels) {
            found = gather(found, *in);
          }
        }
        *out++ = finish(found, (bottom - top) * (right - left), pool);
      }
    }
  }
}

static void pool_images(const SwrCall *call, int32_t start, Gather *gather, Finish *finish) {
  const SwrPool *pool = call->operation;
  const SwrWindow *window = pool->window;
  size_t in_bytes = (size_t)window->in_height * window->in_width * window->in_channels;
  size_t out_bytes = (size_t)window->out_height * window->out_width * window->out_channels;
  for (uint32_t batch = 0; batch < window->batches; ++batch) {
    pool_image(pool, call->input[0] + batch * in_bytes, call->output + batch * out_bytes, start,
               gather, finish);
  }
}

void swr_pool_average(const SwrCall *call) { pool_images(call, 0, add, rounded_mean); }

void swr_pool_largest(const SwrCall *call) { pool_images(call, INT8_MIN, larger, as_found); }

void swr_reduce_sum(const SwrCall *call) {
  const SwrMean *mean = call->operation;
  const SwrReduction *reduction = mean->reduction;
  const uint32_t *sizes = reduction->sizes, *strides = reduction->strides;
  const int8_t *in = call->input[0];
  int32_t *sums = call->scratch;
  memset(sums, 0, reduction->output_count * sizeof *sums);
  for (uint32_t i = 0; i < sizes[0]; ++i) {
    for (uint32_t j = 0; j < sizes[1]; ++j) {
      for (uint32_t k = 0; k < sizes[2]; ++k) {
        int32_t *to = sums + i * strides[0] + j * strides[1] + k * strides[2];
        for (uint32_t l = 0; l < sizes[3]; ++l) {
          to[l * strides[3]] += *in++;
        }
      }
    }
  }
  const SwrRescale scale = swr_rescale(mean->scale);
  for (uint32_t i = 0; i < reduction->output_count; ++i) {
    int32_t value = mean->scale.multiplier == 0
                        ? sums[i] / mean->divisor
                        : swr_rescaled(sums[i] - mean->zero_sum, scale) + mean->output_zero_point;
    call->output[i] = swr_clamp(value, INT8_MIN, INT8_MAX);
  }
}

void swr_reduce_extreme(const SwrCall *call) {
  const SwrReducedExtreme *extreme = call->operation;
  const SwrReduction *reduction = extreme->reduction;
  const uint32_t *sizes = reduction->sizes, *strides = reduction->strides;
  const int8_t *in = call->input[0];
  memset(call->output, extreme->smallest ? INT8_MAX : INT8_MIN, reduction->output_count);
  for (uint32_t i = 0; i < sizes[0]; ++i) {
    for (uint32_t j = 0; j < sizes[1]; ++j) {
      for (uint32_t k = 0; k < sizes[2]; ++k) {
        int8_t *to = call->output + i * strides[0] + j * strides[1] + k * strides[2];
        for (uint32_t l = 0; l < sizes[3]; ++l, ++in) {
          int8_t *found = &to[l * strides[3]];
          *found = (*in < *found) == extreme->smallest ? *in : *found;
        }
      }
    }
  }
}
