#include "swr_input.h"

#include <string.h>

enum {
  kFactorBits = 44,
  kMantissaBits = 23,
  kExponentBias = 127 + kMantissaBits,
  kLeastExponent = -8 - kMantissaBits,
  kMostExponent = 14 - kMantissaBits,
  kFeatureUnit = 10, /* Over 2^8. */
  kFeatureBits = 8,
};

bool swr_input_scale(SwrInputScale *to, float scale, int32_t zero_point) {
  uint32_t bits;
  memcpy(&bits, &scale, sizeof bits);
  uint32_t divisor = (bits & ((1u << kMantissaBits) - 1)) | 1u << kMantissaBits;
  /* The sign would make it too large. */
  int exponent = (int)(bits >> kMantissaBits) - kExponentBias;
  if (exponent < kLeastExponent || exponent > kMostExponent || zero_point < INT8_MIN ||
      zero_point > INT8_MAX) {
    return false;
  }
  uint32_t rest = kFeatureUnit;
  uint64_t factor = 0;
  for (int bit = kFactorBits - kFeatureBits - exponent; bit > 0; --bit) {
    rest <<= 1;
    factor <<= 1;
    if (rest >= divisor) {
      rest -= divisor;
      factor |= 1;
    }
  }
  *to = (SwrInputScale){factor, zero_point};
  return true;
}

int8_t swr_input_value(const SwrInputScale *scale, uint16_t feature) {
  /* The factor is rounded down, so the product is too small, by less than 2^16. What is halfway
   * between two steps is then less than 2^17 above the border, and nothing else is: there is no
   * other quotient by 24 bits within 2^19 of it. */
  uint64_t half = UINT64_C(1) << (kFactorBits - 1), most_off = UINT64_C(1) << 16;
  uint64_t shifted = feature * scale->factor + half + most_off;
  int32_t steps = (int32_t)(shifted >> kFactorBits);
  if ((shifted & (2 * half - 1)) < 2 * most_off) {
    steps &= ~1;
  }
  int32_t value = steps + scale->zero_point;
  return (int8_t)(value > INT8_MAX ? INT8_MAX : value);
}

void swr_frames_start(SwrFrames *to, int8_t *values, uint16_t frames, const SwrInputScale *scale) {
  *to = (SwrFrames){.scale = *scale, .values = values, .frames = frames};
}

static bool is_same(const SwrInputScale *one, const SwrInputScale *other) {
  return one->factor == other->factor && one->zero_point == other->zero_point;
}

void swr_frames_switch(SwrFrames *frames, uint16_t count, const SwrInputScale *scale) {
  if (frames->frames != count || !is_same(&frames->scale, scale)) {
    swr_frames_start(frames, frames->values, count, scale);
  }
}

void swr_frames_add(SwrFrames *frames, const uint16_t features[SWR_FRONTEND_CHANNELS]) {
  int8_t *to = frames->values + (size_t)frames->next * SWR_FRONTEND_CHANNELS;
  for (int channel = 0; channel < SWR_FRONTEND_CHANNELS; ++channel) {
    to[channel] = swr_input_value(&frames->scale, features[channel]);
  }
  frames->next = (uint16_t)((frames->next + 1) % frames->frames);
  if (frames->held < frames->frames) {
    ++frames->held;
  }
}

bool swr_frames_read(const SwrFrames *frames, const SwrInputScale *scale, int8_t *input) {
  if (frames->held < frames->frames || !is_same(&frames->scale, scale)) {
    return false;
  }
  size_t newer = (size_t)frames->next * SWR_FRONTEND_CHANNELS;
  size_t older = (size_t)frames->frames * SWR_FRONTEND_CHANNELS - newer;
  memcpy(input, frames->values + newer, older);
  memcpy(input + older, frames->values, newer);
  return true;
}
