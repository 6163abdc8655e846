/* The kernels of a program, and the numbers that each of them reads.
 *
 * They compute, bit for bit, what the reference kernels of TFLite Micro do. Tensors are int8, rows
 * first and channels last; zero points, scales and clamping are those of TFLite. A pointer to a
 * constant is NULL where the operand lies in the arena.
 */
#ifndef SWR_OPERATIONS_H_
#define SWR_OPERATIONS_H_

#include <stdint.h>

#include "swr_program.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SWR_AXES 5

/* A window that moves over an image. */
typedef struct {
  uint16_t batches;
  uint16_t in_height, in_width, in_channels;
  uint16_t out_height, out_width, out_channels;
  uint16_t kernel_height, kernel_width;
  uint16_t stride_y, stride_x;
  uint16_t dilation_y, dilation_x;
  uint16_t pad_top, pad_left;
} SwrWindow;

#define SWR_WIDE 255

/* A convolution, depthwise convolution or dense layer. The scale of output channel c is
 * input_scale * scales[i] / output_scale; scales and biases of `period` channels are repeated
 * `repeats` times before the next ones, so i = c / (period * repeats) * period + c % period.
 *
 * Scales are uint16_t, 6 bits of exponent above 10 of mantissa, of which the exponent 0 stands for
 * `least_exponent` of a float; biases are int16_t, times 2^bias_shift. Where these are SWR_WIDE,
 * they are float and int32_t; biases of NULL are 0.
 *
 * The scratch has an SwrChannel for each output channel, then two inputs of a kernel that isn't
 * pointwise, or an int32_t for each channel of a depthwise one, then, where the output takes the
 * place of the input, a row of the output. */
typedef struct {
  const SwrWindow *window;
  const int8_t *kernel;
  const void *biases;
  const void *scales;
  float input_scale;
  float output_scale;
  uint16_t period, repeats;
  uint8_t bias_shift, least_exponent;
  int8_t input_zero_point;
  int8_t output_zero_point;
  int8_t low, high;
} SwrConvolution;

typedef struct {
  int32_t bias;
  int32_t whole_bias; /* With what the input's zero point adds where no tap is in the padding. */
  int32_t multiplier, half;
  int8_t left, right;
} SwrChannel;

void swr_convolve(const SwrCall *call);
void swr_convolve_depthwise(const SwrCall *call);

/* Average and largest value of windows. */
typedef struct {
  const SwrWindow *window;
  int8_t low, high;
} SwrPool;

void swr_pool_average(const SwrCall *call);
void swr_pool_largest(const SwrCall *call);

/* How two operands, with a stride of 0 where they are repeated, make the output. */
typedef struct {
  uint32_t sizes[4];
  uint32_t first_strides[4];
  uint32_t second_strides[4];
} SwrBroadcast;

typedef struct {
  int32_t multiplier;
  int8_t shift;
} SwrScale;

/* first + second, or first - second. */
typedef struct {
  const SwrBroadcast *broadcast;
  const int8_t *first, *second;
  SwrScale first_scale, second_scale, output_scale;
  int8_t first_zero_point, second_zero_point, output_zero_point;
  int8_t low, high;
  uint8_t subtract;
} SwrSum;

/* The scratch has room for SWR_SUM_TERMS int32_t. */
#define SWR_SUM_TERMS 512

void swr_add(const SwrCall *call);

typedef struct {
  const SwrBroadcast *broadcast;
  const int8_t *first, *second;
  SwrScale output_scale;
  int8_t first_zero_point, second_zero_point, output_zero_point;
  int8_t low, high;
} SwrProduct;

void swr_multiply(const SwrCall *call);

/* The larger, or the smaller, of two. */
typedef struct {
  const SwrBroadcast *broadcast;
  const int8_t *first, *second;
  uint8_t smaller;
} SwrExtreme;

void swr_take_extreme(const SwrCall *call);

/* Any function of one value: table[(uint8_t)x]. */
typedef struct {
  const int8_t *table;
  uint32_t count;
} SwrTable;

void swr_look_up(const SwrCall *call);

/* The logistic function: 1 / (1 + exp(-x)), which is 0 or 1 from `radius` on. The scratch has 256
 * bytes, for all that an input may be. */
typedef struct {
  uint32_t count;
  SwrScale scale; /* From the input to 4 integer bits. */
  int16_t radius;
  int8_t input_zero_point;
} SwrLogistic;

void swr_logistic(const SwrCall *call);

/* Where each input goes, with a stride of 0 along axes that are reduced. */
typedef struct {
  uint32_t sizes[4];
  uint32_t strides[4];
  uint32_t output_count;
} SwrReduction;

/* Sums, scaled, or where the multiplier is 0, divided. The scratch has an int32_t for each
 * output. */
typedef struct {
  const SwrReduction *reduction;
  SwrScale scale;
  int32_t zero_sum; /* The sum of as many zero points as are added up. */
  int32_t divisor;
  int8_t output_zero_point;
} SwrMean;

void swr_reduce_sum(const SwrCall *call);

typedef struct {
  const SwrReduction *reduction;
  uint8_t smallest;
} SwrReducedExtreme;

void swr_reduce_extreme(const SwrCall *call);

/* Values that go to another place. */
typedef struct {
  uint32_t from, to;
  uint32_t sizes[SWR_AXES];
  int32_t from_strides[SWR_AXES];
  int32_t to_strides[SWR_AXES];
} SwrMove;

typedef struct {
  const SwrMove *move;
  const int8_t *constant;
} SwrCopy;

void swr_copy(const SwrCall *call);

typedef struct {
  uint32_t count;
  int8_t value;
} SwrFill;

void swr_fill(const SwrCall *call);

/* out[y][x] = in[rows[y]][columns[x]] */
typedef struct {
  const uint16_t *rows, *columns;
  uint16_t batches, in_height, in_width, out_height, out_width, channels;
} SwrSelection;

void swr_select(const SwrCall *call);

/* Softmax along the last axis. */
typedef struct {
  uint32_t rows;
  uint16_t depth;
  int16_t least_difference; /* From the largest input; those below count nothing. */
  SwrScale scale;
} SwrSoftmax;

void swr_softmax(const SwrCall *call);

#ifdef __cplusplus
}
#endif

#endif
