/* Computes features of audio as TFLite Micro's audio front end does, to the last bit.
 *
 * 16 kHz int16 samples become, every 10 ms, 40 unsigned integers: 64 times the natural logarithm of
 * the energies of 40 mel bands from 125 to 7500 Hz, with noise reduction and automatic gain control
 * (PCAN), as microWakeWord and ESPHome set them. They are what `swr_keras.audio.MicroFrontend` gives,
 * divided by its `scale`. C11, integers only, no heap: all state is the caller's. It counts on `>>` of
 * negative integers being arithmetic, as it is in every compiler for microcontrollers.
 */
#ifndef SWR_FRONTEND_H_
#define SWR_FRONTEND_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SWR_FRONTEND_SAMPLE_RATE_HZ 16000
#define SWR_FRONTEND_HOP 160    /* Samples from a frame to the next. */
#define SWR_FRONTEND_WINDOW 480 /* Samples that a frame is computed from. */
#define SWR_FRONTEND_CHANNELS 40

typedef struct {
  uint32_t spectrum[256]; /* Only in use during a push. */
  uint32_t noise[SWR_FRONTEND_CHANNELS];
  int16_t samples[SWR_FRONTEND_WINDOW]; /* A ring. */
  uint16_t next;                        /* Where the next sample goes. */
  uint16_t held;                        /* Samples in the ring. */
} SwrFrontend;

/* Forgets all audio. Call it before the first push, too. */
void swr_frontend_reset(SwrFrontend *frontend);

/* Takes samples until a frame is complete; says whether one is, in `features`. `pcm` and `count`
 * move past what was taken, so that a loop takes any number of samples:
 *
 *   while (swr_frontend_push(&frontend, &pcm, &count, features)) { ... }
 */
bool swr_frontend_push(SwrFrontend *frontend, const int16_t **pcm, size_t *count,
                       uint16_t features[SWR_FRONTEND_CHANNELS]);

#ifdef __cplusplus
}
#endif

#endif
