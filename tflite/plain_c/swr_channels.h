/* What a convolution needs of each of its output channels, computed when it runs: it takes less
 * flash than what it is computed from would with it. */
#ifndef SWR_CHANNELS_H_
#define SWR_CHANNELS_H_

#include "swr_rounding.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the channels of a convolution, of which the weights of channel c are
 * kernel[c * next_channel + i * next_weight] for i < weights. */
void swr_prepare_channels(const SwrConvolution *convolution, uint32_t next_channel,
                          uint32_t next_weight, uint32_t weights, SwrChannel *channels);

/* What all channels have in common. A copy, since a store of int8_t could change the original as
 * far as compilers know. */
typedef struct {
  int32_t zero_point, low, high;
} SwrRange;

static inline SwrRange swr_range(const SwrConvolution *convolution) {
  return (SwrRange){convolution->output_zero_point, convolution->low, convolution->high};
}

static inline int8_t swr_requantized(SwrRange range, const SwrChannel *channel, int32_t sum) {
  int32_t high = swr_multiply_high(swr_shift_left(sum, channel->left), channel->multiplier);
  int32_t scaled = swr_shift_right(high, channel->right, channel->half);
  return swr_clamp(scaled + range.zero_point, range.low, range.high);
}

#ifdef __cplusplus
}
#endif

#endif
