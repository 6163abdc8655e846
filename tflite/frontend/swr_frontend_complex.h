/* Complex numbers of 16 bits a part, the real one below, with 15 bits of fraction. Products are
 * rounded half up. Sums must fit: those of the spectrum do, see swr_frontend_spectrum.c. */
#ifndef SWR_FRONTEND_COMPLEX_H_
#define SWR_FRONTEND_COMPLEX_H_

#include <stdint.h>

#ifdef __ARM_FEATURE_SIMD32
#include <arm_acle.h>
#endif

enum { kSwrFractionBits = 15, kSwrHalf = 1 << (kSwrFractionBits - 1) };

static inline uint32_t swr_packed(int32_t re, int32_t im) {
  return ((uint32_t)re & 0xffff) | (uint32_t)im << 16;
}

#ifdef __ARM_FEATURE_SIMD32

typedef int16x2_t SwrComplex;

static inline SwrComplex swr_load(uint32_t cell) { return (SwrComplex)cell; }

static inline uint32_t swr_store(SwrComplex a) { return (uint32_t)a; }

static inline SwrComplex swr_halves(uint32_t lower, uint32_t upper) {
  return (SwrComplex)((lower & 0xffff) | (upper & 0xffff0000u));
}

/* The second product is shifted by a bit only: its fraction then lies in the lower half. */
static inline SwrComplex swr_rounded(int32_t re, int32_t im) {
  return swr_halves((uint32_t)(re >> kSwrFractionBits), (uint32_t)im << 1);
}

static inline SwrComplex swr_scaled(SwrComplex a, int32_t factor) {
  return swr_rounded(__smlabb(a, factor, kSwrHalf), __smlatb(a, factor, kSwrHalf));
}

static inline SwrComplex swr_product(SwrComplex a, SwrComplex b) {
  return swr_rounded(__smlsd(a, b, kSwrHalf), __smladx(a, b, kSwrHalf));
}

static inline SwrComplex swr_conjugate(SwrComplex a) {
  return swr_halves((uint32_t)a, (uint32_t)__ssub16(0, a));
}

static inline SwrComplex swr_sum(SwrComplex a, SwrComplex b) { return __sadd16(a, b); }

static inline SwrComplex swr_difference(SwrComplex a, SwrComplex b) { return __ssub16(a, b); }

static inline SwrComplex swr_sum_turned(SwrComplex a, SwrComplex b) { return __sasx(a, b); }

static inline SwrComplex swr_difference_turned(SwrComplex a, SwrComplex b) { return __ssax(a, b); }

static inline uint32_t swr_energy_of_mean(SwrComplex a, SwrComplex b) {
  SwrComplex mean = __shadd16(a, b);
  return (uint32_t)__smuad(mean, mean);
}

static inline uint32_t swr_energy_of_mirrored_mean(SwrComplex a, SwrComplex b) {
  SwrComplex mean = swr_halves((uint32_t)__shsub16(a, b), (uint32_t)__shsub16(b, a));
  return (uint32_t)__smuad(mean, mean);
}

#else

typedef struct {
  int32_t re, im;
} SwrComplex;

static inline SwrComplex swr_load(uint32_t cell) {
  return (SwrComplex){(int16_t)cell, (int16_t)(cell >> 16)};
}

static inline uint32_t swr_store(SwrComplex a) { return swr_packed(a.re, a.im); }

static inline SwrComplex swr_rounded(int32_t re, int32_t im) {
  return (SwrComplex){(re + kSwrHalf) >> kSwrFractionBits, (im + kSwrHalf) >> kSwrFractionBits};
}

static inline SwrComplex swr_scaled(SwrComplex a, int32_t factor) {
  return swr_rounded(a.re * factor, a.im * factor);
}

static inline SwrComplex swr_product(SwrComplex a, SwrComplex b) {
  return swr_rounded(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
}

static inline SwrComplex swr_conjugate(SwrComplex a) { return (SwrComplex){a.re, -a.im}; }

static inline SwrComplex swr_sum(SwrComplex a, SwrComplex b) {
  return (SwrComplex){a.re + b.re, a.im + b.im};
}

static inline SwrComplex swr_difference(SwrComplex a, SwrComplex b) {
  return (SwrComplex){a.re - b.re, a.im - b.im};
}

static inline SwrComplex swr_sum_turned(SwrComplex a, SwrComplex b) {
  return (SwrComplex){a.re - b.im, a.im + b.re};
}

static inline SwrComplex swr_difference_turned(SwrComplex a, SwrComplex b) {
  return (SwrComplex){a.re + b.im, a.im - b.re};
}

static inline uint32_t swr_energy(int32_t re, int32_t im) { return (uint32_t)(re * re + im * im); }

static inline uint32_t swr_energy_of_mean(SwrComplex a, SwrComplex b) {
  return swr_energy((a.re + b.re) >> 1, (a.im + b.im) >> 1);
}

static inline uint32_t swr_energy_of_mirrored_mean(SwrComplex a, SwrComplex b) {
  return swr_energy((a.re - b.re) >> 1, (b.im - a.im) >> 1);
}

#endif

#endif
