/* The window and the FFT: of 512 real samples, by way of one of 256 complex ones with radix 4. It
 * rounds where KISS FFT does with 16 bits, which scales down by 4 before each stage. Nothing
 * overflows: each number is a mean of windowed inputs, turned, and the window leaves at most 0.48 of
 * their largest magnitude, sqrt(2) * 2^15. */
#include "swr_frontend_complex.h"
#include "swr_frontend_stages.h"

enum {
  kWindowBits = 12,
  kOneOverTwo = 32767 / 2,
  kOneOverFour = 32767 / 4,
};

/* Where the FFT wants a pair of samples: the four digits of its number to base 4, turned round. */
static unsigned turned_round(unsigned pair) {
  unsigned swapped = pair >> 4 | (pair << 4 & 0xf0);
  return (swapped >> 2 & 0x33) | (swapped & 0x33) << 2;
}

int swr_stage_window(const int16_t *samples, unsigned oldest, uint32_t *pairs) {
  uint32_t bits = 0;
  for (unsigned pair = 0; pair < SWR_FRONTEND_WINDOW / 2; ++pair) {
    int32_t first = samples[oldest] * swr_window[2 * pair] >> kWindowBits;
    int32_t second = samples[oldest + 1] * swr_window[2 * pair + 1] >> kWindowBits;
    bits |= (uint32_t)(first < 0 ? -first : first) | (uint32_t)(second < 0 ? -second : second);
    pairs[turned_round(pair)] = swr_packed(first, second);
    oldest = oldest + 2 == SWR_FRONTEND_WINDOW ? 0 : oldest + 2;
  }
  for (unsigned pair = SWR_FRONTEND_WINDOW / 2; pair < kSwrCells; ++pair) {
    pairs[turned_round(pair)] = 0;
  }
  /* The magnitude of -32768 doesn't fit in 16 bits, and doesn't count. */
  return 15 - swr_bit_length(bits & 0x7fff);
}

/* Four outputs of four inputs, `step` apart, that are already scaled and turned. */
static inline void butterfly(uint32_t *cell, unsigned step, SwrComplex a, SwrComplex b,
                             SwrComplex c, SwrComplex d) {
  SwrComplex even = swr_sum(a, c), odd = swr_difference(a, c);
  SwrComplex other_even = swr_sum(b, d), other_odd = swr_difference(b, d);
  cell[0] = swr_store(swr_sum(even, other_even));
  cell[step] = swr_store(swr_difference_turned(odd, other_odd));
  cell[2 * step] = swr_store(swr_difference(even, other_even));
  cell[3 * step] = swr_store(swr_sum_turned(odd, other_odd));
}

static inline SwrComplex shifted_quarter(uint32_t cell, int shift) {
  uint32_t lower = cell << shift & 0xffff, upper = (cell & 0xffff0000u) << shift;
  return swr_scaled(swr_load(upper | lower), kOneOverFour);
}

/* The first stage: twiddle factors are 1, and inputs are shifted up. */
static void first_stage(uint32_t *cells, int shift) {
  for (uint32_t *cell = cells; cell < cells + kSwrCells; cell += 4) {
    butterfly(cell, 1, shifted_quarter(cell[0], shift), shifted_quarter(cell[1], shift),
              shifted_quarter(cell[2], shift), shifted_quarter(cell[3], shift));
  }
}

static inline SwrComplex quarter(uint32_t cell) {
  return swr_scaled(swr_load(cell), kOneOverFour);
}

static void stage(uint32_t *cells, unsigned step) {
  for (unsigned i = 0; i < step; ++i) {
    const uint32_t *twiddle = swr_twiddles;
    unsigned turn = i * (kSwrCells / 4 / step);
    SwrComplex once = swr_load(twiddle[turn]), twice = swr_load(twiddle[2 * turn]),
               thrice = swr_load(twiddle[3 * turn]);
    for (uint32_t *cell = cells + i; cell < cells + kSwrCells; cell += 4 * step) {
      butterfly(cell, step, quarter(cell[0]), swr_product(quarter(cell[step]), once),
                swr_product(quarter(cell[2 * step]), twice),
                swr_product(quarter(cell[3 * step]), thrice));
    }
  }
}

/* From the FFT of pairs to the energies of the spectrum of the samples. */
static void split(uint32_t *cells) {
  for (unsigned bin = kSwrFirstBin; bin <= kSwrCells / 2; ++bin) {
    uint32_t *mirrored = cells + kSwrCells - bin;
    SwrComplex a = swr_scaled(swr_load(cells[bin]), kOneOverTwo);
    SwrComplex b = swr_scaled(swr_conjugate(swr_load(*mirrored)), kOneOverTwo);
    SwrComplex even = swr_sum(a, b);
    SwrComplex odd = swr_product(swr_difference(a, b), swr_load(swr_splits[bin - 1]));
    cells[bin] = swr_energy_of_mean(even, odd);
    *mirrored = swr_energy_of_mirrored_mean(even, odd);
  }
}

void swr_stage_energies(uint32_t *cells, int shift) {
  first_stage(cells, shift);
  for (unsigned step = 4; step < kSwrCells; step *= 4) {
    stage(cells, step);
  }
  split(cells);
}
