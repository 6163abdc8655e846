/* What the front end is made of. */
#ifndef SWR_FRONTEND_STAGES_H_
#define SWR_FRONTEND_STAGES_H_

#include <stdint.h>

#include "swr_frontend.h"

enum {
  kSwrCells = 256,       /* Of the FFT: pairs of samples, then bins. */
  kSwrTwiddles = 190,    /* Those that its radix-4 stages use. */
  kSwrSplits = 128,      /* Those that split it into that of a real signal. */
  kSwrFirstBin = 5,      /* Bin 1 is 31.25 Hz. */
  kSwrWeights = 236,     /* Bins with a weight. */
  kSwrOctaves = 33,      /* Numbers of bits of 32-bit numbers. */
  kSwrLogSegments = 128, /* Of an octave of the logarithm. */
};

/* Tables, written by swr_keras/device/frontend_tables.py. Complex numbers have 15 bits of fraction,
 * the real part in the lower half. */
extern const int16_t swr_window[SWR_FRONTEND_WINDOW];
extern const uint32_t swr_twiddles[kSwrTwiddles];
extern const uint32_t swr_splits[kSwrSplits];
extern const uint8_t swr_widths[SWR_FRONTEND_CHANNELS + 1];
extern const uint16_t swr_weights[kSwrWeights];
extern const int16_t swr_gains[kSwrOctaves][3];
extern const uint16_t swr_log_corrections[kSwrLogSegments + 1];

/* The number of bits that a number needs: 0 for 0. */
static inline int swr_bit_length(uint32_t number) {
#ifdef __GNUC__
  return number == 0 ? 0 : 32 - __builtin_clz(number);
#else
  int bits = 0;
  for (; number != 0; number >>= 1) {
    ++bits;
  }
  return bits;
#endif
}

/* Windows a ring of samples, the oldest of which is given, into pairs in the order that the FFT
 * wants; returns how far they can be shifted up. */
int swr_stage_window(const int16_t *samples, unsigned oldest, uint32_t *pairs);

/* Turns pairs of samples, shifted up, into the energies of bins, from the first one with a weight to
 * the last; others are left undefined. */
void swr_stage_energies(uint32_t *cells, int shift);

/* Sums energies up to channels and compresses them to features. */
void swr_stage_features(const uint32_t *energies, int shift, uint32_t *noise, uint16_t *features);

#endif
