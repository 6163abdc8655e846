#include "swr_channels.h"

#include <string.h>

enum { kMantissaBits = 24, kExponentBias = 150, kPackedBits = 10 };

typedef struct {
  uint32_t mantissa; /* value = mantissa * 2^exponent, normalized to kMantissaBits. */
  int exponent;
} Parts;

static Parts parts_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t hidden = UINT32_C(1) << (kMantissaBits - 1);
  return (Parts){hidden | (bits & (hidden - 1)), (int)(bits >> 23) - kExponentBias};
}

/* The fixed-point form of (double)a * b / c, rounded to a double as IEEE 754 has it, then to 31
 * bits with halves up. */
static void set_multiplier(SwrChannel *channel, Parts a, Parts b, Parts c) {
  uint64_t product = ((uint64_t)a.mantissa * b.mantissa) << 15;
  uint64_t quotient = product / c.mantissa;
  uint64_t rest = (product % c.mantissa) << kMantissaBits;
  quotient = quotient << kMantissaBits | rest / c.mantissa;
  int exponent = 25 + a.exponent + b.exponent - c.exponent;
  while (quotient >> 63 == 0) {
    quotient <<= 1;
    --exponent;
  }
  uint64_t below = (quotient & 0x7ff) | (rest % c.mantissa != 0);
  uint64_t rounded = quotient >> 11;
  rounded += below > 0x400 || (below == 0x400 && (rounded & 1) != 0);
  uint64_t multiplier = (rounded + (UINT64_C(1) << 21)) >> 22;
  if (multiplier >> 31 != 0) {
    multiplier >>= 1;
    ++exponent;
  }
  int vanishes = exponent < -31;
  channel->multiplier = vanishes ? 0 : (int32_t)multiplier;
  channel->left = (int8_t)(exponent > 0 ? exponent : 0);
  channel->right = (int8_t)(exponent > 0 || vanishes ? 0 : -exponent);
  channel->half = swr_half(channel->right);
}

static int32_t bias_at(const SwrConvolution *convolution, uint32_t index) {
  if (convolution->biases == NULL) {
    return 0;
  }
  if (convolution->bias_shift == SWR_WIDE) {
    return ((const int32_t *)convolution->biases)[index];
  }
  return ((const int16_t *)convolution->biases)[index] * (INT32_C(1) << convolution->bias_shift);
}

/* The mantissa is 0 for a scale of 0. */
static Parts scale_at(const SwrConvolution *convolution, uint32_t index) {
  if (convolution->least_exponent == SWR_WIDE) {
    float scale = ((const float *)convolution->scales)[index];
    return scale > 0 ? parts_of(scale) : (Parts){0, 0};
  }
  uint32_t packed = ((const uint16_t *)convolution->scales)[index];
  uint32_t hidden = UINT32_C(1) << kPackedBits;
  uint32_t mantissa = (hidden | (packed & (hidden - 1))) << (kMantissaBits - 1 - kPackedBits);
  return (Parts){mantissa, convolution->least_exponent + (int)(packed >> kPackedBits) -
                               kExponentBias};
}

static void set_channel(const SwrConvolution *convolution, uint32_t index, SwrChannel *channel) {
  *channel = (SwrChannel){.bias = bias_at(convolution, index)};
  Parts scale = scale_at(convolution, index);
  if (scale.mantissa != 0) {
    set_multiplier(channel, parts_of(convolution->input_scale), scale,
                   parts_of(convolution->output_scale));
  }
}

void swr_prepare_channels(const SwrConvolution *convolution, uint32_t next_channel,
                          uint32_t next_weight, uint32_t weights, SwrChannel *channels) {
  const uint32_t period = convolution->period, block = period * convolution->repeats;
  for (uint32_t c = 0; c < convolution->window->out_channels; ++c) {
    SwrChannel *channel = &channels[c];
    if (c % block >= period) {
      *channel = channels[c - period];
    } else {
      set_channel(convolution, c / block * period + c % block, channel);
    }
    int32_t sum = 0;
    for (uint32_t i = 0; i < weights; ++i) {
      sum += convolution->kernel[c * next_channel + i * next_weight];
    }
    channel->whole_bias = channel->bias - convolution->input_zero_point * sum;
  }
}
