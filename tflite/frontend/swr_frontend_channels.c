/* Mel bands, noise reduction, gain control and logarithm, in fixed point. */
#include "swr_frontend_stages.h"

enum {
  kWeightBits = 12,
  kNoiseBits = 14,
  kNoiseUp = 10,     /* Bits that the estimate has more than the signal. */
  kSmoothEven = 409, /* 0.025 */
  kSmoothOdd = 983,  /* 0.06 */
  kLeast = 819,      /* 0.05 of a signal remains. */
  kPlaceBits = 10,   /* Of a place in an octave of the noise. */
  kSlopeBits = 5,    /* Of the fraction of a slope. */
  kGainToRatio = 6,
  kRatioBits = 12,
  kShrunkBits = 6,
  kSignalUp = 3,
  kLogBits = 16,
  kSegmentBits = 9,  /* Of a place in a segment of the logarithm. */
  kLn2 = 45426,
  kLnUp = 6,
};

/* Without the last bits, rounded half up. */
static uint32_t rounded(uint64_t number, int bits) {
  return (uint32_t)((number + (UINT64_C(1) << (bits - 1))) >> bits);
}

/* The square root, rounded; below 2^32, never to more than 2^16 - 1. */
static uint32_t root(uint64_t number) {
  uint32_t low = (uint32_t)number, high = (uint32_t)(number >> 32), found = 0, rest = 0;
  int pairs = (swr_bit_length(high != 0 ? high : low) + 1) / 2;
  uint32_t words[2] = {high, low};
  for (int word = high != 0 ? 0 : 1; word < 2; ++word) {
    uint32_t bits = words[word] << (32 - 2 * pairs) % 32;
    for (; pairs > 0; --pairs) {
      rest = rest << 2 | bits >> 30;
      bits <<= 2;
      found <<= 1;
      if (rest > 2 * found) {
        rest -= 2 * found + 1;
        ++found;
      }
    }
    pairs = 16;
  }
  return rest > found && (high != 0 || found != 0xffff) ? found + 1 : found;
}

/* Takes a running estimate of the noise off a signal. */
static uint32_t denoised(uint32_t signal, uint32_t *noise, uint32_t smoothing) {
  uint32_t up = signal << kNoiseUp;
  uint64_t weighted = (uint64_t)up * smoothing + (uint64_t)*noise * ((1u << kNoiseBits) - smoothing);
  *noise = (uint32_t)(weighted >> kNoiseBits);
  uint32_t least = (uint32_t)((uint64_t)signal * kLeast >> kNoiseBits);
  uint32_t left = up > *noise ? (up - *noise) >> kNoiseUp : 0;
  return left > least ? left : least;
}

/* The gain at an estimate of the noise, interpolated by parabolas, one an octave. */
static uint32_t gain(uint32_t noise) {
  int bits = swr_bit_length(noise);
  const int16_t *parabola = swr_gains[bits];
  int up = kPlaceBits + 1 - bits;
  uint32_t aligned = up > 0 ? noise << up : noise >> -up;
  int32_t place = (int32_t)(aligned & ((1u << kPlaceBits) - 1));
  int32_t slope = (parabola[2] * place >> kSlopeBits) + parabola[1] * (1 << kSlopeBits);
  int32_t rise = slope * place + (1 << (kPlaceBits + kSlopeBits - 1));
  return (uint32_t)((rise >> (kPlaceBits + kSlopeBits)) + parabola[0]);
}

static uint32_t shrunk(uint32_t ratio) {
  if (ratio < 2u << kRatioBits) {
    return ratio * ratio >> (2 + 2 * kRatioBits - kShrunkBits);
  }
  return (ratio >> (kRatioBits - kShrunkBits)) - (1u << kShrunkBits);
}

/* 64 times the natural logarithm of eight times a signal. */
static uint16_t logarithm(uint32_t signal) {
  uint32_t number = signal << kSignalUp;
  if (number < 2) {
    return 0;
  }
  int octave = swr_bit_length(number) - 1;
  uint32_t place = number ^ 1u << octave;
  place = octave < kLogBits ? place << (kLogBits - octave) : place >> (octave - kLogBits);
  uint32_t segment = place >> kSegmentBits;
  int32_t start = swr_log_corrections[segment], end = swr_log_corrections[segment + 1];
  int32_t rest = (int32_t)(place & ((1u << kSegmentBits) - 1));
  /* TFLite Micro shifts by more than a segment has bits, so that next to nothing is interpolated. */
  int32_t correction = start + ((end - start) * rest >> kLogBits);
  uint32_t binary = ((uint32_t)octave << kLogBits) + place + (uint32_t)correction;
  uint32_t natural = rounded((uint64_t)binary * kLn2, kLogBits);
  return (uint16_t)rounded(natural << kLnUp, kLogBits);
}

static uint16_t feature(uint64_t energy, int shift, uint32_t *noise, uint32_t smoothing) {
  uint32_t signal = denoised(root(energy) >> shift, noise, smoothing);
  return logarithm(shrunk((uint32_t)((uint64_t)signal * gain(*noise) >> kGainToRatio)));
}

void swr_stage_features(const uint32_t *energies, int shift, uint32_t *noise, uint16_t *features) {
  const uint32_t *bin = energies + kSwrFirstBin;
  const uint16_t *weight = swr_weights;
  uint64_t rising = 0;
  /* Each bin falls in one channel and rises in the next; the first only falls. */
  for (int channel = -1; channel < SWR_FRONTEND_CHANNELS; ++channel) {
    uint64_t falling = 0, all = 0;
    for (unsigned width = swr_widths[channel + 1]; width > 0; --width) {
      all += *bin;
      falling += (uint64_t)*bin++ * *weight++;
    }
    if (channel >= 0) {
      features[channel] = feature(rising + falling, shift, noise + channel,
                                  channel % 2 == 0 ? kSmoothEven : kSmoothOdd);
    }
    rising = (all << kWeightBits) - falling;
  }
}
