#include <stddef.h>
#include <string.h>

#include "swr_channels.h"
#include "swr_dot.h"

/* The taps of a window along one axis that lie inside of the image. */
typedef struct {
  int32_t start; /* Where the first tap of the kernel lies in the image, or before it. */
  int32_t first, end;
} Taps;

static Taps taps_at(int32_t out, int32_t stride, int32_t pad, int32_t dilation, int32_t kernel,
                    int32_t size) {
  Taps taps = {.start = out * stride - pad, .first = 0, .end = kernel};
  while (taps.first < kernel && taps.start + taps.first * dilation < 0) {
    ++taps.first;
  }
  while (taps.end > taps.first && taps.start + (taps.end - 1) * dilation >= size) {
    --taps.end;
  }
  return taps;
}

static Taps rows_at(const SwrWindow *window, int32_t y) {
  return taps_at(y, window->stride_y, window->pad_top, window->dilation_y, window->kernel_height,
                 window->in_height);
}

static Taps columns_at(const SwrWindow *window, int32_t x) {
  return taps_at(x, window->stride_x, window->pad_left, window->dilation_x, window->kernel_width,
                 window->in_width);
}

static int is_whole(const SwrWindow *window, Taps rows, Taps columns) {
  return rows.end - rows.first == window->kernel_height &&
         columns.end - columns.first == window->kernel_width;
}

/* Computes one row of outputs; `image` is the batch's, `rest` what the scratch has behind the
 * channels. */
typedef void Row(const SwrConvolution *convolution, const SwrChannel *channels, void *rest,
                 Taps rows, const int8_t *image, int8_t *out);

/* Computes row by row. Where the output lies on the input, a row waits until its input was read:
 * such kernels have one row, and outputs no larger than inputs. */
static void for_each_row(const SwrCall *call, Row *compute, size_t rest_bytes) {
  const SwrConvolution *convolution = call->operation;
  const SwrWindow *window = convolution->window;
  const SwrChannel *channels = call->scratch;
  int8_t *rest = (int8_t *)call->scratch + window->out_channels * sizeof *channels;
  size_t row_bytes = (size_t)window->out_width * window->out_channels;
  size_t image_bytes = (size_t)window->in_height * window->in_width * window->in_channels;
  int8_t *waiting = call->output == call->input[0] ? rest + rest_bytes : NULL;
  const int8_t *image = call->input[0];
  int8_t *out = call->output;
  for (uint32_t batch = 0; batch < window->batches; ++batch, image += image_bytes) {
    for (int32_t y = 0; y < window->out_height; ++y, out += row_bytes) {
      compute(convolution, channels, rest, rows_at(window, y), image,
              waiting == NULL ? out : waiting);
      if (waiting != NULL) {
        memcpy(out, waiting, row_bytes);
      }
    }
  }
}

/* All outputs of two pixels, or of one, given the inputs under the kernel. */
static inline void compute_pixels(const SwrConvolution *convolution, const SwrChannel *channels,
                                  const int8_t *first, const int8_t *second, uint32_t count,
                                  int8_t *out, int pixels) {
  const SwrRange range = swr_range(convolution);
  const uint32_t out_channels = convolution->window->out_channels;
  const int8_t *weights = convolution->kernel;
  for (uint32_t c = 0; c < out_channels; ++c, weights += count) {
    int32_t sum = channels[c].whole_bias, second_sum = sum;
    uint32_t i = swr_dot_fours(weights, first, second, count, &sum, &second_sum, pixels);
    for (; i < count; ++i) {
      sum += first[i] * weights[i];
      second_sum += pixels == 2 ? second[i] * weights[i] : 0;
    }
    out[c] = swr_requantized(range, &channels[c], sum);
    if (pixels == 2) {
      out[out_channels + c] = swr_requantized(range, &channels[c], second_sum);
    }
  }
}

static void compute_pixel_pair(const SwrConvolution *convolution, const SwrChannel *channels,
                               const int8_t *first, const int8_t *second, uint32_t count,
                               int8_t *out) {
  compute_pixels(convolution, channels, first, second, count, out, 2);
}

static void compute_pixel(const SwrConvolution *convolution, const SwrChannel *channels,
                          const int8_t *in, uint32_t count, int8_t *out) {
  compute_pixels(convolution, channels, in, in, count, out, 1);
}

static void pointwise_row(const SwrConvolution *convolution, const SwrChannel *channels, void *rest,
                          Taps rows, const int8_t *image, int8_t *out) {
  (void)rest;
  const SwrWindow *window = convolution->window;
  const uint32_t count = window->in_channels;
  const int8_t *in = image + (size_t)rows.start * window->in_width * count;
  uint32_t x = 0;
  for (; x + 1 < window->out_width; x += 2) {
    compute_pixel_pair(convolution, channels, in, in + count, count, out);
    in += 2 * count;
    out += 2 * window->out_channels;
  }
  if (x < window->out_width) {
    compute_pixel(convolution, channels, in, count, out);
  }
}

/* Copies the inputs under the kernel, with the zero point for those in the padding. */
static void gather(const SwrConvolution *convolution, Taps rows, int32_t x, const int8_t *image,
                   int8_t *patch) {
  const SwrWindow *window = convolution->window;
  const Taps columns = columns_at(window, x);
  const int32_t in_channels = window->in_channels, width = window->in_width;
  const int32_t tap_count = columns.end - columns.first;
  const int32_t patch_row = window->kernel_width * in_channels;
  if (!is_whole(window, rows, columns)) {
    memset(patch, convolution->input_zero_point, (size_t)(window->kernel_height * patch_row));
  }
  /* Taps that are neighbours in the image are one run. */
  const int32_t runs = window->dilation_x == 1 ? (tap_count > 0) : tap_count;
  const int32_t run = window->dilation_x == 1 ? tap_count * in_channels : in_channels;
  for (int32_t ky = rows.first; ky < rows.end; ++ky) {
    int32_t y = rows.start + ky * window->dilation_y;
    int32_t first_x = columns.start + columns.first * window->dilation_x;
    const int8_t *in = image + (y * width + first_x) * in_channels;
    int8_t *to = patch + ky * patch_row + columns.first * in_channels;
    for (int32_t i = 0; i < runs; ++i, to += run, in += window->dilation_x * in_channels) {
      for (int32_t j = 0; j < run; ++j) {
        to[j] = in[j];
      }
    }
  }
}

static void convolved_row(const SwrConvolution *convolution, const SwrChannel *channels, void *rest,
                          Taps rows, const int8_t *image, int8_t *out) {
  const SwrWindow *window = convolution->window;
  const uint32_t count =
      (uint32_t)window->kernel_height * window->kernel_width * window->in_channels;
  int8_t *first = rest, *second = first + count;
  int32_t x = 0;
  for (; x + 1 < window->out_width; x += 2, out += 2 * window->out_channels) {
    gather(convolution, rows, x, image, first);
    gather(convolution, rows, x + 1, image, second);
    compute_pixel_pair(convolution, channels, first, second, count, out);
  }
  if (x < window->out_width) {
    gather(convolution, rows, x, image, first);
    compute_pixel(convolution, channels, first, count, out);
  }
}

static int is_pointwise(const SwrWindow *window) {
  return window->kernel_height == 1 && window->kernel_width == 1 && window->stride_y == 1 &&
         window->stride_x == 1;
}

void swr_convolve(const SwrCall *call) {
  const SwrConvolution *convolution = call->operation;
  const SwrWindow *window = convolution->window;
  uint32_t weights = (uint32_t)window->kernel_height * window->kernel_width * window->in_channels;
  swr_prepare_channels(convolution, weights, 1, weights, call->scratch);
  if (is_pointwise(window)) {
    for_each_row(call, pointwise_row, 0);
  } else {
    for_each_row(call, convolved_row, (size_t)2 * weights);
  }
}

static void accumulate(int32_t *restrict sums, const int8_t *restrict in, int32_t zero_point,
                       const int8_t *restrict weights, uint32_t count) {
  uint32_t c = 0;
  for (; c + 3 < count; c += 4) {
    sums[c] += (in[c] - zero_point) * weights[c];
    sums[c + 1] += (in[c + 1] - zero_point) * weights[c + 1];
    sums[c + 2] += (in[c + 2] - zero_point) * weights[c + 2];
    sums[c + 3] += (in[c + 3] - zero_point) * weights[c + 3];
  }
  for (; c < count; ++c) {
    sums[c] += (in[c] - zero_point) * weights[c];
  }
}

/* As `accumulate`, where each input has `multiplier` outputs. */
static void accumulate_multiplied(int32_t *sums, const int8_t *in, int32_t zero_point,
                                  const int8_t *weights, uint32_t count, uint32_t multiplier) {
  for (uint32_t c = 0; c < count; ++c) {
    sums[c] += (in[c / multiplier] - zero_point) * weights[c];
  }
}

/* All outputs of a pixel of which three taps lie in a line, `next` inputs apart. */
static void compute_line(SwrRange range, const SwrChannel *channels, const int8_t *in,
                         int32_t next, const int8_t *weights, uint32_t count, int8_t *out) {
  const int8_t *second = in + next, *third = second + next;
  for (uint32_t c = 0; c < count; ++c) {
    int32_t sum = channels[c].whole_bias + in[c] * weights[c];
    sum += second[c] * weights[count + c];
    sum += third[c] * weights[2 * count + c];
    out[c] = swr_requantized(range, &channels[c], sum);
  }
}

static void depthwise_row(const SwrConvolution *convolution, const SwrChannel *channels, void *rest,
                          Taps rows, const int8_t *image, int8_t *out) {
  const SwrWindow *window = convolution->window;
  const SwrRange range = swr_range(convolution);
  const int32_t in_channels = window->in_channels;
  const uint32_t out_channels = window->out_channels;
  const uint32_t multiplier = out_channels / window->in_channels;
  const int is_line = window->kernel_height * window->kernel_width == 3 && multiplier == 1;
  const int32_t next = window->kernel_width == 3 ? window->dilation_x
                                                 : window->dilation_y * window->in_width;
  int32_t *sums = rest;
  for (int32_t x = 0; x < window->out_width; ++x, out += out_channels) {
    const Taps columns = columns_at(window, x);
    const int whole = is_whole(window, rows, columns);
    if (whole && is_line) {
      const int8_t *in = image + (rows.start * window->in_width + columns.start) * in_channels;
      compute_line(range, channels, in, next * in_channels, convolution->kernel, out_channels, out);
      continue;
    }
    const int32_t zero_point = whole ? 0 : convolution->input_zero_point;
    for (uint32_t c = 0; c < out_channels; ++c) {
      sums[c] = whole ? channels[c].whole_bias : channels[c].bias;
    }
    for (int32_t ky = rows.first; ky < rows.end; ++ky) {
      const int32_t y = rows.start + ky * window->dilation_y;
      const int8_t *weights = convolution->kernel + (uint32_t)(ky * window->kernel_width) * out_channels;
      for (int32_t kx = columns.first; kx < columns.end; ++kx) {
        const int32_t at = y * window->in_width + columns.start + kx * window->dilation_x;
        const int8_t *tap = weights + (uint32_t)kx * out_channels;
        if (multiplier == 1) {
          accumulate(sums, image + at * in_channels, zero_point, tap, out_channels);
        } else {
          accumulate_multiplied(sums, image + at * in_channels, zero_point, tap, out_channels,
                                multiplier);
        }
      }
    }
    for (uint32_t c = 0; c < out_channels; ++c) {
      out[c] = swr_requantized(range, &channels[c], sums[c]);
    }
  }
}

/* A kernel of one weight a channel. */
static void scaled_row(const SwrConvolution *convolution, const SwrChannel *channels, void *rest,
                       Taps rows, const int8_t *image, int8_t *out) {
  (void)rest;
  const SwrWindow *window = convolution->window;
  const SwrRange range = swr_range(convolution);
  const int8_t *weights = convolution->kernel;
  const uint32_t count = window->out_channels;
  const int8_t *in = image + (size_t)rows.start * window->in_width * count;
  for (uint32_t x = 0; x < window->out_width; ++x, in += count, out += count) {
    for (uint32_t c = 0; c < count; ++c) {
      int32_t sum = channels[c].whole_bias + in[c] * weights[c];
      out[c] = swr_requantized(range, &channels[c], sum);
    }
  }
}

void swr_convolve_depthwise(const SwrCall *call) {
  const SwrConvolution *convolution = call->operation;
  const SwrWindow *window = convolution->window;
  uint32_t weights = (uint32_t)window->kernel_height * window->kernel_width;
  swr_prepare_channels(convolution, 1, window->out_channels, weights, call->scratch);
  if (is_pointwise(window) && window->in_channels == window->out_channels) {
    for_each_row(call, scaled_row, 0);
  } else {
    for_each_row(call, depthwise_row, window->out_channels * sizeof(int32_t));
  }
}
